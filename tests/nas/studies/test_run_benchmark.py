"""A benchmark that is made of runs: what it is made of, how it ranks, what uses it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from nas.benchmark.run_surrogate import Trainings, read_run_surrogate
from nas.benchmark.source import OracleSource, make_oracle, sources_of
from nas.benchmark.table import read_table
from nas.commands.outputs import kind_of
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.session import start_search
from nas.studies import run_benchmark
from nas.studies.run_benchmark import RunTrainings, held_out_sheet
from search_spaces import InputError
from tests.command import good, nas, refused


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two searches on the benchmark, with its noise."""
    folder, made = tmp_path_factory.mktemp("runs"), {}
    for name, seed in (("a", 1), ("b", 2)):
        settings = make_settings(
            space="accel-nasbench", evaluator="benchmark", controller="random", trials=40, seed=seed,
            noise=True, targets={"benchmark_macs": "400M"},
        )  # fmt: skip
        made[name] = start_search(settings, folder / name, Placement(), Console(quiet=True))
    return made


@pytest.fixture(scope="module")
def benchmark(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "mine.json"
    return path, json.loads(good("benchmark", "--from", runs["a"].folder, "--out", path, "--json"))


def test_it_ranks_networks_that_it_never_saw(benchmark, runs):
    path, document = benchmark
    sheet = document["ranking"]
    assert sheet["count"] == 40
    tau = sheet["rows"][0]["all"]["tau"]
    assert 0.4 < tau < 0.95  # held out: what it was fitted on, it would rank with .99
    assert document["about"]["held_out_tau"][0] == tau
    made = read_run_surrogate(path)
    assert made.digest == document["digest"]
    records = runs["a"].records()
    fitted = made.top1([record.architecture for record in records]) / 100
    seen = np.array([record.accuracy for record in records])
    assert np.corrcoef(fitted, seen)[0, 1] > 0.95


def test_the_sheet_is_of_what_was_held_out():
    """Of accuracies drawn at random it says that nothing is ranked."""
    space = make_settings(space="accel-nasbench", evaluator="benchmark").make_space()
    rng = np.random.default_rng(0)
    rows = np.array([space.sample(rng) for _ in range(60)])
    sheet = held_out_sheet(Trainings(space, rows, [[value] for value in rng.uniform(0.4, 0.6, 60)]))
    assert abs(sheet.rows[0].all.tau) < 0.25
    assert sheet.below or "isn't surely" in sheet.verdicts["surrogate, held out"]


def test_searches_and_comparisons_run_on_it(benchmark, tmp_path):
    path, _ = benchmark
    said = good("search", "--evaluator", "benchmark", "--benchmark-data", path, "--trials", "12", "--out",
                tmp_path / "run")  # fmt: skip
    assert f"Accuracy: predicted by {path}" in said
    run = Run.open(tmp_path / "run")
    assert run.space.name == "accel-nasbench"
    assert run.settings.reward.targets == {"benchmark_macs": 400e6}  # the run's own
    made = read_run_surrogate(path)
    for record in run.records():
        assert record.accuracy == pytest.approx(made.top1([record.architecture])[0] / 100)
    good("resume", tmp_path / "run", "--trials", "14")
    lines = []
    (source,) = sources_of([], [str(path)], [], None, ["macs=400M"], None, lines.append)
    assert "held-out tau" in lines[0]
    oracle = make_oracle(source)
    record = run.records()[0]
    ratio = record.costs["macs"] / 400e6
    expected = record.accuracy * ratio**-0.07
    assert oracle.rewards(np.array([record.architecture]))[0] == pytest.approx(expected)
    assert oracle.accuracy(record.architecture) == pytest.approx(record.accuracy)
    with pytest.raises(InputError, match="noise"):
        oracle.noise_asked()


def test_seeds_of_several_runs_tell_the_noise(runs):
    both = RunTrainings([runs["a"], Again(runs["a"], 77)])
    assert [len(values) for values in both.accuracies] == [2] * 40
    assert both.trainings().noise == pytest.approx(0.0027, rel=0.4)
    assert RunTrainings([runs["a"], runs["a"]]).trainings().noise is None  # the same trainings
    assert len(RunTrainings([runs["a"], runs["b"]]).networks) == 80
    quiet = Again(runs["b"], 0)
    quiet.settings = replace(quiet.settings, evaluator=replace(quiet.settings.evaluator, noise=False))
    with pytest.raises(InputError, match="scored in another way"):
        RunTrainings([runs["a"], quiet])


class Again:
    """A run whose networks were trained again, with another seed."""

    def __init__(self, run, seed):
        self.settings, self.space, self.folder, self._run, self._seed = (
            run.settings,
            run.space,
            "again",
            run,
            seed,
        )

    def records(self):
        evaluator = self.settings.evaluator.make()
        return [
            replace(
                r, seed=r.seed + 1, accuracy=next(evaluator.start(self._run.spec(r), r.seed + 1))["accuracy"]
            )
            for r in self._run.records()
        ]


def test_the_table_is_what_compare_reads(runs, tmp_path):
    said = good("benchmark", "--from", runs["a"].folder, "--out", tmp_path / "mine.csv")
    assert "40 trainings of 40 networks" in said
    table = read_table(str(tmp_path / "mine.csv"))
    records = {record.architecture: record for record in runs["a"].records()}
    assert len(table.rows) == 40
    assert sorted(table.accuracies) == pytest.approx(sorted(r.accuracy for r in records.values()))
    assert sorted(table.costs["macs"]) == sorted(r.costs["macs"] for r in records.values())


def test_what_it_can_not_do_is_one_line(benchmark, runs, tmp_path, monkeypatch, capsys):
    path, _ = benchmark

    def refuse(arguments, words):
        refused(arguments, words, monkeypatch, capsys, tmp_path)

    run = runs["a"].folder
    refuse(["benchmark", "--from", run, "--out", "x.txt"], "x.txt")
    refuse(["benchmark", "--from", run, "--from", run, "--out", "x.json"], "is given twice")
    refuse(["benchmark", "--from", "none", "--out", "x.json"], "none: no run there")
    (tmp_path / "other.json").write_text('{"rows": 1, "landmarks": 2}')
    refuse(["benchmark", "--from", run, "--out", "other.json"], "comparison")
    on = ["search", "--evaluator", "benchmark", "--benchmark-data", path, "--out", "x"]
    refuse([*on, "--surrogate", "gb"], "--surrogate")
    refuse([*on, "--noise"], "one training of each network")
    refuse([*on, "--space", "mnasnet"], "space 'mnasnet'")
    refuse([*on, "--target", "latency_zcu102=5"], "analytic costs only")
    refuse([*on[:4], "other.json", "--out", "x"], "no benchmark by `nas benchmark`")
    refuse(["compare", "--table", path, "--target", "train_time=5"], "train_time")
    refuse(["plan", "--benchmark-data", path], "train_time")
    assert not (tmp_path / "x").exists()


def test_the_same_command_again_replaces_its_own_file(benchmark, runs, tmp_path):
    path, _ = benchmark
    assert kind_of(path) == "benchmark of runs"
    few = nas("benchmark", "--from", runs["a"].folder, "--out", tmp_path / "t.csv")
    assert few.returncode == 0
    assert kind_of(tmp_path / "t.csv") == "table of trainings"
    good("benchmark", "--from", runs["a"].folder, "--out", tmp_path / "t.csv")


def test_a_damaged_file_is_refused(benchmark, tmp_path):
    path, _ = benchmark
    known = json.loads(path.read_text())
    for change, words in (
        ({"rows": known["rows"][:5], "accuracies": known["accuracies"][:5]}, "5 networks"),
        ({"rows": [[9] * len(row) for row in known["rows"]]}, "architectures of its space"),
        ({"accuracies": known["accuracies"][1:]}, "a list for each"),
        ({"accuracies": [[1.5]] * 40}, "fractions"),
        ({"parameters": known["parameters"][1:]}, "parameters"),
        ({"about": {"noise": -1}}, "noise"),
        ({"about": {"targets": [1]}}, "targets"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps(known | change))
        with pytest.raises(InputError, match=words):
            read_run_surrogate(tmp_path / "bad.json")
    assert make_oracle(OracleSource(str(path), "table")).noise is None


def test_epochs_are_kept_and_left_out_where_they_are_too_many(runs, tmp_path, monkeypatch):
    """Of trainings that tell every epoch."""
    records = runs["a"].records()
    longer = [
        replace(
            record, measurements=[{"epoch": 1, "accuracy": 0.1}, {"epoch": 2, "accuracy": record.accuracy}]
        )
        for record in records
    ]
    monkeypatch.setattr(Run, "records", lambda self, *said: longer)
    said = good("benchmark", "--from", runs["a"].folder, "--out", tmp_path / "both.json")
    assert "the accuracies after each of 2 epochs are in it" in said
    assert read_run_surrogate(tmp_path / "both.json").epochs == 2
    monkeypatch.setattr(run_benchmark, "_MOST_POINTS", 79)
    said = good("benchmark", "--from", runs["a"].folder, "--out", tmp_path / "last.json")
    assert "the accuracies after each of 2 epochs are not (they are too many) in it" in said
    assert read_run_surrogate(tmp_path / "last.json").epochs == 1
