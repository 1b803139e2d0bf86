"""`--log`: every ended trial is a run in a real local MLflow store, and in wandb's offline mode; none twice."""

import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

from nas.report import trial_log
from nas.report.mlflow_log import open_mlflow
from nas.report.tracked_trial import TrackedTrial
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.search.in_process import run_in_process
from nas.search.journal import Journal, read_records
from tests.command import good, nas
from tests.nas.search.fakes import FailsSometimes

SEARCH = ["search", "--evaluator", "benchmark", "--out", "run", "--trials"]


@pytest.fixture(autouse=True)
def trackers(monkeypatch, tmp_path):
    """Both, in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def in_mlflow(name="run"):
    from mlflow import MlflowClient

    client = MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return {run.info.run_name: run for run in runs}


def test_trials_are_runs_there_and_those_of_a_resumed_search_too(tmp_path):
    good(*SEARCH, "4", "--log", "mlflow,wandb")
    good("resume", "run", "--trials", "6")  # it remembers where to
    records = read_records(tmp_path / "run")
    found = in_mlflow()
    assert sorted(found) == [f"trial {number}" for number in range(6)]
    for record in records:
        run = found[f"trial {record.trial}"]
        assert run.info.status == "FINISHED"
        assert run.info.start_time == round(1000 * record.started)
        choices = {name: str(choice) for name, choice in record.choices.items()}
        assert run.data.params == {**choices, "seed": str(record.seed)}
        assert run.data.metrics.items() >= {"reward": record.reward, **record.costs}.items()
        assert run.data.tags["digest"] == record.digest
        (file,) = tmp_path.glob(f"wandb/*-{record.trial}-{record.digest[:6]}/*.wandb")
        content = file.read_bytes()
        for text in (f"trial {record.trial}", f"{record.reward}", "epoch/accuracy", next(iter(choices))):
            assert text.encode() in content
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 6
    # told to stop it stops; told again it has what was missed, and the rest once
    good("resume", "run", "--trials", "7", "--log", "none")
    assert len(in_mlflow()) == 6
    good("resume", "run", "--trials", "8", "--log", "mlflow")
    assert len(in_mlflow()) == 8
    # another machine knows nothing of what has been written; the store does
    (tmp_path / "run" / trial_log.TRACKED).unlink()
    good("resume", "run")
    assert len(in_mlflow()) == 8
    # a copy that goes on otherwise has runs of its own, and no second ones of what is shared
    shutil.copytree("run", "elsewhere/run")
    good("resume", "elsewhere/run", "--trials", "9")
    good("resume", "run", "--trials", "9")
    assert len(in_mlflow()) == 9  # the same network, by the same seed


def test_failed_and_copied_trials_are_what_they_are(tmp_path):
    run = Run.create(tmp_path / "run", SearchSettings(trials=24))
    with Journal(run.folder) as journal:
        log = trial_log.TrialLog(["mlflow"], "run", print)
        log.begin(run, ())
        run_in_process(run.loop(journal, 24, (log,)), FailsSometimes())
        log.close()
    found = in_mlflow()
    states = {"finished": "FINISHED", "failed": "FAILED"}
    for record in journal.records:
        tracked = found[f"trial {record.trial}"]
        assert tracked.info.status == states[record.state]
        assert tracked.data.tags.get("reason") == record.reason
        assert ("reward" in tracked.data.metrics) == (record.state == "finished")
    assert {"failed", "finished"} == {record.state for record in journal.records}
    curve = next(r for r in journal.records if r.state == "finished")
    from mlflow import MlflowClient

    points = MlflowClient().get_metric_history(found[f"trial {curve.trial}"].info.run_id, "epoch/accuracy")
    assert [(p.step, p.value) for p in points] == [(m["epoch"], m["accuracy"]) for m in curve.measurements]


def test_a_decision_of_several_fields_has_a_name_there(tmp_path):
    run = Run.create(tmp_path / "run", make_settings(trials=2, exportable_to="timm"))
    assert any("+" in decision.name for decision in run.space.decisions)
    with Journal(run.folder) as journal:
        log = trial_log.TrialLog(["mlflow", "wandb"], "run", pytest.fail)
        log.begin(run, ())
        run_in_process(run.loop(journal, 2, (log,)), FailsSometimes())
        log.close()
    for tracked in in_mlflow().values():
        assert len(tracked.data.params) == len(run.space.decisions) + 1
        assert "stage0.op_se_ratio" in tracked.data.params


def test_what_a_killed_search_left_half_written_is_replaced():
    tracker = open_mlflow("run")
    trial = TrackedTrial("k-0", "run", 0, "finished", {"a": 1}, [], {"reward": 0.5}, {}, 1.0, 2.0)
    tracker.write(trial)
    tracker.write(trial)
    (run,) = in_mlflow().values()
    from mlflow import MlflowClient

    client = MlflowClient()
    client.update_run(run.info.run_id, "RUNNING")
    tracker.write(trial)
    (again,) = in_mlflow().values()
    assert again.info.run_id != run.info.run_id
    assert again.data.metrics == {"reward": 0.5}


class Breaks:
    """Takes two trials."""

    def __init__(self, search):
        self.left = 2

    def write(self, trial):
        if not self.left:
            raise ConnectionError("gone\n\x1b[2Jfor good")
        self.left -= 1


class Hangs:
    ended = threading.Event()

    def __init__(self, search):
        pass

    def write(self, trial):
        self.ended.wait(20)


def test_a_tracker_that_fails_costs_no_trial_and_is_caught_up(monkeypatch, tmp_path):
    with monkeypatch.context() as broken:
        broken.setitem(trial_log._OPEN, "mlflow", Breaks)
        done = nas(*SEARCH, "5", "--log", "mlflow", "--json")
    assert (done.returncode, json.loads(done.stdout)["trials"]) == (0, 5)
    assert (
        done.stderr.count("log mlflow: ConnectionError: gone \\x1b[2Jfor good; the search itself goes on")
        == 1
    )
    assert "log mlflow: 3 trials are not there; `nas resume` writes them" in done.stderr
    # what was noted before stays there; a line that was cut short is written again
    noted = tmp_path / "run" / trial_log.TRACKED
    assert noted.read_text().count("\n") == 2
    noted.write_text(noted.read_text()[:-5])
    good("resume", "run")
    assert sorted(in_mlflow()) == ["trial 1", "trial 2", "trial 3", "trial 4"]


def test_one_that_hangs_is_waited_for_no_longer_than_said(monkeypatch, tmp_path):
    monkeypatch.setitem(trial_log._OPEN, "wandb", Hangs)
    run, said = Run.create(tmp_path / "run", SearchSettings(trials=3)), []
    with Journal(run.folder) as journal:
        log = trial_log.TrialLog(["wandb"], "run", said.append)
        log.begin(run, ())
        run_in_process(run.loop(journal, 3, (log,)), FailsSometimes())
        log.close(0.2)
    Hangs.ended.set()
    assert said == [
        "log wandb: does not answer within 0.2 s; the search itself goes on",
        "log wandb: 3 trials are not there; `nas resume` writes them",
    ]


def refused(*arguments):
    """The one line on stderr."""
    done = nas(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert not Path("run").exists()
    return done.stderr


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_what_can_not_be_used_is_said_before_anything(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    line = refused(*SEARCH, "3", "--log", name)
    assert f"log {name}: it is not installed; pip install 'baseline-nas[{name}]'" in line
    for log in ("mlfow", "wandb,none", ""):
        assert "expected one of wandb, mlflow, none" in refused(*SEARCH, "3", "--log", log)


def test_nobody_is_asked_for_a_key(monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "login", lambda prompt: False)
    assert "log wandb: nobody is logged in: `wandb login`" in refused(*SEARCH, "3", "--log", "wandb")
    good(*SEARCH, "3")
    done = nas("resume", "run", "--trials", "4", "--log", "wandb")
    assert (done.returncode, "`--log none` goes on without it" in done.stderr) == (2, True)


def test_a_store_that_can_not_be_reached_is_said_before_anything(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "log mlflow: MlflowException: " in refused(*SEARCH, "3", "--log", "mlflow")
