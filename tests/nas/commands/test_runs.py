"""`nas show` of a folder of runs."""

import json
import shutil

import pytest

from nas.runs.folder import Run
from nas.runs.several import find_runs
from tests.command import nas


@pytest.fixture
def runs(tmp_path, finished_run):
    """Three runs: two that differ in their seed, one of another reward, and one that can't be read."""
    for name in ("b", "a", "deep/er/c"):
        shutil.copytree(finished_run.folder, tmp_path / name)
    for name, old, new in (
        ("a", "seed: 0", "seed: 5"),
        ("deep/er/c", "macs: 400000000.0", "macs: 1000000.0"),
    ):
        path = tmp_path / name / "search.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        (tmp_path / name / "basis.yaml").unlink(missing_ok=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "search.yaml").write_text("schema: 99\n")
    shutil.copytree(finished_run.folder, tmp_path / "a" / "exponent" / "part")  # no run of its own
    return tmp_path


def document(*arguments):
    done = nas("show", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_run_is_a_line_whatever_is_wrong_with_one(runs):
    shown = document(runs)
    assert [run["name"] for run in shown["runs"]] == ["a", "b", "broken", "deep/er/c"]
    states = [run["state"] for run in shown["runs"]]
    assert states == ["done", "done", "unreadable", "done"]
    assert "schema 99" in shown["runs"][2]["reason"]
    assert shown["differences"] == {"reward.targets.macs": [4e8, 4e8, 1e6], "seed": [5, 0, 0]}
    done = nas("show", runs)
    assert done.returncode == 0
    assert "Settings that differ" in done.stdout
    assert "8/8" in done.stdout


def test_a_line_has_the_best_by_the_runs_own_target(runs):
    shown = {run["name"]: run for run in document(runs)["runs"]}
    run = Run.open(runs / "deep/er/c")
    best = run.results(run.records()).best
    assert (shown["deep/er/c"]["reward"], shown["deep/er/c"]["accuracy"]) == (best.reward, best.accuracy)
    assert shown["deep/er/c"]["costs"] == {"macs": best.costs["macs"]}
    assert shown["deep/er/c"]["reward"] != shown["b"]["reward"]


def test_sorted_the_best_come_first_and_those_without_a_result_last(runs):
    for order, sign in (("reward", -1), ("accuracy", -1), ("trials", -1), ("cost", 1)):
        shown = document(runs, "--sort", order)["runs"]
        key = (lambda run: run["costs"]["macs"]) if order == "cost" else (lambda run, o=order: run[o])
        values = [sign * key(run) for run in shown if run["state"] != "unreadable"]
        assert values == sorted(values)
        assert shown[-1]["name"] == "broken"
    refused = nas("show", runs, "--sort", "size")
    assert refused.returncode == 2
    assert "unknown sort 'size'" in refused.stderr


def test_one_that_runs_says_so(runs):
    with Run.open(runs / "b").journal():
        assert next(run for run in document(runs)["runs"] if run["name"] == "b")["state"] == "running"
    assert next(run for run in document(runs)["runs"] if run["name"] == "b")["state"] == "done"


def test_a_name_that_no_folder_has_is_no_folder(runs):
    assert find_runs(runs / "nothing") == []
    assert nas("show", str(runs / "broken" / "nothing")).returncode == 2
