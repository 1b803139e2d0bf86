"""Trials are compared only with what was scored alike: edited settings are made good, or refused by name."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from nas.runs.basis import BASIS, basis_of
from nas.runs.flat import make_settings
from nas.runs.folder import BEST, PARETO, SETTINGS, Run
from nas.runs.placement import Placement
from nas.search.in_process import run_in_process
from nas.search.journal import TRIALS, Journal, read_records
from nas.session import start_search
from search_spaces.document import read_document, write_document
from search_spaces.errors import InputError
from tests.command import good, nas

COUNT = 10


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of ten trials on the benchmark."""
    settings = make_settings(
        evaluator="benchmark",
        space="accel-nasbench",
        controller="evolution",
        controller_options={"population": 5, "tournament": 3},
        targets={"benchmark_macs": "400M"},
        trials=COUNT,
    )
    folder = tmp_path_factory.mktemp("begun") / "run"
    start_search(settings, folder, Placement(), Console(quiet=True))
    return folder


@pytest.fixture
def run(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    return tmp_path / "run"


def edit(folder, **parts):
    """Change `search.yaml` as a user does."""
    document = read_document(folder / SETTINGS)
    for part, values in parts.items():
        if isinstance(values, dict):
            document[part] |= values
        else:
            document[part] = values
    write_document(folder / SETTINGS, document)


def gone_on(folder, trials=COUNT + 4):
    """Go on with it as `resume_search` does, without its views: the run, what was said."""
    run, said = Run.open(folder), []
    evaluator = run.settings.evaluator.make()
    with run.journal(said.append) as journal:
        loop = run.loop(journal, trials, (), evaluator.costs)
        run_in_process(loop, evaluator)
        run.write_results(run.results(journal.records), loop.controller.incumbent())
        said += [] if loop.retraced else ["not retraced"]
    return run, "\n".join(said)


REWARDS = {
    "target": {"targets": {"benchmark_macs": 200e6}},
    "exponent": {"exponent": -0.5},
    "form": {"form": "absolute"},
    "hard": {"form": "hard"},
    "another cost": {"targets": {"params": 4e6}},
    "another measured cost": {"targets": {"latency_zcu102": 7.0}},
    "two": {"targets": {"macs": 3e8, "throughput_a100": 6000.0}},
    "none": {"targets": {}},
}


@pytest.mark.parametrize("change", REWARDS.values(), ids=list(REWARDS))
def test_another_reward_is_recomputed_everywhere(run, change):
    before = read_records(run)
    edit(run, reward=change)
    reward = Run.open(run).settings.make_reward()
    shown = json.loads(good("show", run, "--json"))
    again, said = gone_on(run)
    assert "reward" in said
    assert "recomputed" in said
    assert f"{COUNT} of {COUNT} trials" in said
    records = read_records(run)
    assert [json.loads(line)["trial"] for line in (run / TRIALS).read_text().splitlines()] == list(range(14))
    for record in records:
        assert record.reward == pytest.approx(reward(record.accuracy, record.costs), rel=1e-12)
    kept = {r.trial: (r.architecture, r.accuracy, r.costs) for r in records}
    assert [kept[r.trial] for r in before] == [(r.architecture, r.accuracy, r.costs) for r in before]
    best = max(records[:COUNT], key=lambda r: (r.reward, -r.trial))
    assert shown["best"]["trial"] == best.trial
    assert shown["best"]["reward"] == best.reward
    results = again.results(records)
    assert read_document(run / BEST)["name"].endswith(f"trial{again.winner(results).trial}")
    assert (run / PARETO).read_text().count("\n") == len(results.front) + 1
    assert gone_on(run, COUNT + 5)[1].count("recomputed") == 0  # once


def test_the_controller_learns_the_recomputed_rewards(run):
    edit(run, reward={"targets": {"benchmark_macs": 200e6}})
    opened = Run.open(run)
    with opened.journal() as journal:
        loop = opened.loop(journal, COUNT, ())
        told = {tuple(a): reward for a, reward in loop.controller.population}
    for record in read_records(run)[-5:]:
        assert told[tuple(record.architecture)] == record.reward


def test_a_resumed_search_says_it_and_its_events_have_them(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    edit(run, reward={"targets": {"benchmark_macs": 200e6}})
    done = nas("resume", run)
    assert done.returncode == 0
    assert sum("recomputed" in line for line in done.stderr.splitlines()) == 1
    assert "reward.targets.benchmark_macs was 4e+08, is 2e+08" in done.stderr
    events = EventAccumulator(str(run))
    events.Reload()
    points = [event.value for event in events.Scalars("trial/reward")]
    assert points == pytest.approx([r.reward for r in read_records(run)], rel=1e-6)


SCORED_OTHERWISE = {
    "surrogate was 'mlp', is 'gb'": {"evaluator": {"surrogate": "gb"}},
    "noise was False, is True": {"evaluator": {"noise": True}},
    "document.stages is another one": {"space": "stages"},
    "full_resolution was None, is 192": {"space": {"full_resolution": 192}},
}


@pytest.mark.parametrize("word", SCORED_OTHERWISE)
def test_results_that_would_not_compare_are_refused(run, word):
    """Named in one line, by whatever reads the run too."""
    parts = SCORED_OTHERWISE[word]
    if parts == {"space": "stages"}:
        document = read_document(run / SETTINGS)
        document["space"]["document"]["stages"][1]["repeats"] = [1, 2]
        write_document(run / SETTINGS, document)
    else:
        edit(run, **parts)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    done = nas("resume", run, "--trials", "14")
    lines = [line for line in done.stderr.splitlines() if line.startswith("nas: error")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert word in lines[0]
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert sum(word in line for line in nas("status", run).stderr.splitlines()) == 1


def test_a_training_depends_on_recipe_proxy_and_data():
    settings = make_settings(data="digits")
    kept = basis_of(settings)
    for change in (
        {"recipe": "sgd"},
        {"recipe_changes": {"epochs": 3}},
        {"recipe_changes": {"lr": 0.1}},
        {"resolution": 12},
        {"width": 0.5},
        {"stem_stride": 2},
        {"subset": 0.5},
        {"data_digest": "other"},
        {"folds": 3},
        {"held_out": 7},
        {"final": True},
        {"baseline_resolution": 224},
    ):
        assert basis_of(make_settings(data="digits", **change))["evaluator"] != kept["evaluator"], change
    for change in ({"data_root": "/elsewhere"}, {"scheduler": "asha"}, {"trials": 99}):
        assert basis_of(make_settings(data="digits", **change))["evaluator"] == kept["evaluator"], change


def test_a_cost_that_was_not_kept_is_refused(run):
    lines = [json.loads(line) for line in (run / TRIALS).read_text().splitlines()]
    for line in lines:
        del line["costs"]["train_time"]
    (run / TRIALS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    edit(run, reward={"targets": {"train_time": 3000.0}})
    before = (run / TRIALS).read_bytes()
    with pytest.raises(InputError, match=r"line 1: the reward weighs 'train_time', which was not kept"):
        gone_on(run)
    assert (run / TRIALS).read_bytes() == before


def test_an_exponent_is_not_measured_behind_trials(run):
    edit(run, reward={"targets": {"macs": 4e8}, "exponent": "auto"})
    with pytest.raises(InputError, match="exponent 'auto': it is measured before a search, and 10 trials"):
        Run.open(run).journal()


def test_another_controller_is_said(run):
    edit(run, controller={"name": "random", "options": {}}, seed=5)
    _, said = gone_on(run)
    assert "controller.name was 'evolution', is 'random'" in said
    assert "seed was 0, is 5" in said
    assert len(read_records(run)) == COUNT + 4


def test_one_reward_that_was_altered_is_recomputed(run):
    before = read_records(run)
    lines = (run / TRIALS).read_text().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | {"reward": 0.99})
    (run / TRIALS).write_text("\n".join(lines) + "\n")
    assert json.loads(good("show", run, "--json"))["best"]["reward"] < 0.99
    _, said = gone_on(run)
    assert f"{TRIALS}: line 4: the rewards are not" in said
    assert [r.reward for r in read_records(run)[:COUNT]] == [r.reward for r in before]


def test_an_earlier_run_has_none_until_it_goes_on(tmp_path):
    runs = Path(__file__).parents[2] / "data" / "first-version"
    shutil.copytree(runs / "benchmark", tmp_path / "run")
    edit_target = read_document(tmp_path / "run" / SETTINGS)
    edit_target["targets"] = {"benchmark_macs": 3e8}
    write_document(tmp_path / "run" / SETTINGS, edit_target)
    run, said = gone_on(tmp_path / "run", 14)
    assert "12 of 12 trials" in said
    assert (tmp_path / "run" / BASIS).is_file()
    reward = run.settings.make_reward()
    for record in read_records(tmp_path / "run"):
        assert record.reward == pytest.approx(reward(record.accuracy, record.costs), rel=1e-12)


@pytest.mark.parametrize("at", [0, 4, 11])
def test_a_damaged_line_of_an_earlier_run_costs_its_trial(tmp_path, at):
    runs = Path(__file__).parents[2] / "data" / "first-version"
    shutil.copytree(runs / "benchmark", tmp_path / "run")
    path = tmp_path / "run" / TRIALS
    lines = path.read_bytes().splitlines(True)
    whole = read_records(runs / "benchmark")
    path.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
    _, said = gone_on(tmp_path / "run", 12)
    again = read_records(tmp_path / "run")
    assert [(r.trial, r.architecture) for r in again] == [(r.trial, r.architecture) for r in whole]
    # the surrogate's last digits depend on the processor, and the fixture was made on another
    assert [r.reward for r in again] == pytest.approx([r.reward for r in whole], rel=1e-6)
    assert "not retraced" in said  # today's predictor learns otherwise, and what the run has proposed stays
    with Journal(tmp_path / "run") as journal:
        assert journal.remarks == []


@pytest.mark.parametrize(
    "content", ["", "[]", "schema: 9", "{schema: 1, space: 3}", "schema: 1\nevaluator: 5\n", "\0"]
)
def test_a_broken_basis_is_one_line_that_says_how_to_go_on(run, content):
    (run / BASIS).write_text(content)
    done = nas("resume", run)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{BASIS}" in done.stderr
    assert "remove the file if the trials were scored by search.yaml" in done.stderr
    (run / BASIS).unlink()
    gone_on(run)
    assert (run / BASIS).is_file()


def test_a_space_keeps_what_it_likes(run):
    document = {"networks": {}, "about": {1: "a", "b": {None: 2}}}
    settings = Run.open(run).settings
    object.__setattr__(settings.space, "document", document)
    assert basis_of(settings)["space"]["document"].keys() == document.keys()
