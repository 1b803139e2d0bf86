"""Searches on Ray: the controller as a Tune `Searcher`, evaluations as Tune trials.

Between the two stands `nas.cluster.bridge`. Of this package only this room imports Ray.
"""

from __future__ import annotations

import io
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray import tune

from nas.cluster.bridge import LoopCallback, LoopSearch, Unpickled
from nas.cluster.ending import check_scheduler, make_scheduler
from nas.cluster.gauges import Gauges
from nas.cluster.head import while_the_head_lives
from nas.cluster.nodes import Resources, check_nodes, check_room
from nas.cluster.tune_inside import followed, memory_kills_are_losses, starting_workers_are_kept
from nas.cluster.worker import EvaluatorTrainable
from nas.errors import HeadLostError
from nas.runs.logs import LOGS, TrialLogs
from nas.runs.status import RUNNING, Status
from nas.runs.storage import Checkpoints
from nas.search.evaluator import Evaluator
from nas.search.loop import SearchLoop
from search_spaces.block import WithOps
from search_spaces.document import remove_matching
from search_spaces.errors import InputError


class Shared(NamedTuple):
    """An evaluator in the cluster's object store, from where each node's workers map its data together.

    Attributes:
        light: the evaluator without its data, for this process.
        stored: the whole one.
    """

    light: Evaluator
    stored: Any


def share(evaluator: Evaluator) -> Shared:
    """Put an evaluator into the store of the connected cluster.

    Whoever drops the evaluator then, frees the driver's own copy of the data.
    """
    return Shared(evaluator.without_data(), ray.put(WithOps(evaluator)))


def run_on_ray(
    loop: SearchLoop,
    evaluator: Evaluator | Shared,
    folder: Path,
    resources: Resources,
    scheduler: str = "none",
    retries: int = 2,
    tick: Callable[[], None] = lambda: None,
    *,
    storage: str | None = None,
    timeout: float | None = None,
    dashboard: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    disconnect: bool = False,
) -> None:
    """Run a loop's trials on the connected cluster until it is done.

    SIGINT and SIGTERM, once, end it gently: no new trials, those that keep checkpoints stop at their
    next epoch, the others finish. A second one ends it now.

    Args:
        loop: what to run.
        evaluator: put once into the object store, if `share` hasn't done so; every worker of a node maps
            its data from there.
        folder: of the run: trial logs, Ray's words (`logs/ray.log`) and `running.json` are written there.
        resources: of a trial, and how many at once; follows the cluster as nodes come and go.
        scheduler: `none`, `asha` or `median`: ends trials early by their reward so far; `predictor`: by what
            the controller makes of it.
        retries: how often a trial whose worker died starts again without getting an epoch further.
            A lost node doesn't count.
        tick: called often, in this process, e.g. to redraw a table.
        storage: folder or URL for the checkpoints of running trials; None: in the run folder.
        timeout: seconds that a trial may take on a worker that has started; then it has failed. A worker
            that does not start, or does not take a trial on, is a lost one. Waiting for room costs nothing.
        dashboard: address of Ray's dashboard, for `running.json`.
        say: told what happens to the search as a whole.
        disconnect: leave the cluster at the end (and stop it, if this process started it).

    Raises:
        InputError: an unknown scheduler, no room for so many trials, a node that can't do the work, or
            a storage that can't be written.
        HeadLostError: the cluster's head is gone; the journal has all that ended.
        KeyboardInterrupt: the user interrupted; so has it then.
    """
    if retries < 0:
        raise InputError(f"retries {retries}: expected 0 or more")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise InputError(f"trial-timeout {timeout:g}: expected more than 0 seconds")
    if isinstance(evaluator, Evaluator):
        evaluator = share(evaluator)
    evaluator, stored = evaluator
    check_scheduler(scheduler, evaluator.epochs)
    checkpoints = Checkpoints(storage or str(folder / "checkpoints"))

    def check() -> None:
        check_room(resources)
        check_nodes(checkpoints if evaluator.checkpoints else None, evaluator.folders)

    while_the_head_lives(check)
    gauges = Gauges()

    def report(status: Status) -> None:
        status.write(folder)
        gauges.set(status, loop.records)

    search = LoopSearch(loop, resources, evaluator.epochs, report, dashboard)
    ender = make_scheduler(scheduler, evaluator.epochs, search)
    trainable = tune.with_parameters(
        EvaluatorTrainable,
        evaluator=[stored],
        space=loop.controller.space,
        reward=loop.reward,
        checkpoints=checkpoints,
        threads=max(1, int(resources.cpus)),
    )
    callback = LoopCallback(
        search, checkpoints if evaluator.checkpoints else None, TrialLogs(folder), retries, timeout, tick
    )

    scratch = folder / "ray"
    tuner = tune.Tuner(
        tune.with_resources(trainable, partial(_places, resources)),
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=ender,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=f"{time.time():.6f}",
            storage_path=str(scratch.resolve()),
            # the callback decides: it knows why a worker was lost
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[callback],
            stop=_Stopper(search, evaluator.checkpoints),
            verbose=0,
        ),
    )
    scratch.mkdir(parents=True, exist_ok=True)
    quiet = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air", "ray")]
    levels = [logger.level for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.CRITICAL)
    try:
        with (
            _rays_words(folder), _gentle_stop(loop, say),
            memory_kills_are_losses(), starting_workers_are_kept(), followed(search.follow),
        ):  # fmt: skip
            try:
                while_the_head_lives(tuner.fit)
            except HeadLostError:
                disconnect = False  # it would wait for the head
                raise
            finally:
                if disconnect:
                    ray.shutdown()
    finally:
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)
        remove_matching(scratch, r"\d+\.\d{6}/.*")  # of earlier drivers, too, that were killed
        (folder / RUNNING).unlink(missing_ok=True)
    if search.error is not None:
        raise search.error
    if not loop.complete:
        raise KeyboardInterrupt
    if evaluator.checkpoints:
        checkpoints.clear()


def _places(resources: Resources, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a trial is to get."""
    gpus = config.get("gpus", resources.gpus)
    return tune.PlacementGroupFactory([{"CPU": resources.all_cpus, **({"GPU": gpus} if gpus else {})}])


class _Stopper(Unpickled, tune.Stopper):  # type: ignore[misc]
    """Ends running trials at their next epoch when the search stops; waiting ones when none runs."""

    def __init__(self, search: LoopSearch, checkpoints: bool) -> None:
        self.search, self.checkpoints = search, checkpoints

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.search.loop.stopping and self.checkpoints

    def stop_all(self) -> bool:
        stopping = self.search.loop.stopping and not self.search.any_live
        return stopping or self.search.error is not None


def _name(trial: Any) -> str:
    return f"trial_{trial.config['trial']:06d}_{trial.trial_id}"


class _RayLog(io.TextIOBase):
    """Takes what Ray prints into this process: worker and node losses, as it sees them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> int:
        with self.path.open("a", encoding="utf-8") as stream:
            return stream.write(text)


@contextmanager
def _rays_words(folder: Path) -> Iterator[None]:
    """Ray prints the cluster's errors on stdout, which belongs to our results; they go into a log."""
    with redirect_stdout(_RayLog(folder / LOGS / "ray.log")):
        yield


@contextmanager
def _gentle_stop(loop: SearchLoop, say: Callable[[str], None]) -> Iterator[None]:
    """SIGINT or SIGTERM once asks the loop to stop, twice raises KeyboardInterrupt."""

    def handle(number: int, frame: Any) -> None:
        if loop.stopping:
            raise KeyboardInterrupt
        loop.stopping = True
        say(
            f"stopping: no new trials; {len(loop.running)} running ones end at their next checkpoint "
            "(once more: stop now)"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
