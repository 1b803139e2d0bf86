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

from nas.cluster.nodes import Resources, describe_nodes, room
from nas.cluster.worker import worker_name
from nas.runs.logs import TrialLogs
from nas.runs.status import RunningTrial, Status
from nas.runs.storage import Checkpoints
from nas.search.loop import SearchLoop
from nas.search.trial import Measurement, Trial
from search_spaces.errors import InputError

_BEAT = 1.0
"""Seconds between looks at the cluster."""
_BLAMELESS = 50
"""A trial that has seen so many nodes go is a trial that takes them down."""
_KEPT_FOLDERS = 1000


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
        error: what must end the search; Tune itself would log it and go on.
        trials: by Tune's id.
        view: the trials under evaluation as others see them, by our id.
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
        self.trials: dict[str, Trial] = {}
        self.view: dict[int, RunningTrial] = {}
        self.error: BaseException | None = None
        self._room, self._looked = 0, float("-inf")

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config; None while there is no room, `FINISHED` at the end."""
        try:
            self.beat()
            trial = None
            if self.error is None and len(self.trials) < self._room:
                trial = self.loop.next_trial()
        except Exception as error:
            self.error = error
            trial = None
        if trial is None:
            return Searcher.FINISHED if self.error or self.loop.done else None
        self.trials[trial_id] = trial
        known = self.view.get(trial.id)
        attempt = known.attempt + 1 if known else 1
        self.view[trial.id] = RunningTrial(trial.id, trial.costs["macs"], self.epochs, attempt=attempt)
        weighed = [objective.cost for objective in self.loop.reward.objectives]
        return {
            "trial": trial.id,
            # a few numbers: Tune copies and serialises a trial's config many times over
            "architecture": list(trial.proposal.architecture),
            "seed": trial.seed,
            "costs": {name: trial.costs[name] for name in weighed},
        }

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
        self.report(Status(0, self._room, list(self.view.values()), nodes, self.dashboard))

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
        timeout: seconds that an attempt may take; None: any.
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
        self._rows: dict[int, dict[float, Measurement]] = {}
        self._began: dict[int, float] = {}
        self._last: dict[int, dict[str, Any]] = {}
        self._lost: dict[int, int] = {}  # attempts since the last progress
        self._blameless: dict[int, int] = {}
        self._over_time: set[int] = set()
        self._live: dict[str, Any] = {}
        self._folders: deque[str | None] = deque()

    @property
    def any_live(self) -> bool:
        """Whether any trial has a worker."""
        return bool(self._live)

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Between two events of Tune's."""
        self._guard(self.search.beat)
        self._guard(self._end_the_late)
        self._guard(self.tick)

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A worker has taken it on."""
        ours = self.search.trials[trial.trial_id]
        self._live[trial.trial_id] = trial
        self._began.setdefault(ours.id, time.time())
        self.search.view[ours.id].since = time.time()

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        """An epoch is done."""
        ours = self.search.trials[trial.trial_id]
        view = self.search.view[ours.id]
        if view.worker is None:
            view.worker, view.node, view.gpus = worker_name(result), result["node"], result["gpus"]
            gpus = f", GPU {view.gpus}" if view.gpus else ""
            self._note(ours, f"attempt {view.attempt} on {view.worker}, node {result['node'][:8]}{gpus}")
        rows = self._rows.setdefault(ours.id, {})
        new = pickle.loads(result["rows"])
        if len(new) > 1:
            self._note(ours, f"goes on after epoch {new[-2]['epoch']:g}")
        for row in new:
            if row["epoch"] in rows:  # an attempt repeats what its checkpoint had
                continue
            rows[row["epoch"]] = row
            self._lost.pop(ours.id, None)
            view.epoch, view.accuracy = int(row["epoch"]), row["accuracy"]
            view.images_per_second = row.get("images_per_second")
            if row is new[-1]:
                self._note(ours, ", ".join(f"{name} {value:.6g}" for name, value in row.items()))
            self._guard(partial(self.search.loop.measure, ours, row))
        if "printed" in result:
            self._note(ours, result["printed"])
        if "unsaved" in result:
            hint = "what has ended is safe, `nas resume` goes on from there"
            self.search.error = self.search.error or InputError(f"{result['unsaved']}; {hint}")
        self._last[ours.id] = result

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Finished, failed with a reason, ended early by a scheduler, or cut off by the user."""
        ours = self._take(trial)
        result = self._last.get(ours.id, {})
        cut = self.search.loop.stopping and result.get("last") is False
        if "failed" in result:
            self._fail(ours, result["failed"], result)
        elif "last" not in result or self.search.error or cut:
            # nothing to keep yet: it has its checkpoint, and a resumed run goes on from there
            self._note(ours, "stopped with the search; it goes on from its checkpoint")
            self._guard(partial(self.search.loop.again, ours))
        else:
            rows = list(self._rows.get(ours.id, {}).values())
            timing = self._timing(ours, result)
            self._note(ours, "finished" if result["last"] else "ended early by the scheduler")
            self._guard(partial(self.search.loop.finish, ours, rows, not result["last"], *timing))
            self._forget(ours)
        self._clean(trial)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Its worker is lost: try again, or give it up."""
        ours = self._take(trial)
        error, result = _error(trial), self._last.get(ours.id, {})
        view, reason = self.search.view[ours.id], why(error)
        if ours.id in self._over_time:
            self._fail(ours, f"over the time limit of {self.timeout:g} s", result)
        elif node_is_gone(error, view.node) or not (view.since or "creation task" in str(error)):
            # not its doing: it was on a lost node, or was given to a worker that had died before
            self._blameless[ours.id] = self._blameless.get(ours.id, 0) + 1
            if self._blameless[ours.id] > _BLAMELESS:
                self._fail(ours, f"its node or its worker was lost {_BLAMELESS} times", result)
            else:
                self._again(
                    ours, "its node was lost" if view.since else "its worker was lost before it began"
                )
        else:
            self._lost[ours.id] = self._lost.get(ours.id, 0) + 1
            if self._lost[ours.id] > self.retries:
                times = f" ({self._lost[ours.id]} attempts)" if self.retries else ""
                self._fail(ours, f"{reason}{times}", result)
            else:
                self._again(ours, reason)
        self._clean(trial)

    def _end_the_late(self) -> None:
        """A trial that hangs tells nothing, so its worker is killed from outside."""
        if self.timeout is None:
            return
        for id, trial in self._live.items():
            ours = self.search.trials[id]
            view = self.search.view[ours.id]
            actor = trial.temporary_state.ray_actor
            late = view.since and time.time() - view.since > self.timeout
            if late and actor is not None and ours.id not in self._over_time:
                self._over_time.add(ours.id)
                ray.kill(actor)

    def _take(self, trial: Any) -> Trial:
        self._live.pop(trial.trial_id, None)
        return self.search.trials.pop(trial.trial_id)

    def _again(self, ours: Trial, reason: str) -> None:
        self._note(ours, f"attempt {self.search.view[ours.id].attempt} lost: {reason}; starting it again")
        self.search.view[ours.id].since = 0
        self._guard(partial(self.search.loop.again, ours))

    def _fail(self, ours: Trial, reason: str, result: dict[str, Any]) -> None:
        self._note(ours, f"failed: {reason}")
        timing = self._timing(ours, result)
        self._guard(partial(self.search.loop.fail, ours, reason, *timing))
        self._forget(ours)

    def _forget(self, ours: Trial) -> None:
        """An ended trial needs no checkpoint any more, unless its result could not be kept."""
        if self.search.error is None and self.checkpoints is not None:
            self._guard(partial(self.checkpoints.remove, ours.id))
        for kept in (self._rows, self._began, self._last, self._lost, self._blameless, self.search.view):
            kept.pop(ours.id, None)  # type: ignore[attr-defined]
        self._over_time.discard(ours.id)

    def _timing(self, ours: Trial, result: dict[str, Any]) -> tuple[str | None, float, float]:
        began = self._began.get(ours.id, time.time())
        return worker_name(result), began, time.time() - began

    def _note(self, ours: Trial, text: str) -> None:
        self._guard(partial(self.logs.note, ours.id, text))

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
