"""The evaluator that trains the network from scratch on the proxy task."""

from __future__ import annotations

from typing import Any

from nas.network.builder import build
from nas.search.evaluators.base import Evaluation, Evaluator
from nas.search.trial import Measurement
from nas.training.batches import Batches
from nas.training.data import DataSet
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from nas.training.trainer import Trainer, pick_device
from search_spaces.spec import NetworkSpec


class TrainEvaluator(Evaluator):
    """Trains the network's proxy and measures its accuracy on held-out training images.

    Args:
        data: at any resolution; it is resized here, once.
        recipe: how to train.
        proxy: what is trained in place of the full network.
        workers: processes that decode image files, for each trial.
    """

    name = "train"
    checkpoints = True

    def __init__(self, data: DataSet, recipe: Recipe, proxy: ProxyTask, workers: int = 1) -> None:
        self.data = data.at(proxy.resolution)
        self.recipe, self.proxy, self.workers = recipe, proxy, workers
        self.epochs = recipe.epochs
        self._batches: Batches | None = None

    def start(self, spec: NetworkSpec, seed: int) -> Evaluation:
        """Build the proxy of `spec` on the device of this process, ready to train."""
        if self._batches is None:  # once in a process: on a GPU this copies the images there
            self._batches = Batches(self.data, self.recipe, pick_device(), self.workers)
        small = self.proxy.apply(spec, self.data.num_classes, self.data.in_channels, self.recipe.bn_momentum)
        return _Training(Trainer(build(small, seed), self._batches, self.recipe, seed))

    def describe(self) -> str:
        """Data set, images, resolution, width and epochs."""
        return (
            f"{self.data.name}, {len(self.data.train):,} images of {self.proxy.resolution} px to train and "
            f"{len(self.data.held_out):,} held out, width x {self.proxy.width:g}, {self.epochs} epochs"
        )

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_batches": None}


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
