"""`nas finalists`: the best of a search, trained again until it is known which is the best."""

import json

import pytest
from rich.console import Console

from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.session import start_search
from tests.command import good, nas, refused


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search on the benchmark with its noise."""
    settings = make_settings(
        space="accel-nasbench", evaluator="benchmark", controller="random", trials=30, noise=True,
        targets={"benchmark_macs": "400M"},
    )  # fmt: skip
    return start_search(
        settings, tmp_path_factory.mktemp("searched") / "run", Placement(), Console(quiet=True)
    )


def test_the_best_is_found_and_the_same_command_goes_on(searched, tmp_path):
    command = ["finalists", searched.folder, "--top", "5", "--noise", "0.27", "--probability", "0.8", "--out",
               tmp_path / "race"]  # fmt: skip
    result = json.loads(good(*command, "--json"))
    ranked = searched.results(searched.records()).ranked[:5]
    assert set(result["trials"].values()) == {record.trial for record in ranked}
    rounds = sorted(path.name for path in (tmp_path / "race").iterdir() if path.is_dir())
    assert rounds == [f"round-{number}" for number in range(1, result["rounds"] + 1)]
    trained = [len(Run.open(tmp_path / "race" / name).records()) for name in rounds]
    assert sum(trained) == result["trainings"]
    assert trained[0] == 5
    seeds = {Run.open(tmp_path / "race" / name).settings.seed for name in rounds}
    assert len(seeds) == len(rounds)
    # a value is the reward of the finalist's accuracy at its costs in the search
    evaluator, reward = searched.settings.evaluator.make(), searched.settings.make_reward()
    true = {
        f"trial {r.trial}": reward(evaluator.surrogate.top1([r.architecture])[0] / 100, r.costs)
        for r in ranked
    }
    best = max(true, key=true.get)
    assert true[best] - true[result["standings"][0]["name"]] < 0.003
    assert result["standings"][0]["best"] == max(one["best"] for one in result["standings"])
    # again: nothing is trained
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "race").rglob("trials.jsonl")}
    assert json.loads(good(*command, "--json")) == result
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # with another number it would be another race, which would train others
    for name, value, was in (
        ("noise", "1.2", "0.27"),
        ("top", "4", "5"),
        ("seed", "3", "0"),
        ("most", "2", "5"),
    ):
        done = nas(*command, f"--{name}", value)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert (
            f"{name} {value}: the race in {tmp_path / 'race'} has {was}; choose another --out" in done.stderr
        )
    (tmp_path / "race" / "race.yaml").write_text("schema: 1")
    assert "race.yaml: field 'top' is missing" in nas(*command).stderr
    (tmp_path / "race" / "race.yaml").unlink()
    said = good(*command)
    assert "P(leader better)" in said
    assert f"{result['standings'][0]['name']}" in said
    assert "0.27 points" in said


def test_what_it_can_not_do_is_one_line(searched, tmp_path, monkeypatch, capsys):
    def refuse(arguments, words):
        refused(["finalists", *arguments], words, monkeypatch, capsys, tmp_path)

    run = searched.folder
    refuse([run, "--out", run], "folder of a run")
    refuse([run, "--out", "x", "--top", "1"], "top 1")
    refuse([run, "--out", "x", "--probability", "1"], "probability 1")
    refuse([run, "--out", "x", "--noise", "0"], "noise 0")
    refuse([run, "--out", "x", "--noise", "101"], "noise 101")
    refuse([run, "--out", "x", "--margin", "-1"], "margin -1")
    refuse([run, "--out", "x", "--epochs", "3"], "--epochs: only with a search that trains")
    refuse(["none", "--out", "x"], "no run there")
    assert not (tmp_path / "x").exists()
