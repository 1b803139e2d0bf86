"""Between a `SearchLoop` and Ray Tune, in the driver: trials go out, results and losses come back.

Tune runs the workers; what happens to a trial whose worker is lost is decided here, since it depends
on why. Such a trial goes back to the loop and out again as a new one of Tune's, under its own id, and
finds its checkpoint in the run's storage.
"""

from __future__ import annotations

import pickle
import shutil
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from nas.cluster.attempt import Attempt
from nas.cluster.nodes import Resources, describe_nodes, node_of, room
from nas.cluster.tune_inside import Asked
from nas.cluster.verdict import NodeProbe, died_on_a_node
from nas.runs.logs import TrialLogs
from nas.runs.status import Status
from nas.runs.storage import Checkpoints
from nas.search.loop import SearchLoop
from nas.search.trial import Trial
from search_spaces.errors import InputError

_BEAT = 1.0
"""Seconds between looks at the cluster."""
_BLAMELESS = 50
"""A trial that has seen so many nodes go is a trial that takes them down."""
_KEPT_FOLDERS = 1000
_TO_START = 600.0
"""Seconds that a worker may take to start, where trials have a time limit: libraries load for up to half a
minute on a busy machine, from a network's disk for minutes. They count from when Ray had room for it."""


class Unpickled:
    """Tune pickles what it is given, for `Tuner.restore`; ours is resumed from the journal instead."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class LoopSearch(Unpickled, Searcher):  # type: ignore[misc]
    """Feeds a loop's trials to Tune, as many at once as the cluster has room for at that moment.

    Args:
        loop: whose trials.
        resources: of a trial.
        epochs: of a full evaluation, for the view.
        report: told of the search's state about once a second.
        dashboard: address of Ray's dashboard, for the report.

    Attributes:
        attempts: by Tune's id; each until its trial has ended or goes out again as another of Tune's.
        error: what must end the search; Tune itself would log it and go on.
        settle: called before each ask: counts losses whose cause is known by now.
        asked: the workers that attempts, by Tune's ids, were given to; others wait for room.
    """

    def __init__(
        self,
        loop: SearchLoop,
        resources: Resources,
        epochs: int,
        report: Callable[[Status], None],
        dashboard: str | None = None,
    ) -> None:
        super().__init__(metric="reward", mode="max")
        self.loop, self.resources, self.epochs, self.report = loop, resources, epochs, report
        self.dashboard = dashboard
        self.attempts: dict[str, Attempt] = {}
        self.error: BaseException | None = None
        # without any trial out Tune asks here again and again, and tells its callback nothing meanwhile
        self.settle: Callable[[], None] = lambda: None
        self.asked: Callable[[], dict[str, Asked]] = dict
        self._room, self._looked = 0, float("-inf")

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config; None while there is no room, `FINISHED` at the end."""
        try:
            self.settle()
            self.beat()
            trial = None
            if self.error is None and self._out < self._room:
                trial = self.loop.next_trial()
        except Exception as error:
            self.error = error
            trial = None
        if trial is None:
            return Searcher.FINISHED if self.error or self.loop.done else None
        attempt = Attempt.of(trial, self.epochs, self._take_lost(trial))
        self.attempts[trial_id] = attempt
        weighed = [objective.cost for objective in self.loop.reward.objectives]
        return {
            "trial": trial.id,
            # a few numbers: Tune copies and serialises a trial's config many times over
            "architecture": list(trial.proposal.architecture),
            "seed": trial.seed,
            "costs": {name: trial.costs[name] for name in weighed},
            "gpus": 1.0 if attempt.alone else self.resources.gpus,
        }

    def follow(self, asked: Callable[[], dict[str, Asked]]) -> None:
        """Take what finds the workers that attempts were given to."""
        self.asked = asked

    @property
    def any_live(self) -> bool:
        """Whether any attempt has a worker."""
        return any(attempt.tune is not None for attempt in self.attempts.values())

    @property
    def _out(self) -> int:
        """How many attempts Tune has."""
        return sum(not attempt.lost for attempt in self.attempts.values())

    def _take_lost(self, trial: Trial) -> Attempt | None:
        """The lost attempt at a trial, out of the record."""
        for id, attempt in self.attempts.items():
            if attempt.lost and attempt.trial.id == trial.id:
                return self.attempts.pop(id)
        return None

    def beat(self) -> None:
        """About once a second: follow the cluster as nodes come and go, and report."""
        now = time.monotonic()
        if now - self._looked < _BEAT:
            return
        self._looked = now
        wanted = self.resources.concurrent
        has = room(self.resources)
        self._room = wanted if self.resources.autoscaling else min(wanted, has) if wanted else has
        nodes = describe_nodes()
        running = [attempt.view for attempt in self.attempts.values()]
        self.report(Status(0, self._room, running, nodes, self.dashboard))

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Results come through `LoopCallback`, which sees more."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to add."""
        Path(checkpoint_path).write_text("the run's journal has it all\n")

    def restore(self, checkpoint_path: str) -> None:
        """Not so."""
        raise NotImplementedError("a search is resumed from its journal")


class LoopCallback(Unpickled, tune.Callback):  # type: ignore[misc]
    """Carries Tune's results into the loop.

    Args:
        search: its trials.
        checkpoints: of the run; an ended trial's is removed.
        logs: of the trials.
        retries: how often a trial starts again without having got further.
        timeout: seconds that an attempt may take on a worker that has started, and that worker to take it
            on; None: any.
        tick: called often.
    """

    def __init__(
        self,
        search: LoopSearch,
        checkpoints: Checkpoints | None,
        logs: TrialLogs,
        retries: int,
        timeout: float | None,
        tick: Callable[[], None],
    ) -> None:
        self.search, self.checkpoints, self.logs = search, checkpoints, logs
        self.retries, self.timeout, self.tick = retries, timeout, tick
        self._folders: deque[str | None] = deque()
        self._nodes: dict[Any, str] = {}
        self._asked: list[tuple[Any, BaseException | None, NodeProbe]] = []
        search.settle = self._judge

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Between two events of Tune's."""
        self._guard(self.search.beat)
        self._guard(self._judge)
        self._guard(self._end_the_late)
        self._guard(self.tick)

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A worker has taken it on."""
        actor = trial.temporary_state.ray_actor
        self.search.attempts[trial.trial_id].start(trial, self._node(actor))

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        """An epoch is done."""
        attempt = self.search.attempts[trial.trial_id]
        if attempt.placed(result):
            view = attempt.view
            gpus = f", GPU {view.gpus}" if view.gpus else ""
            self._note(attempt, f"attempt {view.attempt} on {view.worker}, node {result['node'][:8]}{gpus}")
        new = pickle.loads(result["rows"])
        if len(new) > 1:
            self._note(attempt, f"goes on after epoch {new[-2]['epoch']:g}")
        for row in new:
            if not attempt.measured(row):
                continue
            if row is new[-1]:
                self._note(attempt, ", ".join(f"{name} {value:.6g}" for name, value in row.items()))
            self._guard(partial(self.search.loop.measure, attempt.trial, row))
        if "printed" in result:
            self._note(attempt, result["printed"])
        if "unsaved" in result:
            hint = "what has ended is safe, `nas resume` goes on from there"
            self.search.error = self.search.error or InputError(f"{result['unsaved']}; {hint}")
        attempt.last = result

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Finished, failed with a reason, ended early by a scheduler, or cut off by the user."""
        attempt = self.search.attempts[trial.trial_id]
        attempt.tune, result = None, attempt.last
        cut = self.search.loop.stopping and result.get("last") is False
        if "failed" in result:
            self._fail(trial, result["failed"])
        elif "crowded" in result:
            self._make_room(trial, result["crowded"])
        elif "last" not in result or self.search.error or cut:
            # nothing to keep yet: it has its checkpoint, and a resumed run goes on from there
            self._again(attempt, "stopped with the search; it goes on from its checkpoint")
        else:
            rows, early = list(attempt.rows.values()), not result["last"]
            self._note(attempt, "ended early by the scheduler" if early else "finished")
            self._guard(partial(self.search.loop.finish, attempt.trial, rows, early, *attempt.timing))
            self._forget(trial)
        self._clean(trial)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Its worker is lost: try again, or give it up."""
        attempt = self.search.attempts[trial.trial_id]
        attempt.tune, error = None, _error(trial)
        view = attempt.view
        if attempt.late and view.since and not node_is_gone(error, view.node):
            self._fail(trial, attempt.late)
        elif node_is_gone(error, view.node) or not died_on_a_node(error, view.node):
            self._count(trial, error, node_is_gone(error, view.node))
        else:
            assert view.node is not None
            self._note(attempt, "its worker is gone; asking its node")
            self._asked.append((trial, error, NodeProbe(view.node)))
        self._clean(trial)

    def _judge(self) -> None:
        """Count the losses whose nodes have answered, or are known to be gone by now."""
        waiting, self._asked = self._asked, []
        for trial, error, probe in waiting:
            known = node_is_gone(error, self.search.attempts[trial.trial_id].view.node) or probe.gone()
            if known is None:
                self._asked.append((trial, error, probe))
            else:
                self._count(trial, error, known)

    def _count(self, trial: Any, error: BaseException | None, with_node: bool) -> None:
        """Book a loss: a lost node's is nothing against its trial."""
        attempt = self.search.attempts[trial.trial_id]
        view, reason = attempt.view, attempt.late or why(error)
        if with_node or not (view.since or attempt.late or "creation task" in str(error)):
            # not its doing: it was on a lost node, or was given to a worker that had died before
            attempt.blameless += 1
            if attempt.blameless > _BLAMELESS:
                self._fail(trial, f"its node or its worker was lost {_BLAMELESS} times")
            else:
                self._lose(
                    attempt, "its node was lost" if with_node else "its worker was lost before it began"
                )
        else:
            attempt.losses += 1
            if attempt.losses > self.retries:
                times = f" ({attempt.losses} attempts)" if self.retries else ""
                self._fail(trial, f"{reason}{times}")
            else:
                self._lose(attempt, reason)

    def _make_room(self, trial: Any, reason: str) -> None:
        """A trial that lacked GPU memory beside others: that is booked once it has failed alone."""
        attempt = self.search.attempts[trial.trial_id]
        attempt.last.pop("crowded")  # the next attempt's result may be the last one kept
        if 0 < self.search.resources.gpus < 1 and not attempt.alone:
            attempt.alone = True
            self._lose(attempt, f"{reason}; next with a whole GPU")
            return
        attempt.losses += 1
        if attempt.losses > self.retries:
            self._fail(trial, f"{reason} ({attempt.losses} attempts)")
        else:
            self._lose(attempt, reason)

    def _end_the_late(self) -> None:
        """A trial that hangs tells nothing, nor does a worker that stalls: it is killed from outside."""
        if self.timeout is None:
            return
        for id, asked in self.search.asked().items():
            attempt = self.search.attempts.get(id)
            if attempt is None:
                continue
            if not attempt.given:
                attempt.given, attempt.runs = time.time(), asked.runs
            late = attempt.late_by(self.timeout, _TO_START)
            if late and not attempt.late:
                attempt.late, attempt.view.node = late, self._node(asked.actor)
                ray.kill(asked.actor)

    def _node(self, actor: Any) -> str | None:
        """Where an actor is: asked before its first result, which may take an hour, or never come."""
        node = self._nodes.get(actor._actor_id)
        if node is None and (node := node_of(actor)) is not None:
            self._nodes[actor._actor_id] = node
        return node

    def _lose(self, attempt: Attempt, reason: str) -> None:
        text = f"attempt {attempt.view.attempt} lost: {reason}; starting it again"
        attempt.view.since = 0
        self._again(attempt, text)

    def _again(self, attempt: Attempt, text: str) -> None:
        """Back to the loop, from where the trial goes out as another of Tune's."""
        self._note(attempt, text)
        attempt.lost = True
        self._guard(partial(self.search.loop.again, attempt.trial))

    def _fail(self, trial: Any, reason: str) -> None:
        attempt = self.search.attempts[trial.trial_id]
        self._note(attempt, f"failed: {reason}")
        self._guard(partial(self.search.loop.fail, attempt.trial, reason, *attempt.timing))
        self._forget(trial)

    def _forget(self, trial: Any) -> None:
        """An ended trial needs no checkpoint any more, unless its result could not be kept."""
        attempt = self.search.attempts.pop(trial.trial_id)
        if self.search.error is None and self.checkpoints is not None:
            self._guard(partial(self.checkpoints.remove, attempt.trial.id))

    def _note(self, attempt: Attempt, text: str) -> None:
        self._guard(partial(self.logs.note, attempt.trial.id, text))

    def _guard(self, action: Callable[[], None]) -> None:
        """Tune turns an exception in here into a failure of the trial; ours must end the search."""
        try:
            action()
        except Exception as error:
            self.search.error = self.search.error or error

    def _clean(self, trial: Any) -> None:
        """Tune keeps much of every trial to the end; with thousands of them that adds up.

        Its folder goes later: a worker that dies after its trial has ended is still noted there.
        """
        # half of what Tune keeps of an ended trial: windows of each of its metrics, that nobody asks for
        trial.run_metadata.metric_analysis.clear()
        trial.run_metadata.metric_n_steps.clear()
        self._folders.append(trial.local_path)
        if len(self._folders) > _KEPT_FOLDERS:
            shutil.rmtree(self._folders.popleft() or "", ignore_errors=True)


def _error(trial: Any) -> BaseException | None:
    # `trial.get_error` looks into the experiment's storage, where the file isn't copied in time
    path = trial.pickled_error_file
    return pickle.loads(Path(path).read_bytes()) if path and Path(path).is_file() else None


def node_is_gone(error: BaseException | None, node: str | None) -> bool:
    """Whether a worker was lost with its whole node, which is nothing against its trial."""
    if not isinstance(error, ray.exceptions.RayActorError):
        return False
    text = str(error).lower()
    if getattr(error, "preempted", False) or "node has died" in text or "node was terminated" in text:
        return True
    alive = {found["NodeID"] for found in ray.nodes() if found["Alive"]}
    return node is not None and node not in alive


def why(error: BaseException | None) -> str:
    """Why a worker was lost: the cause at the end of a remote traceback, or how its process ended."""
    text = str(error) if error is not None else ""
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in text:
        return "out of memory: Ray killed the worker to save its node"
    if isinstance(error, ray.exceptions.RayActorError) and "creation task" not in text:
        return "its worker process died"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "the trial failed without a message"
