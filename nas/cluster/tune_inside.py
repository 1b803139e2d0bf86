"""What a search needs of Tune's inside: which worker has a trial, that a memory kill is a loss, and that
workers which start are left to start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution.tune_controller import TuneController


class Asked(NamedTuple):
    """A worker that a trial was given to.

    Attributes:
        actor: its handle.
        runs: it had started before, and is handed the trial over; else it starts with it.
    """

    actor: Any
    runs: bool


@contextmanager
def followed(tell: Callable[[Callable[[], dict[str, Asked]]], None]) -> Iterator[None]:
    """Find out to which workers Tune has given its trials, each from when there was room for it.

    Tune's callbacks hear of a trial only when its worker has answered.

    Args:
        tell: takes a function that gives those workers by Tune's trial ids; trials that wait have none.
    """
    made = TuneController.__init__

    def make(self: Any, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)

        def asked() -> dict[str, Asked]:
            actors = self._actor_manager._live_actors_to_ray_actors_resources
            return {
                trial.trial_id: Asked(actors[tracked][0], tracked in self._started_actors)
                for trial, tracked in self._trial_to_actor.items()
                if tracked in actors
            }

        tell(asked)

    TuneController.__init__ = make
    try:
        yield
    finally:
        TuneController.__init__ = made


@contextmanager
def starting_workers_are_kept() -> Iterator[None]:
    """Leave a trial with the worker that starts for it, whichever other worker is free meanwhile.

    Tune gives a free worker to the trial that has waited longest, and ends the one that starts for it. Where
    trials end more often than a worker starts (many workers, or short trials), no further worker would ever
    come up: not on a node that has joined, nor in place of a lost one. The free worker gets a trial that
    waits for room, which it may itself be taking, or else the next one.
    """
    known = TuneController._maybe_reuse_cached_actor

    def starts(self: Any, trial: Any) -> bool:
        own = self._trial_to_actor[trial]
        live = self._actor_manager._live_actors_to_ray_actors_resources
        return own in live and own not in self._started_actors

    def patient(self: Any, trial: Any) -> bool:
        if trial not in self._trial_to_actor or not starts(self, trial) or self._search_alg.is_finished():
            return bool(known(self, trial))
        if trial not in self._resetting_trials:
            for other in self._pending_trials & self._trial_to_actor.keys() - self._resetting_trials:
                if other.placement_group_factory == trial.placement_group_factory and not starts(self, other):
                    known(self, other)
                    break
        return False

    TuneController._maybe_reuse_cached_actor = patient
    try:
        yield
    finally:
        TuneController._maybe_reuse_cached_actor = known


@contextmanager
def memory_kills_are_losses() -> Iterator[None]:
    """Make a worker that Ray kills to save its node's memory a lost worker like any other.

    Tune knows two kinds of a task's end, the actor's death and the task's own error; at Ray's
    OutOfMemoryError, which is neither, it gives up the whole experiment.
    """
    known = RayActorManager._actor_task_failed

    def translated(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, ray.exceptions.OutOfMemoryError):
            exception = ray.exceptions.RayActorError(error_msg=str(exception))
        known(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = translated
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = known
