"""From a data set and the devices that are there to a plan: how to search on it, and how to train the winner.

Every number follows from counts, sizes, a measured speed and the time that may be taken; what the plan can't
know is said in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.data.sources import possible_share, source_of
from nas.data.survey import Survey
from nas.network.cost import cost
from nas.network.scaling import scale_by
from nas.runs.scoring import HELD_OUT, decide_scoring
from nas.search.gpu_need import gpu_need
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from nas.training.speed import Speed
from search_spaces.mbconv import StagedSpace
from search_spaces.reference import efficientnet_b0
from search_spaces.registry import usual_target
from search_spaces.spec import NetworkSpec

SEARCH_SHARE = 1 / 2
"""Of the time; the rest is the winner's training."""
_TRIAL_SECONDS = (8.0, 60.0)
"""A trial takes so long: at least; at most, where the search has no time for more than twice `_MANY`."""
_MANY, _FEWEST, _MOST = 60, 12, 1000
"""Trials: wanted; too few to search; enough."""
_EPOCHS = (2, 20)
"""Of a trial, at least and at most; more where they are fewer than `_STEPS`."""
_TRAIN_EPOCHS = (5, 100)
"""Of the winner's training, at least and at most; more where they are fewer than `_TRAIN_STEPS`."""
_TRAIN_RECIPE = "sgd"
_TRAIN_STEPS = 2000
_DECENT = 20
"""Epochs of the winner's training below which its resolution is lowered instead."""
_MEASURED = 12
"""Trainings that `--exponent auto` takes; it is measured where they are a quarter of all or less, or half of
the trials that were asked for."""
_STEPS = 200
"""Of a trial's training; with fewer most networks of the built-in spaces still guess on photographs."""
_QUIET = 0.9
"""Share of its CPUs that a measurement has on a machine with nothing else to do."""
_START_UP = 30.0
"""Seconds until the first trial trains."""


@dataclass(frozen=True)
class TrialTask:
    """What is trained in a trial, apart from how many images.

    Attributes:
        resolution, width, stem_stride: as `ProxyTask` takes them.
        recipe, changes: as `make_recipe` takes them.
    """

    resolution: int
    width: float
    stem_stride: int
    recipe: str
    changes: dict[str, Any]

    def make_recipe(self) -> Recipe:
        """The recipe."""
        return make_recipe(self.recipe, self.changes)

    def apply(self, specs: Sequence[NetworkSpec], classes: int, channels: int) -> list[NetworkSpec]:
        """The networks as they are trained."""
        proxy, recipe = self._proxy, self.make_recipe()
        return [recipe.adapt(proxy.apply(spec, classes, channels)) for spec in specs]

    def gpu_memory(self, space: StagedSpace, found: Survey, channels: int) -> int:
        """Bytes of a GPU that a trial may take, as the search will count them."""
        proxy, folds = self._proxy, decide_scoring(found.train, min(found.held_out, HELD_OUT), True).folds

        def trained(spec: NetworkSpec) -> NetworkSpec:
            return proxy.apply(spec, found.classes, channels)

        return gpu_need(space, trained, self.make_recipe().batch, folds)

    @property
    def _proxy(self) -> ProxyTask:
        return ProxyTask(self.resolution, self.width, self.stem_stride)


def full_resolution(side: int) -> int:
    """Pixels at which the winner is to see images with this shorter side.

    Small images are enlarged: five halvings of 32 px leave a single pixel for the last stages.
    """
    enlarged = 2 * side if side <= 40 else 4 * side / 3
    return max(32, min(224, 32 * round(enlarged / 32)))


def affordable_resolution(full: int, found: Survey, full_speed: Speed, hours: float) -> tuple[int, Speed]:
    """The highest resolution at which the winner's training has `_DECENT` epochs, and the speed there.

    Args:
        full: that the images deserve; the result is no higher, and not below 32 nor half of it.
        found: the data.
        full_speed: measured at `full`; it goes with the pixels.
        hours: for all.
    """
    seconds, lower = 3600 * hours * (1 - SEARCH_SHARE), full
    while True:
        speed = full_speed.rates[0] * (full / lower) ** 2
        enough = seconds * speed >= _DECENT * _passes_of_an_epoch(found)
        if enough or lower - 32 < max(32, full // 2):
            return lower, Speed((speed,), full_speed.share)
        lower -= 32


def _passes_of_an_epoch(found: Survey) -> float:
    """Training steps' worth of images: scoring one takes about a third of training on it."""
    return found.train + found.held_out / 3


def proxy_task(data: str, full: int, gpu: bool) -> TrialTask:
    """What trials train where the winner will see images of `full` pixels.

    Data sets that come with a proxy task have their own.
    """
    changes = {"batch": 50}
    if not (source := source_of(data)).located:
        return TrialTask(
            source.proxy.resolution, source.proxy.width, source.proxy.stem_stride, "adamw", changes
        )
    if gpu:
        return TrialTask(min(full, 96), 0.5, 2 if full > 64 else 1, "adamw", {"batch": 128, "lr": 0.008})
    return TrialTask(min(48, full), 0.5, 2 if full > 32 else 1, "adamw", changes)


def full_target(full: int, space: str) -> float:
    """MACs: those usual for the space at 224 px (400M, most often), in proportion to the pixels."""
    return float(f"{usual_target(space) * (full / 224) ** 2:.1e}")


def probes(space: StagedSpace, seed: int = 0, count: int = 3) -> list[NetworkSpec]:
    """Networks to measure the speed on: of many random ones those at the quartiles of the MACs."""
    rng = np.random.default_rng(seed)
    drawn = [space.decode(space.sample(rng)) for _ in range(101)]
    drawn.sort(key=lambda spec: cost(spec).macs)
    return [drawn[round(100 * (index + 1) / (count + 1))] for index in range(count)]


def baseline(full: int, classes: int, channels: int) -> NetworkSpec:
    """EfficientNet-B0 at this resolution: as large as the winner will be, by its target."""
    small = scale_by(efficientnet_b0(), resolution=full)
    return small.replace(num_classes=classes, in_channels=channels)


@dataclass(frozen=True)
class StartPlan:
    """How to search on a data set, and to train what is found.

    Attributes:
        data: as `load_data` takes it.
        found: what it holds.
        space: its name or file.
        exportable_to: as `--exportable-to` takes it.
        task: what a trial trains.
        full: resolution of the winner, pixels.
        target: MACs of the winner.
        subset, epochs: of the training images, in a trial.
        trials, at_once: how many, and how many side by side.
        stem_stride: of the winner.
        measures_exponent: whether the reward's exponent is measured first.
        train_epochs: of the winner's training, by `train_recipe`.
        trial_seconds, train_seconds: by the measured speed; of one trial, of the winner's training.
        cpus, gpus: of the devices that are used.
        gpus_each: of a trial.
        unsure: what the plan can't know, a line each.
    """

    data: str
    found: Survey
    space: str
    exportable_to: str
    task: TrialTask
    full: int
    target: float
    subset: float
    epochs: int
    trials: int
    at_once: int
    stem_stride: int
    measures_exponent: bool
    train_epochs: int
    trial_seconds: float
    train_seconds: float
    cpus: int
    gpus: int
    gpus_each: float = 0.0
    unsure: tuple[str, ...] = ()
    train_recipe: str = _TRAIN_RECIPE

    @property
    def trainings(self) -> int:
        """Trials, and those that measure the exponent."""
        return self.trials + (_MEASURED if self.measures_exponent else 0)

    @property
    def search_seconds(self) -> float:
        """Of the search."""
        return _START_UP + math.ceil(self.trainings / self.at_once) * self.trial_seconds

    @property
    def hours(self) -> float:
        """Of all of it."""
        return (self.search_seconds + self.train_seconds) / 3600

    @property
    def gpu_hours(self) -> float:
        """All GPUs are held during the search, one during the winner's training."""
        return (self.gpus * self.search_seconds + min(1, self.gpus) * self.train_seconds) / 3600


def make_plan(
    data: str,
    found: Survey,
    space: str,
    exportable_to: str,
    task: TrialTask,
    full: int,
    target: float,
    speed: Speed,
    full_speed: Speed,
    at_once: int,
    stem_stride: int,
    cpus: int,
    gpus: int,
    hours: float,
    trials: int | None = None,
    gpus_each: float = 0.0,
) -> StartPlan:
    """The plan that keeps to `hours`, as far as the fewest trials and epochs allow.

    Args:
        data, found, space, exportable_to, task, full, target, at_once, stem_stride, cpus, gpus: as in the
            plan.
        speed: measured, of networks of the space in a trial.
        full_speed: of a network like the winner in its training.
        hours: for all of it.
        trials: how many; None: as many as there is time for.
        gpus_each: of a trial, as in the plan.
    """
    rate = len(speed.rates) / sum(1 / each for each in speed.rates)  # of trials one after the other
    seconds = 3600 * hours * SEARCH_SHARE - _START_UP
    wanted = trials or _MANY
    shortest, usual = _TRIAL_SECONDS
    shortest = max(shortest, min(usual, _STEPS * task.make_recipe().batch / rate))
    a_trial = seconds * at_once / wanted
    if trials is None:  # with time for many trials each may take longer
        a_trial = max(shortest, a_trial) if a_trial < usual else max(usual, a_trial / 2)
    a_trial = max(1.0, min(a_trial, seconds * at_once / _FEWEST))
    scoring = decide_scoring(found.train, min(found.held_out, HELD_OUT), True)
    # scoring an image takes about a third of training on it
    passes = max(1.0, a_trial * rate / scoring.folds)
    most = _most_epochs(_EPOCHS[1], _STEPS, found.train, task.make_recipe().batch)
    epochs, subset = _spread(passes, found.train, scoring.held_out, found.classes, most)
    images = max(1, round(subset * found.train))
    trial_seconds = scoring.folds * epochs * (images + scoring.held_out / 3) / rate
    number = trials or max(_FEWEST, min(_MOST, int(seconds * at_once / trial_seconds)))
    measures = number >= 4 * _MEASURED if trials is None else number >= 2 * _MEASURED
    if measures and trials is None:
        number -= _MEASURED
    epoch_seconds = _passes_of_an_epoch(found) / full_speed.rates[0]
    trainings = number + (_MEASURED if measures else 0)
    left = max(0.0, 3600 * hours - (_START_UP + math.ceil(trainings / at_once) * trial_seconds))
    low = _TRAIN_EPOCHS[0]
    high = _most_epochs(_TRAIN_EPOCHS[1], _TRAIN_STEPS, found.train, make_recipe(_TRAIN_RECIPE).batch)
    train_epochs = max(low, min(high, int(left / epoch_seconds)))
    plan = StartPlan(
        *(data, found, space, exportable_to, task, full, target, subset, epochs, number, at_once),
        *(stem_stride, measures, train_epochs, trial_seconds, train_epochs * epoch_seconds, cpus, gpus),
        gpus_each=gpus_each,
    )
    return replace(plan, unsure=tuple(_unsure(plan, speed, scoring.remark, hours)))


def _most_epochs(usual: int, steps: int, train: int, batch: int) -> int:
    """The usual limit, or as many as it takes to so many steps: an epoch of few images is next to nothing."""
    return max(usual, math.ceil(steps / max(1, train // batch)))


def _spread(passes: float, train: int, held_out: int, classes: int, most: int) -> tuple[int, float]:
    """(epochs, part of the images) for so many images trained on in all.

    All images, for as many epochs as there is time for, and no more than `most`; a part of them where that
    would be too few.
    """
    low = _EPOCHS[0]
    epochs = int(passes / (train + held_out / 3))
    if epochs >= low:
        return min(most, epochs), 1.0
    part = (passes / low - held_out / 3) / train
    return low, possible_share(max(1e-4, float(f"{part:.2g}")), train, classes)


def _unsure(plan: StartPlan, speed: Speed, remark: str | None, hours: float) -> list[str]:
    words = []
    if remark is not None:
        words.append(remark)
    if plan.found.test < 400:
        error = 100 * math.sqrt(0.25 / max(1, plan.found.test))
        words.append(
            f"{plan.found.test:,} test images: the winner's test accuracy has a standard error of up to "
            f"{error:.1f} points"
        )
    few, many = plan.found.smallest[1], plan.found.largest[1]
    if many >= 5 * few:
        words.append(
            f"classes of {few:,} to {many:,} images: accuracy counts images, so the large classes decide"
        )
    if plan.found.wide >= 2 * plan.found.narrow:
        words.append(
            f"shorter sides from {plan.found.narrow} to {plan.found.wide} px: the resolution follows the "
            f"median, {plan.found.side} px"
        )
    if plan.full < (deserved := full_resolution(plan.found.side)):
        words.append(f"the images deserve {deserved} px; {plan.full} px are what there is time to train")
    batch = plan.task.make_recipe().batch
    steps = plan.epochs * max(1, round(plan.subset * plan.found.train) // batch)
    if steps < _STEPS:
        words.append(f"a trial trains for {steps} steps: with fewer than {_STEPS} many networks only guess")
    if plan.trials < 24:
        words.append(f"{plan.trials} trials: hardly more than a random choice; give it more --hours")
    spread = max(speed.rates) / min(speed.rates)
    if not plan.gpus and speed.share < _QUIET:
        words.append(
            f"other work took CPUs while it was measured (a training had {speed.share:.0%} of its own): "
            "without it everything is faster"
        )
    words.append(
        f"times are those of {len(speed.rates)} networks at the quartiles of the space, which differ by a "
        f"factor of {spread:.1f}"
    )
    if plan.hours > 1.1 * hours:
        words.append(
            f"it takes longer than {hours:g} h: {_FEWEST} trials (or those asked for) and "
            f"{_TRAIN_EPOCHS[0]} epochs for the winner are the least that is planned"
        )
    if plan.gpus:
        words.append(
            "what trials train on GPUs was chosen for all data alike, not measured on these: `nas proxy` does"
        )
    words.append(
        f"a trial is a short training at {plan.task.resolution} px of a network x {plan.task.width:g}: "
        "whether it ranks networks as a long one would, `nas proxy` measures"
    )
    return words
