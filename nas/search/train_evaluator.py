"""The evaluator that trains the network from scratch on the proxy task.

Torch is loaded where a training starts, in the workers: the driver of a search needs none.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.data.folds import fold_of, fold_parts
from nas.data.load import DataSet, FileSplit
from nas.data.preparation import Preparation
from nas.errors import TrialFailedError
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.gpu_need import gpu_need
from nas.search.trial import Measurement
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from search_spaces.errors import InputError
from search_spaces.quoting import printable
from search_spaces.space import SearchSpace
from search_spaces.spec import NetworkSpec

if TYPE_CHECKING:
    from nas.training.batches import Batches
    from nas.training.trainer import Trainer


class TrainEvaluator(Evaluator):
    """Trains the network's proxy and measures its accuracy on held-out training images.

    Args:
        data: at any resolution; it is resized here, once. Files may have been decoded into it before.
        recipe: how to train.
        proxy: what is trained in place of the full network.
        workers: processes that decode image files, for each trial.
        baseline_resolution: of a network that is trained at the proxy's resolution; others in
            proportion. None: all are.
        final: these are full trainings: the last measurement has `test_accuracy`, `test_images` and
            (of more than five classes) `test_top5` too, and the trained weights are kept.
        folds: of a cross-validation: each network is trained so often, scored on other images each time, and
            has the accuracy of all of them together; 1: the plain split.
    """

    name = "train"
    checkpoints = True

    def __init__(
        self,
        data: DataSet,
        recipe: Recipe,
        proxy: ProxyTask,
        workers: int = 1,
        baseline_resolution: int | None = None,
        final: bool = False,
        folds: int = 1,
    ) -> None:
        self.final, self.folds = final, folds
        self.baseline_resolution = baseline_resolution
        self.data = data.at(proxy.resolution) if baseline_resolution is None else data
        self.recipe, self.proxy, self.workers = recipe, proxy, workers
        self.epochs = recipe.epochs
        self.decodes = isinstance(data.train, FileSplit)
        self.folders, self.data_digest = data.folders, data.digest
        self.task = {"num_classes": data.num_classes, "in_channels": data.in_channels}
        self.scored = len(data.held_out)
        labels = [np.asarray(data.held_out.labels)]
        if folds > 1:
            train = np.asarray(data.train.labels)
            parts = fold_parts(train.tolist(), labels[0].tolist(), folds)[1:]
            labels += [train[part] for part in parts]
            self.scored += sum(map(len, parts))
        self.chance = guessing(np.concatenate(labels))
        self.decided: dict[str, Any] = {"cache": "off" if data.stored is None else "on"}
        self._batches: dict[tuple[int, int], Batches] = {}

    def start(self, spec: NetworkSpec, seed: int) -> Evaluation:
        """Build the proxy of `spec` on the device of this process, ready to train."""
        from nas.network.builder import build
        from nas.training.batches import Batches
        from nas.training.trainer import Trainer, pick_device

        proxy = self._proxy_of(spec)
        # once in a process and resolution: on a GPU this copies the images there
        self._batches = {key: made for key, made in self._batches.items() if key[0] == proxy.resolution}
        for fold in range(self.folds):
            if (proxy.resolution, fold) not in self._batches:
                data = fold_of(self.data.at(proxy.resolution), fold, self.folds)
                made = Batches(data, self.recipe, pick_device(), self.workers)
                self._batches[proxy.resolution, fold] = made
        small = self.recipe.adapt(self._small(spec))
        try:
            trainers = [
                Trainer(build(small, seed, self.recipe.identity), batches, self.recipe, seed)
                for batches in self._batches.values()
            ]
        except InputError as error:  # this network can't be trained so; others may
            raise TrialFailedError(str(error)) from None
        if self.folds > 1:
            return _CrossValidation(trainers)
        return _FullTraining(trainers[0], small) if self.final else _Training(trainers[0])

    def _proxy_of(self, spec: NetworkSpec) -> ProxyTask:
        if self.baseline_resolution is None:
            return self.proxy
        resolution = round(self.proxy.resolution * spec.resolution / self.baseline_resolution)
        return replace(self.proxy, resolution=max(4, resolution))

    def _small(self, spec: NetworkSpec) -> NetworkSpec:
        """What is trained in place of a network."""
        return self._proxy_of(spec).apply(spec, self.data.num_classes, self.data.in_channels)

    def gpu_memory(self, space: SearchSpace) -> int:
        """Of the trainings (one, or all folds' together) of the space's largest network."""
        return gpu_need(space, self._small, self.recipe.batch, self.folds)

    def describe(self) -> str:
        """Data set, images, resolution, width and epochs."""
        held_out = f"{len(self.data.held_out):,} held out"
        if self.folds > 1:
            held_out += f" in each of {self.folds} folds ({self.scored:,} scored)"
        return (
            f"{printable(self.data.name)}, {len(self.data.train):,} images of {self.proxy.resolution} px to "
            f"train and {held_out}, width x {self.proxy.width:g}, {self.epochs} "
            f"epoch{'s' * (self.epochs != 1)}"
        )

    def without_data(self) -> TrainEvaluator:
        """A copy whose splits have a length and nothing else."""
        light = copy(self)
        sizes = {name: range(len(getattr(self.data, name))) for name in ("train", "held_out", "test")}
        light.data = replace(self.data, **sizes)  # type: ignore[arg-type]
        light._batches = {}
        return light

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_batches": {}}


def guessing(labels: NDArray[np.int64]) -> float:
    """The accuracy up to which a network may be guessing: the commonest class, and three standard errors.

    Args:
        labels: of the images that are scored, shape (N,).
    """
    if not len(labels):
        return 0.0
    share = float(np.bincount(labels).max()) / len(labels)
    return min(1.0, share + 3 * math.sqrt(share * (1 - share) / len(labels)))


class _Training(Evaluation):
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __next__(self) -> Measurement:
        if self.finished:
            raise StopIteration
        return self.trainer.run_epoch()

    @property
    def finished(self) -> bool:
        return self.trainer.epoch >= self.trainer.recipe.epochs

    def state_dict(self) -> dict[str, Any]:
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)


class _CrossValidation(Evaluation):
    """Trainings on the folds side by side, an epoch of each at a time, so that schedulers see all of them."""

    def __init__(self, trainers: list[Trainer]) -> None:
        self.trainings = [_Training(trainer) for trainer in trainers]

    def __next__(self) -> Measurement:
        rows = [next(training) for training in self.trainings]
        scored = [row["held_out_images"] for row in rows]
        row = dict(rows[0])
        for name in ("accuracy", "top5", "held_out_loss"):
            if name in row:
                row[name] = sum(r[name] * n for r, n in zip(rows, scored, strict=True)) / sum(scored)
        row["held_out_images"] = sum(scored)
        row["loss"] = sum(r["loss"] for r in rows) / len(rows)
        row["seconds"] = sum(r["seconds"] for r in rows)
        row["images_per_second"] = len(rows) / sum(1 / r["images_per_second"] for r in rows)
        if any("unreadable" in r for r in rows):
            row["unreadable"] = max(r.get("unreadable", 0) for r in rows)
        return row

    @property
    def finished(self) -> bool:
        return self.trainings[-1].finished

    def state_dict(self) -> dict[str, Any]:
        return {"folds": [training.state_dict() for training in self.trainings]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for training, part in zip(self.trainings, state["folds"], strict=True):
            training.load_state_dict(part)


class _FullTraining(_Training):
    def __init__(self, trainer: Trainer, spec: NetworkSpec) -> None:
        super().__init__(trainer)
        self.spec = spec

    def __next__(self) -> Measurement:
        row = super().__next__()
        if self.finished:
            test = self.trainer.evaluate("test")
            row |= {f"test_{name}": test[name] for name in ("accuracy", "top5", "images") if name in test}
        return row

    def product(self) -> bytes:
        from nas.training.checkpoint import checkpoint_bytes

        data = self.trainer.batches.data
        about = {
            "data_digest": data.digest,
            "recipe": dict(vars(self.trainer.recipe)),
            "input": Preparation.of(data).to_document(),
        }
        return checkpoint_bytes(self.spec, self.trainer.state_dict(), about)
