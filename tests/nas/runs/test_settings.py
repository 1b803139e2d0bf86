"""Settings are checked when they are made, whatever their source, and read without anything outside the run."""

import pytest

from nas.latency.table import LATENCY
from nas.runs.benchmark_settings import BenchmarkSettings
from nas.runs.flat import change, make_settings, read_settings
from nas.runs.placement import PLACEMENT, Placement
from nas.runs.settings import RewardSettings, SearchSettings
from nas.runs.train_settings import TrainSettings
from search_spaces import InputError, reference
from search_spaces.document import write_document

ODD = [
    ("trials", "many", "trials 'many': expected an integer"),
    ("trials", 2.5, "trials 2.5: expected an integer"),
    ("trials", True, "trials True: expected an integer"),
    ("trials", 0, "trials 0: expected an integer of at least 1"),
    ("seed", -1, "seed -1"),
    ("seed", "x", "seed 'x': expected an integer"),
    ("price", "dear", "price 'dear': expected a number"),
    ("price", float("nan"), "price nan: expected a number"),
    ("until", 3, "until 3: expected a text"),
    ("until", "tired", "unknown until 'tired'"),
    ("space", ["mnasnet"], r"name \['mnasnet'\]: expected a text"),
    ("controller", "predictr", "did you mean 'predictor'"),
    ("controller", None, "name None: expected a text"),
    ("controller_options", ["a"], r"options \['a'\]: expected a mapping"),
    ("evaluator", "guess", "unknown evaluator 'guess'"),
    ("evaluator", 7, "unknown evaluator '7'"),
    ("data", 5, "data 5: expected a text"),
    ("data", "digitz", "did you mean 'digits'"),
    ("recipe", 3, "recipe 3: expected a text"),
    ("recipe", "adam", "unknown recipe 'adam'"),
    ("recipe_changes", "lr=1", "recipe-changes 'lr=1': expected a mapping"),
    ("recipe_changes", {"lr": "fast"}, "lr 'fast'"),
    ("resolution", "big", "resolution 'big': expected an integer"),
    ("resolution", 1e9, "resolution"),
    ("width", "wide", "width 'wide': expected a number"),
    ("width", 0, "width 0: expected a number from 0.01"),
    ("subset", 1.5, "subset 1.5: expected a fraction"),
    ("subset", "half", "subset 'half': expected a number"),
    ("final", "yes", "final 'yes': expected true or false"),
    ("scheduler", "fifo", "unknown scheduler 'fifo'"),
    ("reward", "loud", "unknown reward 'loud'"),
    ("exponent", "steep", "exponent 'steep': expected a number"),
    ("targets", {"mac": "400M"}, "did you mean 'macs'"),
    ("targets", {"macs": "lots"}, "target 'lots'"),
    ("targets", {"macs": "x" * 5000}, "not a number such as 400M"),
    ("targets", {"macs": {f"k{i}": i for i in range(50)}}, "expected a number or a text"),
    ("targets", {"macs": -1}, "target '-1' for macs: expected a positive number"),
    ("targets", {LATENCY: "15ms"}, "give --latency-table"),
    ("targets", {"latency_zcu102": 5}, "only the benchmark knows it"),
    ("surrogate", "gb", "surrogate 'gb': only for --evaluator benchmark"),
    ("noise", True, "noise True: only for --evaluator benchmark"),
    ("latency_table", 3, "latency-table 3: expected a text"),
    ("trails", 3, "did you mean 'trials'"),
]


@pytest.mark.parametrize(("name", "value", "message"), ODD, ids=[f"{n}={v}" for n, v, _ in ODD])
def test_an_odd_value_is_one_line(name, value, message):
    with pytest.raises(InputError, match=message):
        make_settings(**{name: value})


@pytest.mark.parametrize(("name", "value", "message"), ODD, ids=[f"{n}={v}" for n, v, _ in ODD])
def test_in_a_file_too(name, value, message):
    with pytest.raises(InputError, match="s.yaml"):
        read_settings({"schema": 1, name: value}, "s.yaml")


@pytest.mark.parametrize(
    "document",
    [
        {"space": "mnasnet"},
        {"evaluator": "train"},
        {"evaluator": {"kind": "trains"}},
        {"evaluator": {"kind": "train", "noise": True}},
        {"reward": {"targets": ["400M"]}},
        {"reward": {"form": "hard", "exponent": -1}},
        {"reward": {"form": "hard", "exponent": "auto"}},
        {"reward": {"form": "absolute", "exponent": "auto"}},
        {"reward": {"targets": {}, "exponent": "auto"}},
        {"reward": {"exponent": "automatic"}},
        {"trials": "3"},
        {"cpus_per_trial": 2},
    ],
)
def test_odd_trees_are_refused(document):
    with pytest.raises(InputError, match="s.yaml"):
        read_settings({"schema": 2} | document, "s.yaml")


@pytest.mark.parametrize(
    "settings",
    [
        SearchSettings(),
        make_settings(
            evaluator="benchmark", space="accel-nasbench", targets={"latency_zcu102": 5}, noise=True
        ),
        make_settings(latency_table="t.json", targets={LATENCY: "15ms", "macs": "400M"}, reward="hard"),
        make_settings(exponent="auto"),
        make_settings(recipe_changes={"lr": "0.01", "epochs": "3"}, resolution=32, controller="ppo"),
    ],
)
def test_documents_go_both_ways(settings):
    assert SearchSettings.from_document(settings.to_document(), "x") == settings


def test_targets_are_numbers_before_they_are_kept(tmp_path):
    path = tmp_path / "goal.yaml"
    write_document(path, reference("efficientnet-b0").to_document())
    settings = make_settings(targets={"macs": str(path), "params": "efficientnet-b0"})
    assert settings.reward.targets == {"macs": 385_814_752, "params": 5_288_548}
    path.unlink()
    kept = SearchSettings.from_document(settings.to_document(), "x")
    assert kept.make_reward().objectives[0].target == 385_814_752
    document = {"schema": 2, "reward": {"targets": {"macs": "0.4G"}}}
    assert SearchSettings.from_document(document, "x").reward == RewardSettings(targets={"macs": 4e8})


def test_another_evaluator_starts_from_its_defaults():
    trained = make_settings(data="fashion-mnist", trials=3)
    scored = change(trained, evaluator="benchmark", targets={})
    assert (scored.evaluator, scored.trials) == (BenchmarkSettings(), 3)
    assert change(scored, evaluator="train").evaluator == TrainSettings()
    with pytest.raises(InputError, match="it trains nothing"):
        _ = scored.training


@pytest.mark.parametrize("settings", [BenchmarkSettings(), TrainSettings()])
def test_settings_say_whether_their_evaluator_needs_a_cluster(settings):
    assert settings.instant == settings.make().instant


def test_recipes_are_kept_as_values():
    assert make_settings(recipe_changes={"lr": "0.01", "epochs": 3.0}).training.recipe_changes == {
        "lr": 0.01,
        "epochs": 3,
    }


def test_a_resumed_run_gets_what_it_had(tmp_path):
    assert (Placement().kept_in(tmp_path).cpus, Placement().kept_in(tmp_path).gpus) == (1, None)
    Placement(cpus=2, gpus=0.5, concurrent=7).keep(tmp_path)
    kept = Placement(gpus=1).kept_in(tmp_path)
    assert (kept.cpus, kept.gpus, kept.concurrent) == (2, 1, 0)
    assert "workers" not in (tmp_path / PLACEMENT).read_text()  # as earlier versions read it
    Placement(workers=0).keep(tmp_path)
    assert [Placement(workers=w).kept_in(tmp_path).workers for w in (None, 3)] == [0, 3]
    with pytest.raises(InputError, match="cpus 'two': expected a number"):
        Placement(cpus="two")
    with pytest.raises(InputError, match="workers -1: expected an integer from 0 to 256"):
        Placement(workers=-1)


def test_a_controller_that_judges_may_end_trials(monkeypatch):
    """A package's own, too: it is asked and not known by its name."""
    with pytest.raises(InputError, match="scheduler 'predictor': controller 'random' can't judge trials"):
        make_settings(controller="random", scheduler="predictor")
    monkeypatch.setattr("controller.random_search.RandomSearch.judges", True)
    assert make_settings(controller="random", scheduler="predictor").training.scheduler == "predictor"
