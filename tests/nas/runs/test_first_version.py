"""Runs that the first version made are shown, reported and gone on with."""

import json
import shutil
from pathlib import Path

import pytest

from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.search.journal import read_records
from nas.session import resume_search
from tests.command import good

RUNS = Path(__file__).parents[2] / "data" / "first-version"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Copies in another folder, the working directory a third one: nothing outside the run is needed."""
    shutil.copytree(RUNS, tmp_path / "runs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "runs"


@pytest.mark.parametrize("name", ["benchmark", "digits", "study", "top2"])
def test_they_are_shown(kept, name):
    run = Run.open(kept / name)
    records = read_records(run.folder)
    results = run.results(records)
    assert len(records) == run.settings.trials
    assert run.winner(results) is not None
    document = json.loads(good("show", kept / name, "--json", cwd=kept.parent / "elsewhere"))
    assert document["settings"]["schema"] == 2
    assert len(document["pareto"]) == len(results.front)
    if name != "study":
        line = (kept / name / "pareto.csv").read_text().splitlines()[0]
        assert line.startswith("trial,accuracy,macs,params,")


def test_what_their_labels_said_is_read(kept):
    from nas.studies.scaling import study_points
    from nas.studies.stage_two import full_results

    study = Run.open(kept / "study")
    points = study_points(study.space, read_records(study.folder))
    assert [(p.mode, p.factor) for p in points] == [
        ("baseline", 1.0), *((mode, 2.0) for mode in ("width", "depth", "resolution", "compound")),
    ]  # fmt: skip
    two = Run.open(kept / "top2")
    first, second = full_results(two, read_records(two.folder))
    assert {first.trial, second.trial} <= {0, 1, 2}
    assert first.proxy_reward != second.proxy_reward


def test_one_goes_on_as_it_would_have(kept, capsys):
    from rich.console import Console

    run = resume_search(kept / "benchmark", Placement(), Console(quiet=True), trials=16)
    records = read_records(run.folder)
    assert [record.trial for record in records] == list(range(16))
    before = [json.loads(line) for line in (RUNS / "benchmark" / "trials.jsonl").read_text().splitlines()]
    assert [record.reward for record in records[:12]] == [line["reward"] for line in before]
    fresh = Run.open(kept / "benchmark")
    assert fresh.settings == run.settings
    assert Placement().kept_in(kept / "benchmark").cpus == 1
