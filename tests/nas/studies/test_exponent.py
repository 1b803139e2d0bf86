"""`--exponent auto`: the networks it trains, the run that measures, stops, goes on and never measures again."""

import json
import shutil

import numpy as np
import pytest

from nas.benchmark.evaluator import BenchmarkEvaluator
from nas.latency.table import LATENCY
from nas.network.cost import cost
from nas.network.resolve import resolve_spec
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.measured import read_measured
from nas.search.journal import read_records
from nas.search.train_evaluator import guessing
from nas.studies.exponent import NETWORKS, SEEDS, ExponentStudy
from nas.studies.size_family import members_of, middle_member, widths_of
from search_spaces import InputError, get_space, reference
from search_spaces.document import write_document
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StageChoices, StagedSpace
from search_spaces.registry import usual_target
from tests.command import good, nas
from tests.nas.search.fakes import Fake

MIDDLE = reference("mobilenet-v2")
FIXED = StagedSpace(
    "fixed", (StageChoices(("ds", "mbconv3", "mbconv6"), (32,), kernel=(3, 5), repeats=(4,)),), MIDDLE
)
"""A space whose members have one width and one depth."""


def size_of(name, target):
    return lambda spec: np.log2(getattr(cost(spec), name) / target)


@pytest.mark.parametrize(
    ("space", "name", "target", "whole"),
    [
        (get_space("mnasnet"), "macs", 400e6, 0.02),
        (get_space("efficientnet"), "params", 5e6, 0.02),
        (get_space("mnasnet"), "macs", 40e6, 0.2),  # a few channels
        (FIXED, "macs", 400e6, 0.2),
    ],
)
def test_widths_meet_their_sizes(space, name, target, whole):
    family = widths_of(space, size_of(name, target), 6)
    assert list(family.doublings.values()) == pytest.approx(np.linspace(-2, 1, 6), abs=whole)
    first, *others = family.networks.values()
    for spec in others:  # in nothing but their widths
        alike = [vars(stage) | {"channels": 0} for stage in spec.stages]
        assert alike == [vars(stage) | {"channels": 0} for stage in first.stages]
        assert spec.resolution == first.resolution


@pytest.mark.parametrize("name", ["mnasnet", "accel-nasbench"])
def test_members_are_members_from_small_to_large(name):
    space = get_space(name)
    family = members_of(space, size_of("macs", 400e6), 24)
    sizes = list(family.doublings.values())
    assert sizes == sorted(sizes)
    assert sizes[-1] - sizes[0] > 1
    assert -2.1 < sizes[0] < 0 < sizes[-1] < 1.1
    for spec in family.networks.values():
        assert space.contains(spec)
        for stage, b0 in zip(spec.stages, reference("efficientnet-b0").stages, strict=True):
            assert (stage.op, stage.expansion, stage.kernel, stage.se_ratio) == (
                *(b0.op, b0.expansion, b0.kernel, b0.se_ratio),
            )


def test_a_target_beyond_the_space_takes_its_edge():
    space = get_space("accel-nasbench")
    large = members_of(space, size_of("macs", 4e9), 6).doublings
    small = members_of(space, size_of("macs", 1e7), 6).doublings
    assert max(large.values()) < 0 < min(small.values())
    for family in (large, small):
        assert max(family.values()) - min(family.values()) > 1


def test_where_no_size_is_to_choose():
    assert members_of(FIXED, size_of("macs", 1e9), 6).doublings  # by its expansion ratios
    one = StagedSpace("one", (StageChoices(("ds",), (32,), kernel=(3, 5)),), MIDDLE)
    with pytest.raises(InputError, match=r"exponent 'auto': space 'one' has too few networks .*\(2: from"):
        members_of(one, size_of("macs", 1e8), 6)
    with pytest.raises(InputError, match=r"too few networks of different cost to measure with \(0: none"):
        widths_of(one, size_of("macs", 1.0), 6)
    names = ("mobilenet-v2", "efficientnet-b2", "mnasnet-a1", "resnet50", "mobilenet-v1")
    networks = {name: resolve_spec(name) for name in names}
    listed = members_of(ListedSpace("mine", networks), size_of("macs", 400e6), 6)
    assert [spec.digest for spec in listed.networks.values()][-1] == (networks["efficientnet-b2"].digest)


def test_the_middle_of_a_space_without_b0():
    spec = FIXED.decode(middle_member(FIXED))
    assert (spec.stages[0].op, spec.stages[0].expansion) == ("mbconv", 3)
    assert get_space("mnasnet").decode(middle_member(get_space("mnasnet"))).stages == (
        reference("efficientnet-b0").stages
    )


@pytest.mark.parametrize(
    ("name", "middle"), [("efficientnet-v2", "efficientnetv2-s"), ("mobilenet-v4", "mobilenetv4-conv-m")]
)
def test_a_later_space_has_its_own_network_in_the_middle(name, middle):
    space = get_space(name)
    assert space.decode(middle_member(space)).blocks() == reference(middle).blocks()
    for family in (widths_of, members_of):
        found = family(space, size_of("macs", usual_target(name)), 8)
        assert found.about.lower().startswith(middle)
        assert max(found.doublings.values()) - min(found.doublings.values()) > 2


def test_guessing_is_the_commonest_class_and_a_margin():
    balanced = np.arange(1000) % 10
    assert guessing(balanced) == pytest.approx(0.1 + 3 * (0.09 / 1000) ** 0.5)
    assert guessing(np.array([0] * 90 + [1] * 10)) > 0.9
    assert guessing(balanced[:0]) == 0


def study(evaluator=None, more=lambda spec: {}, **settings):
    settings = make_settings(**({"exponent": "auto"} | settings))
    return ExponentStudy.of(settings, evaluator or Fake(), more)


def answers(accuracy):
    """Trains by a formula: accuracy(doublings, seed)."""
    asked = []

    def train(name, settings):
        asked.append(settings)
        run = _InMemory(settings)
        return run.space, run.records(accuracy)

    train.asked = asked
    return train


class _InMemory:
    def __init__(self, settings):
        self.settings, self.space = settings, settings.make_space()

    def records(self, accuracy):
        from nas.search.in_process import run_in_process
        from nas.search.journal import MemoryJournal
        from nas.search.loop import SearchLoop

        settings, space = self.settings, self.space

        class ByFormula(Fake):
            def start(self, spec, seed):
                label = space.choices(space.encode(spec))["network"]
                value = accuracy(space.about[label]["doublings"], settings.seed)
                return iter([{"epoch": 1, "accuracy": value}])

        journal = MemoryJournal()
        loop = SearchLoop(settings.make_controller(), settings.make_reward(), journal, settings.trials)
        run_in_process(loop, ByFormula())
        return journal.records


def test_each_seed_trains_every_network_to_the_end():
    train = answers(lambda size, seed: 0.8 * 1.03**size)
    found = study(scheduler="asha", seed=7, controller="evolution", targets={"params": "5M"}).run(train)
    assert found.exponent == -round(np.log2(1.03), 4)
    assert [settings.seed for settings in train.asked] == [7, 8]
    for settings in train.asked:
        assert (settings.trials, settings.training.scheduler) == (NETWORKS, "none")
        assert settings.reward.targets == {}
    assert (found.networks, found.trainings) == (NETWORKS, NETWORKS * SEEDS)
    assert all(len(row["accuracies"]) == SEEDS and row["params"] for row in found.rows.values())
    assert "a doubling of params brings +3.0% accuracy" in found.lines[0]


def test_without_noise_one_training_says_all():
    fake = Fake()
    fake.noisy = False
    found = study(fake).run(answers(lambda size, seed: 0.5 * 1.1**size))
    assert found.trainings == NETWORKS
    assert found.exponent == -round(np.log2(1.1), 4)


def test_several_targets_share_one_exponent():
    """The reward raises the product to w: where all double together, w pays for each of them."""
    measured = study(targets={"macs": "400M", "benchmark_macs": "400M"})
    found = measured.run(answers(lambda product, seed: 0.5 * 1.1 ** (product / 2)))
    assert found.exponent == pytest.approx(-np.log2(1.1) / 2, abs=1e-4)
    sizes = list(measured.family.doublings.values())  # an average over the targets
    assert (sizes[0], sizes[-1]) == pytest.approx((-2, 1), abs=0.1)


def test_a_cost_that_only_members_have_takes_members():
    space = get_space("mnasnet")

    def latency(spec):
        assert space.contains(spec), "the table has parts of the space's members only"
        return {LATENCY: cost(spec).macs / 1e7}

    found = study(more=latency, latency_table="t.json", targets={LATENCY: 40})
    assert all(space.contains(spec) for spec in found.family.networks.values())
    assert found.seeds == SEEDS
    listed = found._listed(0)
    assert listed.latency_table is None


SEARCH = ["search", "--evaluator", "benchmark", "--trials", "6", "--exponent", "auto"]


@pytest.fixture
def starts(monkeypatch):
    """Networks that the benchmark is asked for; it is interrupted before the one at `starts.stop`."""

    class Starts(list):
        stop = None

    asked, start = Starts(), BenchmarkEvaluator.start

    def noted(self, spec, seed):
        if len(asked) == asked.stop:
            raise KeyboardInterrupt
        asked.append((spec.digest, seed))
        return start(self, spec, seed)

    monkeypatch.setattr(BenchmarkEvaluator, "start", noted)
    return asked


def content(folder):
    lines = [json.loads(line) for path in sorted(folder.rglob("trials.jsonl")) for line in path.open()]
    for line in lines:
        del line["started"], line["seconds"]
    return lines, (folder / "search.yaml").read_text(), (folder / "exponent/measured.yaml").read_text()


def test_on_the_benchmark(tmp_path, starts):
    done = nas(*SEARCH, "--out", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    run, found = Run.open(tmp_path / "x"), read_measured(tmp_path / "x")
    assert "measuring w first: 16 networks, EfficientNet-B0 and members smaller and larger" in done.stderr
    assert found.lines[0] in done.stderr
    assert -0.10 < run.settings.reward.exponent == found.exponent < -0.06
    assert found.low <= -found.exponent <= found.high
    assert [o.below for o in run.settings.make_reward().objectives] == [found.exponent]
    for record in read_records(run.folder):
        ratio = record.costs["benchmark_macs"] / 400e6
        assert record.reward == pytest.approx(record.accuracy * ratio**found.exponent)
    assert f"Measured before the search: {found.lines[0]}" in good("show", run.folder)
    document = json.loads(good("show", run.folder, "--json"))
    assert document["measured_exponent"]["exponent"] == found.exponent
    good("report", run.folder)
    assert "Measured before the search: a doubling of MACs" in (run.folder / "report.html").read_text()


def test_with_noise_each_network_is_asked_twice(tmp_path):
    good(*SEARCH, "--noise", "--out", tmp_path / "x")
    found = read_measured(tmp_path / "x")
    assert found.trainings == 2 * found.networks
    assert all(len(set(row["accuracies"])) == 2 for row in found.rows.values())


def test_a_resumed_run_does_not_measure_again(tmp_path, starts):
    good(*SEARCH, "--out", tmp_path / "x")
    before = (tmp_path / "x/exponent/measured.yaml").read_bytes()
    for again in (["resume", tmp_path / "x"], [*SEARCH, "--out", tmp_path / "x", "--or-resume"]):
        starts.clear()
        done = nas(*again, "--trials", "8" if again[0] == "resume" else "9")
        assert done.returncode == 0, done.stderr
        assert "measuring" not in done.stderr
        assert 1 <= len(starts) <= 3
        assert (tmp_path / "x/exponent/measured.yaml").read_bytes() == before
    other = [*SEARCH[:-1], "-0.5", "--out", tmp_path / "x", "--or-resume"]
    done = nas(*other)
    assert done.returncode == 2
    assert "exponent -0.5: the run in" in done.stderr


STOPS = [(again, stop) for again in ("resume", "or-resume", "storage") for stop in (0, 5, 20, 36)]
QUICK = {("resume", 5), ("or-resume", 0), ("storage", 20), ("storage", 36)}


@pytest.mark.parametrize(
    ("again", "stop"),
    [pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.slow]) for case in STOPS],
)
def test_a_stopped_measurement_goes_on_and_repeats_nothing(tmp_path, starts, stop, again):
    search = [*SEARCH, "--noise"]
    good(*search, "--out", tmp_path / "whole" / "x")
    whole = list(starts)
    starts.clear()
    starts.stop = stop
    stored = ["--storage", tmp_path / "kept"] if again == "storage" else []
    done = nas(*search, "--out", tmp_path / "x", *stored)
    assert done.returncode == 130, done.stderr
    assert len(starts) == stop
    assert read_measured(tmp_path / "x") is None or stop > 32
    starts.stop = None
    if again == "storage":
        shutil.rmtree(tmp_path / "x")
        good("resume", tmp_path / "kept" / "x", "--out", tmp_path / "x")
    elif again == "resume":
        good("resume", tmp_path / "x")
    else:
        good(*search, "--out", tmp_path / "x", "--or-resume")
    assert starts == whole  # each once, in the same order
    assert content(tmp_path / "x") == content(tmp_path / "whole" / "x")


def test_a_config_may_say_auto_and_a_measured_one_says_the_number(tmp_path, starts):
    write_document(tmp_path / "c.yaml", {"schema": 2, "reward": {"exponent": "auto"}})
    good(*SEARCH[:-2], "--config", tmp_path / "c.yaml", "--out", tmp_path / "x", "--space", "accel-nasbench")
    w = read_measured(tmp_path / "x").exponent
    starts.clear()
    good("search", "--config", tmp_path / "x/search.yaml", "--out", tmp_path / "y")
    assert len(starts) <= 6
    assert Run.open(tmp_path / "y").settings.reward.exponent == w
    assert read_measured(tmp_path / "y") is None


def test_a_network_that_learns_nothing_stops_the_search_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(BenchmarkEvaluator, "chance", property(lambda _: 0.9, lambda *_: None), raising=False)
    done = nas(*SEARCH, "--out", tmp_path / "x")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "nas: error: exponent 'auto': 0 of 16 networks learned more than guessing (accuracy above 0.900)"
    )
    assert read_records(tmp_path / "x") == []
    assert len(read_records(tmp_path / "x/exponent/seed-0")) == 16  # kept
