"""The bridge's record of attempts: what goes out, is lost, goes out again and ends. No cluster."""

import pickle
import random
from types import SimpleNamespace

import pytest
import ray

from controller import make_controller
from nas.cluster import bridge
from nas.cluster.attempt import Attempt
from nas.cluster.bridge import LoopCallback, LoopSearch
from nas.cluster.nodes import Resources
from nas.cluster.tune_inside import Asked
from nas.cluster.worker import out_of_gpu_memory
from nas.runs.logs import TrialLogs, log_path
from nas.search.journal import MemoryJournal
from nas.search.loop import SearchLoop
from nas.search.reward import make_reward
from search_spaces import get_space

EPOCHS, TRIALS = 3, 60
NODE_DIED = ray.exceptions.RayActorError(error_msg="The actor died because its node has died.")
WORKER_DIED = ray.exceptions.RayActorError(error_msg="The actor died: worker process exit.")


class _Actor:
    """A worker process."""

    def __init__(self, number):
        self._actor_id = number


class Tune:
    """Stands for Tune: takes trials from the searcher and tells the callback what becomes of them."""

    def __init__(self, folder, trials=3, room=2, retries=1, timeout=None):
        made = make_controller("random", get_space("mnasnet"), 0)
        reward = make_reward("soft", {"macs": "400M"})
        self.loop = SearchLoop(made, reward, MemoryJournal(), trials)
        self.search = LoopSearch(self.loop, Resources(room), EPOCHS, lambda status: None)
        self.removed = []
        checkpoints = SimpleNamespace(remove=self.removed.append)
        logs = TrialLogs(folder)
        self.callback = LoopCallback(self.search, checkpoints, logs, retries, timeout, lambda: None)
        self.folder, self.count, self.out, self.asked = folder, 0, [], {}
        self.search.follow(lambda: self.asked)

    def give(self):
        """The next trial, as Tune makes it; None if the searcher gives none."""
        self.count += 1
        config = self.search.suggest(f"tune{self.count}")
        if not isinstance(config, dict):
            return None
        run_metadata = SimpleNamespace(metric_analysis={}, metric_n_steps={})
        trial = SimpleNamespace(
            trial_id=f"tune{self.count}", config=config, local_path=None, run_metadata=run_metadata
        )
        trial.temporary_state = SimpleNamespace(ray_actor=_Actor(self.count))
        trial.pickled_error_file, trial.epoch = None, 0
        self.out.append(trial)
        return trial

    def ask(self, trial, runs=False):
        """A worker is asked to take it on; it has started before, or starts now."""
        self.asked[trial.trial_id] = Asked(trial.temporary_state.ray_actor, runs)
        self.callback.on_step_end(0, [])

    def start(self, trial):
        self.ask(trial)
        self.callback.on_trial_start(0, [], trial)

    def step(self, trial, rows=1, **more):
        """A result: the next epoch, with those before it if the worker went on from a checkpoint."""
        trial.epoch += rows
        epochs = range(trial.epoch - rows + 1, trial.epoch + 1)
        told = [{"epoch": epoch, "accuracy": 0.1 * epoch} for epoch in epochs]
        last = trial.epoch == EPOCHS
        result = {"rows": pickle.dumps(told), "last": last, "node": "n" * 8, "gpus": "0"}
        self.callback.on_trial_result(0, [], trial, result | {"hostname": "host", "pid": 7} | more)

    def complete(self, trial):
        self.out.remove(trial)
        self.asked.pop(trial.trial_id, None)
        self.callback.on_trial_complete(0, [], trial)

    def lose(self, trial, error=WORKER_DIED):
        self.out.remove(trial)
        self.asked.pop(trial.trial_id, None)
        path = self.folder / f"{trial.trial_id}.pkl"
        path.write_bytes(pickle.dumps(error))
        trial.pickled_error_file = str(path)
        self.callback.on_trial_error(0, [], trial)
        self.callback.on_step_end(0, [])

    def finish(self, trial):
        while trial.epoch < EPOCHS:
            self.step(trial)
        self.complete(trial)


@pytest.fixture
def tune(tmp_path, monkeypatch):
    """Makes one; the cluster is as large as it likes, its nodes are all alive."""
    monkeypatch.setattr(bridge, "room", lambda resources: resources.concurrent)
    monkeypatch.setattr(bridge, "describe_nodes", list)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "n" * 8, "Alive": True}])
    monkeypatch.setattr(bridge, "node_of", lambda actor: "n" * 8)
    monkeypatch.setattr(bridge, "NodeProbe", lambda node: SimpleNamespace(gone=lambda: False))
    return lambda **options: Tune(tmp_path, **options)


def log(tune, trial):
    return log_path(tune.folder, trial).read_text()


def test_an_ended_trial_leaves_nothing(tune):
    tune = tune(trials=3)
    first, second = tune.give(), tune.give()
    assert tune.give() is None  # no room
    assert set(tune.search.attempts) == {"tune1", "tune2"}
    for trial in (first, second):
        tune.start(trial)
    tune.finish(first)
    assert set(tune.search.attempts) == {"tune2"}
    third = tune.give()
    tune.start(third)
    tune.finish(second)
    tune.finish(third)
    assert tune.search.attempts == {}
    assert [r.worker for r in tune.loop.records] == ["host:7"] * 3
    assert tune.loop.done
    assert not tune.search.any_live
    assert sorted(tune.removed) == [0, 1, 2]


def test_a_lost_attempt_stays_until_the_next_one_goes_out(tune):
    """The next one is the same trial under another of Tune's ids, and its measurements count on."""
    tune = tune(trials=1)
    trial = tune.give()
    tune.start(trial)
    tune.step(trial)
    tune.step(trial)
    tune.lose(trial)
    (lost,) = tune.search.attempts.values()
    assert (lost.lost, lost.tune, lost.view.since, lost.view.epoch) == (True, None, 0, 2)
    assert "attempt 1 lost: its worker process died; starting it again" in log(tune, 0)
    again = tune.give()
    assert again.config == trial.config
    assert list(tune.search.attempts) == [again.trial_id]
    (attempt,) = tune.search.attempts.values()
    assert (attempt.view.attempt, attempt.view.epoch, attempt.view.worker) == (2, 0, None)
    assert attempt.began == lost.began > 0
    tune.start(again)
    tune.step(again, rows=3)  # from its checkpoint: two known epochs and a new one
    tune.complete(again)
    (record,) = tune.loop.records
    assert [row["epoch"] for row in record.measurements] == [1, 2, 3]
    assert tune.search.attempts == {}


def test_a_lost_attempt_takes_no_room(tune):
    tune = tune(trials=9, room=2)
    first, second = tune.give(), tune.give()
    for trial in (first, second):
        tune.start(trial)
        tune.lose(trial, NODE_DIED)
    assert tune.give().config["trial"] == 1  # first in the queue is the one lost last
    assert tune.give().config["trial"] == 0
    assert tune.give() is None
    assert len(tune.search.attempts) == 2


def test_losses_count_from_the_last_progress(tune):
    """retries=1: two losses without an epoch between them are one too many, with one they are not."""
    tune = tune(trials=1, retries=1)
    for epochs in (0, 1, 2):
        trial = tune.give()
        tune.start(trial)
        trial.epoch = epochs
        if epochs < 2:
            tune.step(trial)
        tune.lose(trial)
    (record,) = tune.loop.records
    assert (record.state, record.reason) == ("failed", "its worker process died (2 attempts)")
    assert record.worker == "host:7"  # of the last result there was
    assert tune.search.attempts == {}


def test_a_lost_node_is_nothing_against_a_trial_but_not_for_ever(tune, monkeypatch):
    monkeypatch.setattr(bridge, "_BLAMELESS", 5)
    tune = tune(trials=1, retries=0)
    for _ in range(6):
        assert tune.loop.records == []
        trial = tune.give()
        tune.start(trial)
        tune.lose(trial, NODE_DIED)
    (record,) = tune.loop.records
    assert record.reason == "its node or its worker was lost 5 times"
    assert tune.search.attempts == {}


def test_a_worker_lost_before_it_began_is_nothing_against_the_trial(tune):
    tune = tune(trials=1, retries=0)
    tune.lose(tune.give())
    assert "attempt 1 lost: its worker was lost before it began" in log(tune, 0)
    trial = tune.give()
    tune.start(trial)
    tune.finish(trial)
    assert tune.loop.records[0].state == "finished"


@pytest.fixture
def killed(monkeypatch):
    """The workers that were killed, by number."""
    found = []
    monkeypatch.setattr(ray, "kill", lambda actor: found.append(actor._actor_id))
    return found


def later(tune, seconds):
    """So much time goes by, as the attempts see it."""
    for attempt in tune.search.attempts.values():
        attempt.given -= seconds if attempt.given else 0
        attempt.view.since -= seconds if attempt.view.since else 0
    for _ in range(3):
        tune.callback.on_step_end(0, [])


def test_a_late_attempt_is_killed_once_and_fails(tune, killed):
    tune = tune(trials=2, timeout=60)
    late, other = tune.give(), tune.give()
    tune.ask(late)
    later(tune, 59)
    tune.start(late)
    later(tune, 59)
    assert killed == []  # its time began when its worker had started
    later(tune, 2)
    assert killed == [1]
    tune.lose(late)
    assert tune.loop.records[0].reason == "over the time limit of 60 s"
    assert list(tune.search.attempts) == [other.trial_id]


@pytest.mark.parametrize(
    ("runs", "allowed", "reason"),
    [
        (False, 600, "its worker did not start within 600 s"),
        (True, 5, "its worker did not take it on within 5 s"),
    ],
)
def test_a_worker_that_stalls_before_the_trial_began_is_a_lost_one(tune, killed, runs, allowed, reason):
    """As by SIGSTOP in its start, or while it is handed its next trial: it never says that it is there."""
    tune = tune(trials=1, timeout=5, retries=1)
    for attempt in (1, 2):
        trial = tune.give()
        tune.ask(trial, runs)
        later(tune, allowed - 1)
        assert len(killed) == attempt - 1
        later(tune, 2)
        assert len(killed) == attempt
        assert tune.loop.records == []
        tune.lose(trial)
        if attempt == 1:
            assert f"attempt 1 lost: {reason}; starting it again" in log(tune, 0)
    assert tune.loop.records[0].reason == f"{reason} (2 attempts)"


def test_waiting_for_room_is_no_time_of_a_trial(tune, killed):
    tune = tune(trials=1, timeout=5, retries=0)
    trial = tune.give()
    later(tune, 10_000)  # no worker was asked
    assert (killed, tune.loop.records) == ([], [])
    tune.start(trial)
    tune.finish(trial)
    assert tune.loop.records[0].state == "finished"


def test_a_stalled_worker_whose_node_is_gone_was_lost_with_it(tune, killed):
    tune = tune(trials=1, timeout=5, retries=0)
    for begun in (False, True):
        trial = tune.give()
        tune.ask(trial, runs=True)
        if begun:
            tune.start(trial)
        later(tune, 6)
        tune.lose(trial, NODE_DIED)
        assert tune.loop.records == []
    assert log(tune, 0).count("its node was lost") == 2
    assert killed == [1, 2]


def test_a_trial_lost_in_its_first_epoch_asks_its_node_too(tune, monkeypatch):
    """No result has told where it is, in an hour perhaps: that is known from when it began."""
    monkeypatch.setattr(bridge, "NodeProbe", lambda node: SimpleNamespace(gone=lambda: node == "n" * 8))
    tune = tune(trials=1, retries=0)
    trial = tune.give()
    tune.start(trial)
    tune.lose(trial)
    assert tune.loop.records == []
    assert "attempt 1 lost: its node was lost" in log(tune, 0)


@pytest.mark.parametrize("verdict", ["gone", "marked dead", "alive"])
def test_a_dead_worker_is_counted_when_its_node_has_answered(tune, monkeypatch, verdict):
    """The actor's error comes before its node is known to be lost: with retries=0 it would be the end."""
    answers = [None, None, {"gone": True, "marked dead": None, "alive": False}[verdict]]
    monkeypatch.setattr(bridge, "NodeProbe", lambda node: SimpleNamespace(gone=lambda: answers.pop(0)))
    tune = tune(trials=1, retries=0)
    trial = tune.give()
    tune.start(trial)
    tune.step(trial)
    tune.lose(trial)
    assert tune.loop.records == []  # neither counted nor begun again
    assert tune.give() is None  # all that Tune does while no trial is out
    if verdict == "marked dead":
        monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "n" * 8, "Alive": False}])
    tune.callback.on_step_end(0, [])
    if verdict == "alive":
        assert tune.loop.records[0].reason == "its worker process died"
        return
    assert "lost: its node was lost" in log(tune, 0)
    trial = tune.give()
    tune.start(trial)
    tune.finish(trial)
    assert tune.loop.records[0].state == "finished"


def test_a_lack_of_gpu_memory_is_booked_once_it_was_alone(tune):
    tune = tune(trials=1)
    tune.search.resources = Resources(2, gpus=0.25)
    first = tune.give()
    assert first.config["gpus"] == 0.25
    tune.start(first)
    tune.step(first, crowded="out of GPU memory with 0.25 GPU")
    tune.complete(first)
    second = tune.give()
    assert second.config == first.config | {"gpus": 1.0}
    tune.start(second)
    tune.step(second, failed="out of GPU memory")
    tune.complete(second)
    assert tune.loop.records[0].reason == "out of GPU memory"


def test_other_processes_may_take_a_whole_gpu_a_few_times(tune):
    tune = tune(trials=1, retries=1)
    tune.search.resources = Resources(2, gpus=1)
    for _ in range(2):
        trial = tune.give()
        tune.start(trial)
        tune.callback.on_trial_result(
            0,
            [],
            trial,
            {
                "rows": pickle.dumps([]),
                "node": "n" * 8,
                "gpus": "0",
                "hostname": "h",
                "pid": 1,
                "crowded": "full",
            },
        )
        tune.complete(trial)
    assert tune.loop.records[0].reason == "full (2 attempts)"


def test_a_library_lacks_gpu_memory_in_words_of_its_own():
    import torch

    assert out_of_gpu_memory(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to"))
    assert out_of_gpu_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    assert out_of_gpu_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert out_of_gpu_memory(RuntimeError("CUDA error: out of memory\nCUDA kernel errors"))
    assert not out_of_gpu_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not out_of_gpu_memory(ValueError("CUDNN_STATUS_ALLOC_FAILED"))


def test_a_failed_trial_is_not_tried_again(tune):
    tune = tune(trials=1)
    trial = tune.give()
    tune.start(trial)
    tune.step(trial, failed="diverged: made up")
    tune.complete(trial)
    assert tune.loop.records[0].reason == "diverged: made up"
    assert tune.search.attempts == {}


def test_a_stopped_search_keeps_what_runs_for_the_next_one(tune):
    tune = tune(trials=2)
    trials = [tune.give(), tune.give()]
    for trial in trials:
        tune.start(trial)
        tune.step(trial)
    tune.loop.stopping = True
    assert tune.search.any_live
    for trial in trials:
        tune.complete(trial)
    assert not tune.search.any_live
    assert tune.loop.records == []
    assert tune.removed == []
    assert "stopped with the search" in log(tune, 0)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_leaks_whatever_happens(tune, seed):
    """Trials lost at any moment; the record never has more than what is out or was just lost."""
    rng, room = random.Random(seed), 4
    tune = tune(trials=TRIALS, room=room, retries=2)
    while not tune.loop.done:
        while tune.give() is not None:
            pass
        known = tune.search.attempts
        assert {trial.trial_id for trial in tune.out} == {id for id, a in known.items() if not a.lost}
        assert len({attempt.trial.id for attempt in known.values()}) == len(known) <= room
        assert {attempt.trial.id for attempt in known.values() if not attempt.lost} == set(tune.loop.running)
        trial = rng.choice(tune.out)
        attempt = known[trial.trial_id]
        if attempt.tune is None:
            tune.lose(trial) if rng.random() < 0.1 else tune.start(trial)
        elif (chance := rng.random()) < 0.2:
            tune.lose(trial, rng.choice([WORKER_DIED, NODE_DIED]))
        elif chance < 0.25:
            tune.step(trial, failed="diverged")
            tune.complete(trial)
        else:
            tune.step(trial)
            if trial.epoch == EPOCHS:
                tune.complete(trial)
    assert tune.search.attempts == {}
    assert sorted(record.trial for record in tune.loop.records) == list(range(TRIALS))
    for record in tune.loop.records:
        assert record.state == "failed" or [row["epoch"] for row in record.measurements] == [1, 2, 3]
    assert sorted(tune.removed) == list(range(TRIALS))


def test_the_next_attempt_takes_over_all_but_the_place():
    trial = SimpleNamespace(id=5, costs={"macs": 1e6})
    before = Attempt.of(trial, EPOCHS, None)
    before.start(object(), "n")
    before.placed({"hostname": "a", "pid": 1, "node": "n", "gpus": ""})
    before.measured({"epoch": 1, "accuracy": 0.5})
    before.losses, before.blameless, before.lost = 1, 2, True
    after = Attempt.of(trial, EPOCHS, before)
    for kept in ("trial", "began", "rows", "last", "losses", "blameless"):
        assert getattr(after, kept) == getattr(before, kept)
    assert (after.tune, after.lost, after.late, after.view.since, after.view.worker) == (
        (None, False, "", 0, None)
    )
    assert (after.view.attempt, after.view.epochs) == (2, EPOCHS)
