"""Searches on Ray: the controller as a Tune `Searcher`, evaluations as Tune trials.

Ray is imported here and in `nas.search.cluster` (and by the launch helpers), nowhere else.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from controller.base import Controller, SpaceExhaustedError
from nas.errors import TrialFailedError
from nas.search.cluster import Resources, check_room
from nas.search.evaluators.base import Evaluation, Evaluator
from nas.search.loop import SearchLoop
from nas.search.trial import Measurement, Trial
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError, unknown
from search_spaces.space import SearchSpace

SCHEDULERS = ("none", "asha", "median")


class ControllerSearch(Searcher):  # type: ignore[misc]
    """A controller as the search algorithm of any `ray.tune.Tuner`.

    Each trial's config has `architecture` (choice indices), `choices` (by decision name) and `spec`
    (the network's document). A result without the metric, or with NaN, is a failure to the controller.

        tune.Tuner(trainable, tune_config=tune.TuneConfig(
            search_alg=ControllerSearch(controller, metric="reward", mode="max"), num_samples=100))

    Args:
        controller: asked and told.
        metric: the result's key that the controller maximises.
        mode: `max`, or `min` to have it minimised.
    """

    def __init__(self, controller: Controller, metric: str = "reward", mode: str = "max") -> None:
        super().__init__(metric=metric, mode=mode)
        self.controller = controller
        self._proposals: dict[str, int] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
        """Take metric and mode from the TuneConfig, if it states them."""
        self._metric: str = metric or self._metric
        self._mode: str = mode or self._mode
        return not config

    def suggest(self, trial_id: str) -> Any:
        """A trial's config, or `FINISHED` when the space is exhausted."""
        try:
            proposal = self.controller.ask()
        except SpaceExhaustedError:
            return Searcher.FINISHED
        self._proposals[trial_id] = proposal.id
        space = self.controller.space
        return {
            "architecture": list(proposal.architecture),
            "choices": space.choices(proposal.architecture),
            "spec": space.decode(proposal.architecture).to_document(),
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the controller."""
        proposal = self._proposals.pop(trial_id, None)
        if proposal is None:
            return
        value = (result or {}).get(self._metric)
        if error or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.controller.fail(proposal, f"{self._metric} is {value!r}" if not error else "trial error")
        else:
            numbers = {k: float(v) for k, v in (result or {}).items() if isinstance(v, (int, float))}
            self.controller.tell(proposal, value if self._mode == "max" else -value, numbers)

    def save(self, checkpoint_path: str) -> None:
        """Write the controller's state for `Tuner.restore`."""
        state = {"controller": self.controller.state_dict(), "proposals": self._proposals}
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Take it back."""
        state = json.loads(Path(checkpoint_path).read_text())
        self.controller.load_state_dict(state["controller"])
        self._proposals = state["proposals"]


class _Unpickled:
    """Tune pickles what it is given, for `Tuner.restore`; ours is resumed from the journal instead."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _LoopSearch(_Unpickled, Searcher):  # type: ignore[misc]
    """Feeds a `SearchLoop`'s trials to Tune. Results come back through `_LoopCallback`, which sees more."""

    def __init__(self, loop: SearchLoop, folder: Path) -> None:
        super().__init__(metric="reward", mode="max")
        self.loop, self.folder = loop, folder
        self.trials: dict[str, Trial] = {}
        self.error: BaseException | None = None

    def suggest(self, trial_id: str) -> Any:
        try:
            trial = None if self.error else self.loop.next_trial()
        except Exception as error:  # Tune would log it and go on
            self.error = error
            trial = None
        if trial is None:
            return Searcher.FINISHED if self.error or self.loop.done else None
        self.trials[trial_id] = trial
        weighed = [objective.cost for objective in self.loop.reward.objectives]
        return {
            "trial": trial.id,
            # a few numbers: Tune copies and serialises a trial's config many times over
            "architecture": list(trial.proposal.architecture),
            "seed": trial.seed,
            "costs": {name: trial.costs[name] for name in weighed},
            "checkpoint": _last_checkpoint(self.folder, trial.id),
        }

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text("the run's journal has it all\n")

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a search is resumed from its journal")


class _LoopCallback(_Unpickled, tune.Callback):  # type: ignore[misc]
    """Carries Tune's results into the loop, in the driver."""

    def __init__(self, search: _LoopSearch, tick: Callable[[], None]) -> None:
        self.search, self.tick = search, tick
        self._rows: dict[str, dict[float, Measurement]] = {}
        self._began: dict[str, float] = {}
        self._failures: dict[str, str] = {}

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        self.tick()

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._began.setdefault(trial.trial_id, time.time())

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        ours = self.search.trials[trial.trial_id]
        rows = self._rows.setdefault(trial.trial_id, {})
        for row in pickle.loads(result["rows"]):
            if row["epoch"] not in rows:  # a restored trial repeats what it did before
                rows[row["epoch"]] = row
                self._guard(partial(self.search.loop.measure, ours, row))

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        rows = list(self._rows.pop(trial.trial_id, {}).values())
        result = trial.last_result or {}
        timing = self._timing(trial, result)
        ours = self.search.trials.pop(trial.trial_id)
        if "failed" in result:
            self._guard(lambda: self.search.loop.fail(ours, result["failed"], *timing))
        elif "last" not in result:
            # Tune ends every trial when it is interrupted; such a one has no result, and is resumed
            pass
        else:
            stopped = not result["last"]
            self._guard(lambda: self.search.loop.finish(ours, rows, stopped, *timing))
        self._clean(trial)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._rows.pop(trial.trial_id, None)
        ours = self.search.trials.pop(trial.trial_id)
        timing = self._timing(trial, trial.last_result or {})
        reason = _reason(trial)
        self._guard(lambda: self.search.loop.fail(ours, reason, *timing))
        self._clean(trial)

    def _timing(self, trial: Any, result: dict[str, Any]) -> tuple[str | None, float, float]:
        worker = f"{result['hostname']}:{result['pid']}" if "pid" in result else None
        began = self._began.pop(trial.trial_id, time.time())
        return worker, began, time.time() - began

    def _guard(self, action: Callable[[], None]) -> None:
        """Tune turns an exception in here into a failure of the trial; ours must end the search."""
        try:
            action()
        except Exception as error:
            self.search.error = self.search.error or error

    @staticmethod
    def _clean(trial: Any) -> None:
        """The checkpoints of an ended trial are of no more use."""
        if trial.local_path:
            shutil.rmtree(trial.local_path, ignore_errors=True)


class EvaluatorTrainable(tune.Trainable):  # type: ignore[misc]
    """One evaluation as a Tune trial, an epoch a step; the actor is reused for the next trial."""

    def setup(
        self,
        config: dict[str, Any],
        evaluator: Evaluator | None = None,
        space: SearchSpace | None = None,
        reward: Any = None,
        threads: int = 1,
    ) -> None:
        """Once in an actor: bound its threads, take the evaluator out of the object store."""
        assert evaluator is not None
        assert space is not None
        torch.set_num_threads(threads)
        self.evaluator, self.space, self.reward = evaluator, space, reward
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another trial."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self.costs = config["costs"]
        self.rows: list[Measurement] = []
        self.repeat = False
        self.evaluation: Evaluation | None = None
        # the evaluation itself starts in the first step, where an error is this trial's own
        spec = self.space.decode(Architecture(config["architecture"]))
        self.task = spec.replace(name=f"{spec.name}-trial{config['trial']}"), config["seed"]
        self.resume_from = config["checkpoint"]

    def step(self) -> dict[str, Any]:
        """One epoch. A trial without a result says so; anything unforeseen restarts the actor."""
        try:
            evaluation = self._evaluation()
            if not evaluation.finished:  # else its process died after the last checkpoint
                self.rows.append(next(evaluation))
            reward = self.reward(self.rows[-1]["accuracy"], self.costs)
        except TrialFailedError as error:
            return self._failed(str(error))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return self._failed("out of GPU memory")
        except MemoryError:
            return self._failed("out of memory")
        # after a restore the driver may not know the earlier epochs
        rows = self.rows if self.repeat else self.rows[-1:]
        self.repeat = False
        return {
            "rows": pickle.dumps(rows),
            "epoch": len(self.rows),
            "reward": reward,
            "last": evaluation.finished,
            "done": evaluation.finished,
        }

    def _failed(self, reason: str) -> dict[str, Any]:
        return {"rows": pickle.dumps([]), "epoch": len(self.rows), "failed": reason, "done": True}

    def _evaluation(self) -> Evaluation:
        if self.evaluation is None:
            self.evaluation = self.evaluator.start(*self.task)
            if self.resume_from and Path(self.resume_from).is_file():
                self._load(self.resume_from)
        return self.evaluation

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the evaluation's state, atomically: the folder may outlive this process."""
        target = Path(checkpoint_dir) / _STATE
        state = {"rows": self.rows, "evaluation": self._evaluation().state_dict()}
        torch.save(state, target.with_suffix(".part"))
        target.with_suffix(".part").replace(target)

    def load_checkpoint(self, checkpoint: str) -> None:  # type: ignore[override]
        """Go on from a checkpoint of this trial."""
        self.resume_from = str(Path(checkpoint) / _STATE)
        self.evaluation = None

    def _load(self, path: str) -> None:
        state = torch.load(path, weights_only=True, map_location="cpu")
        assert self.evaluation is not None
        self.evaluation.load_state_dict(state["evaluation"])
        self.rows, self.repeat = list(state["rows"]), True


_STATE = "evaluation.pt"


def _last_checkpoint(folder: Path, trial: int) -> str | None:
    """The newest state that an earlier process of this run left of a trial."""
    found = folder.glob(f"*/{_trial_folder(trial)}/checkpoint_*/{_STATE}")
    return max(map(str, found), key=lambda path: os.stat(path).st_mtime, default=None)


def _trial_folder(trial: int) -> str:
    return f"trial_{trial:06d}"


def _reason(trial: Any) -> str:
    """Why Tune gave a trial up: the cause at the end of a remote traceback, or a dead worker."""
    # `trial.get_error` looks into the experiment's storage, where the file isn't copied in time
    path = trial.pickled_error_file
    error = pickle.loads(Path(path).read_bytes()) if path and Path(path).is_file() else None
    if isinstance(error, ray.exceptions.RayActorError):
        return "the worker died, and died again when the trial was tried again"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if error is not None and lines else "the trial failed without a message"


def run_on_ray(
    loop: SearchLoop,
    evaluator: Evaluator,
    folder: Path,
    resources: Resources,
    scheduler: str = "none",
    retries: int = 2,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Run a loop's trials on the connected cluster until it is done.

    Args:
        loop: what to run.
        evaluator: put once into the object store; every worker of a node maps its data from there.
        folder: where the checkpoints of running trials live; emptied at the end.
        resources: of a trial, and how many at once.
        scheduler: `none`, `asha` or `median`: ends trials early by their reward so far.
        retries: how often a trial starts again when its worker dies, from its last checkpoint.
        tick: called often, in this process, e.g. to redraw a table.

    Raises:
        InputError: an unknown scheduler, or no room for so many trials.
        KeyboardInterrupt: the user interrupted; the journal has all that ended.
    """
    if retries < 0:
        raise InputError(f"retries {retries}: expected 0 or more")
    ender = make_scheduler(scheduler, evaluator.epochs)
    concurrent = check_room(resources)
    search = _LoopSearch(loop, folder)
    trainable = tune.with_parameters(
        EvaluatorTrainable,
        evaluator=evaluator,
        space=loop.controller.space,
        reward=loop.reward,
        threads=max(1, int(resources.cpus)),
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=ender,
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: _trial_folder(trial.config["trial"]),
            trial_dirname_creator=lambda trial: _trial_folder(trial.config["trial"]),
        ),
        run_config=tune.RunConfig(
            name=f"{time.time():.6f}",
            storage_path=str(folder.resolve()),
            failure_config=tune.FailureConfig(max_failures=retries),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=1 if evaluator.checkpoints else 0,
                num_to_keep=1 if evaluator.checkpoints else None,
                checkpoint_at_end=False,
            ),
            callbacks=[_LoopCallback(search, tick)],
            stop=lambda trial_id, result: search.error is not None,
            verbose=0,
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    quiet = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air", "ray")]
    levels = [logger.level for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.CRITICAL)
    try:
        tuner.fit()
    finally:
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)
    if search.error is not None:
        raise search.error
    if not loop.done:
        raise KeyboardInterrupt
    shutil.rmtree(folder, ignore_errors=True)


def make_scheduler(name: str, epochs: int) -> Any:
    """Tune's scheduler of that name, judging by reward; None for `none`."""
    if name not in SCHEDULERS:
        raise unknown("scheduler", name, SCHEDULERS)
    if name == "none":
        return None
    grace = max(1, epochs // 3)
    if name == "asha":
        return tune.schedulers.ASHAScheduler("epoch", "reward", "max", max_t=epochs, grace_period=grace)
    return tune.schedulers.MedianStoppingRule("epoch", "reward", "max", grace_period=grace)
