"""Searches on a real Ray cluster in this process: 2 CPUs, 2 logical GPUs."""

import time
from pathlib import Path

import pytest
import ray

from controller import make_controller
from nas.cluster import bridge
from nas.cluster.nodes import Resources, check_room, connect, room
from nas.cluster.tune import run_on_ray
from nas.runs.logs import log_path
from nas.runs.storage import Checkpoints
from nas.search.journal import Journal, read_records
from nas.search.loop import SearchLoop
from nas.search.reward import make_reward
from search_spaces import InputError, get_space
from tests.nas.cluster.local_cluster import wait_for
from tests.nas.search.fakes import (
    Crashes,
    FailsSometimes,
    Fake,
    Hangs,
    KillsItsWorker,
    NeedsAWholeGpu,
    Noted,
    SecondStartsSlowly,
    Stalls,
)

pytestmark = pytest.mark.usefixtures("cluster")


TWO = Resources(2)


def search(folder, evaluator, trials, resources=TWO, controller="evolution", **kwargs):
    with Journal(folder) as journal:
        made = make_controller(controller, get_space("mnasnet"), 0)
        reward = make_reward("soft", {"macs": "400M"})
        loop = SearchLoop(made, reward, journal, trials, epochs=evaluator.epochs)
        run_on_ray(loop, evaluator, folder, resources, **kwargs)
    return read_records(folder)


def test_all_trials_end_and_failures_are_kept(tmp_path):
    records = search(tmp_path, FailsSometimes(), 24, Resources(2, gpus=0.5))
    assert sorted(r.trial for r in records) == list(range(24))
    failed = [r for r in records if r.state == "failed"]
    assert failed
    assert {r.reason for r in failed} == {"diverged: made up"}
    for record in records:
        if record.state == "finished":
            assert [m["epoch"] for m in record.measurements] == [1, 2]
            assert record.accuracy == record.seed % 1000 / 1000
            assert ":" in record.worker
    assert len({r.worker for r in records}) <= 2  # actors are reused
    for name in ("ray", "checkpoints", "running.json"):  # only of use while it ran
        assert not (tmp_path / name).exists()


@pytest.mark.slow  # test_bridge.py has the rules; here each worker loads torch
def test_what_lacks_gpu_memory_beside_others_has_a_gpu_to_itself(tmp_path):
    """It goes on from its checkpoint there, and its failure is booked where it was alone."""
    notes = tmp_path / "notes"
    for folder in (notes, tmp_path / "run", tmp_path / "again"):
        folder.mkdir()
    half = Resources(2, cpus=0.5, gpus=0.5)
    records = search(tmp_path / "run", NeedsAWholeGpu(notes), 5, half, "random")
    large = [r for r in records if r.seed % 3 == 0]
    assert large
    assert {r.state for r in records} == {"finished"}
    for record in records:
        ran = (notes / str(record.seed)).read_text().splitlines()
        assert ran == (["1 0.5", "2 0.5", "2 1", "3 1"] if record in large else ["1 0.5", "2 0.5", "3 0.5"])
    log = log_path(tmp_path / "run", large[0].trial).read_text()
    assert "attempt 1 lost: out of GPU memory with 0.5 GPU; next with a whole GPU" in log
    again = search(tmp_path / "again", NeedsAWholeGpu(notes, greedy=True), 3, half, "random")
    assert [r.reason for r in again if r.seed % 3 == 0] == [
        "out of GPU memory" for r in again if r.seed % 3 == 0
    ]
    assert any(r.state == "failed" for r in again)


@pytest.mark.slow
def test_a_worker_that_starts_longer_than_trials_take_gets_to_start(tmp_path):
    """Tune would give its trial to the other worker, end it, start the next one, and so on to the end."""
    records = search(tmp_path, SecondStartsSlowly(tmp_path), 80, controller="random")
    assert {r.state for r in records} == {"finished"}
    assert len({r.worker for r in records}) == 2


def test_fractions_of_a_gpu_let_trials_share():
    assert room(Resources(gpus=1)) == 2
    assert room(Resources(gpus=0.5, cpus=0.5)) == 4
    assert room(Resources(gpus=2)) == 1


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            Resources(3, gpus=1),
            "3 trials of 1 CPU and 1 GPU need 3 CPU and 3 GPU, the cluster has 2 CPU and 2 GPU",
        ),
        (Resources(1, gpus=4), "need 1 CPU and 4 GPU"),
        (Resources(0, cpus=8), "room for 0"),
        (Resources(2, cpus=2), "room for 1"),
    ],
)
def test_too_many_for_the_cluster_is_said_at_once(resources, message):
    with pytest.raises(InputError, match=message):
        check_room(resources)


@pytest.mark.parametrize(
    "bad", [{"concurrent": -1}, {"cpus": 0}, {"gpus": -1}, {"gpus": 1.5}, {"cpus": float("nan")}]
)
def test_bad_resources(bad):
    with pytest.raises(InputError, match="expected"):
        Resources(**bad)


def test_unknown_scheduler_and_address(tmp_path):
    with pytest.raises(InputError, match="did you mean 'asha'"):
        search(tmp_path, Fake(), 2, scheduler="ashaa")
    connect()  # connected already: nothing to do


def test_the_cluster_that_was_joined_is_known_by_the_name_it_was_joined_by(monkeypatch):
    """A host's name stands for what Ray calls by its number; another cluster is refused, not ignored."""
    monkeypatch.setattr("nas.cluster.nodes._joined", "localhost:6379")
    connect("localhost:6379")
    with pytest.raises(InputError, match="is connected to .* already"):
        connect("elsewhere:6379")


def test_a_killed_worker_costs_no_trial_and_no_epoch(tmp_path):
    """The trial's worker is killed in its third epoch; it goes on from the checkpoint of the second."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (record,) = search(tmp_path, KillsItsWorker(notes), 1)
    assert (record.trial, record.state) == (0, "finished")
    assert [m["epoch"] for m in record.measurements] == [1, 2, 3, 4]
    assert (notes / record.digest).read_text().split() == ["1", "2", "3", "3", "4"]


@pytest.mark.slow  # as in test_bridge.py
def test_a_worker_that_dies_every_time_fails_its_trial_only(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    records = search(tmp_path, KillsItsWorker(notes, always=True), 1, retries=1)
    assert [r.state for r in records] == ["failed"]
    assert {r.reason for r in records} == {"its worker process died (2 attempts)"}


def test_an_exception_fails_its_trial_with_its_cause(tmp_path):
    records = search(tmp_path, Crashes(), 2, retries=0)
    assert {r.reason for r in records} == {"RuntimeError: a defect, not a diverged training"}


def test_a_trial_whose_driver_died_goes_on_from_its_checkpoint(tmp_path):
    """Also from the checkpoint of its last epoch, whose result never reached the journal."""
    for trial, epochs in ((0, 2), (1, 4)):
        rows = [{"epoch": e + 1, "accuracy": 0.125} for e in range(epochs)]
        state = {"rows": rows, "evaluation": {"epoch": epochs}}
        Checkpoints(str(tmp_path / "checkpoints")).save(trial, state)
    notes = tmp_path / "notes"
    notes.mkdir()
    records = sorted(search(tmp_path, KillsItsWorker(notes, epochs=4), 2), key=lambda r: r.trial)
    assert [r.state for r in records] == ["finished"] * 2
    assert all([m["epoch"] for m in r.measurements] == [1, 2, 3, 4] for r in records)
    assert (notes / records[0].digest).read_text().split() == ["3", "3", "4"]
    assert not (notes / records[1].digest).exists()
    assert records[1].accuracy == 0.125


def test_a_hanging_trial_is_ended_by_its_time_limit(tmp_path):
    records = search(tmp_path, Hangs(tmp_path), 5, timeout=4)
    assert len(records) == 5
    hung = [r for r in records if r.seed % 3 == 0]
    assert hung
    for record in records:
        assert record.state == ("failed" if record in hung else "finished")
    assert {record.reason for record in hung} == {"over the time limit of 4 s"}
    assert "failed: over the time limit" in log_path(tmp_path, hung[0].trial).read_text()


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("start", "its worker did not start within 8 s"),
        ("hand-over", "its worker did not take it on within 3 s"),
    ],
)
@pytest.mark.slow  # test_bridge.py has the rules; here it is waited for
def test_a_worker_that_stalls_before_its_trial_began_is_ended(tmp_path, monkeypatch, when, reason):
    """It is a lost worker: its process goes, its trial goes to another, and `--retries` counts it."""
    monkeypatch.setattr(bridge, "_TO_START", 8)
    records = search(tmp_path, Stalls(tmp_path, when), 4, Resources(1), timeout=3, retries=1)
    assert {record.state for record in records} == {"finished"}
    assert len(records) == 4
    logs = "".join(log_path(tmp_path, trial).read_text() for trial in range(4))
    assert logs.count(" lost: ") == 1
    assert f"attempt 1 lost: {reason}; starting it again" in logs
    stopped = int((tmp_path / "stopped").read_text())
    wait_for(lambda: not Path(f"/proc/{stopped}").exists(), "the stopped process to be gone", 20)


@pytest.mark.slow
def test_a_trial_that_waits_for_a_free_cpu_has_its_time(tmp_path, monkeypatch):
    """Somebody else's task has the CPUs for longer than a worker's start and a trial may take."""
    monkeypatch.setattr(bridge, "_TO_START", 8)
    began = time.monotonic()
    held = ray.remote(num_cpus=2)(lambda: time.sleep(15)).remote()
    records = search(tmp_path, Fake(), 4, timeout=3, retries=0)
    assert time.monotonic() - began > 15
    ray.get(held)
    assert [record.state for record in records] == ["finished"] * 4
    assert not any("lost" in log_path(tmp_path, trial).read_text() for trial in range(4))


def test_a_node_without_the_data_or_the_storage_is_named(tmp_path):
    class Elsewhere(Fake):
        folders = (str(tmp_path / "not-there"),)

    with pytest.raises(InputError, match=r"node [\d.]+ \(.*\): cannot read the folder .*not-there"):
        search(tmp_path, Elsewhere(), 2)
    other = Checkpoints(str(tmp_path / "other"))
    other.mark()
    assert not other.sees("another one's mark")
    with pytest.raises(InputError, match="cannot write"):
        search(tmp_path, Noted(tmp_path), 2, storage="/proc/nowhere")


@pytest.mark.parametrize(
    "scheduler", ["predictor", *(pytest.param(name, marks=pytest.mark.slow) for name in ("asha", "median"))]
)
def test_schedulers_end_trials_early(tmp_path, scheduler):
    controller = "predictor" if scheduler == "predictor" else "random"
    records = search(tmp_path, Fake(epochs=9), 30, scheduler=scheduler, controller=controller)
    states = [r.state for r in records]
    assert len(records) == 30
    assert states.count("stopped") > 3
    assert states.count("finished") > 0
    for record in records:
        assert record.reward is not None
        assert (len(record.measurements) == 9) == (record.state == "finished")
        assert "lost" not in log_path(tmp_path, record.trial).read_text()  # ended, not begun again


@pytest.mark.parametrize("scheduler", ["asha", "median", "predictor"])
def test_a_scheduler_that_has_nothing_to_end_is_refused(tmp_path, scheduler):
    with pytest.raises(InputError, match=f"scheduler '{scheduler}': a trial of 1 epoch is over before"):
        search(tmp_path, Fake(epochs=1), 2, scheduler=scheduler)


def test_an_error_in_the_loop_ends_the_search_and_is_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(Journal, "append", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        search(tmp_path, Fake(), 6)


def test_the_data_is_in_the_object_store_once(tmp_path):
    """Two workers map the same shared pages: the evaluator is stored once, not sent with each trial."""
    import numpy as np

    class Heavy(Fake):
        def __init__(self):
            super().__init__()
            self.data = np.ones(50_000_000, np.uint8)

        def hook(self, evaluation):
            assert not self.data.flags.writeable  # a view into the store, not a copy

    before = ray.available_resources()["object_store_memory"]
    records = search(tmp_path, Heavy(), 6)
    assert {r.state for r in records} == {"finished"}
    used = before - ray.available_resources()["object_store_memory"]
    assert used < 120_000_000
