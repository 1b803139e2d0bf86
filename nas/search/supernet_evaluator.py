"""The evaluator that takes a network's weights out of a trained supernet: a pass over images, no training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.load import DataSet
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.train_evaluator import guessing
from nas.search.trial import Measurement
from nas.supernet.plan import StoredSupernet
from search_spaces.architecture import Architecture
from search_spaces.quoting import printable
from search_spaces.spec import NetworkSpec

if TYPE_CHECKING:
    from nas.supernet.calibration import SubnetScorer
    from nas.supernet.network import Supernet


class SupernetEvaluator(Evaluator):
    """Accuracy on held-out images of the network cut out of a supernet, with BN statistics of its own.

    Args:
        stored: the trained supernet.
        data: that it was trained on, at its proxy's resolution.
    """

    name = "supernet"
    instant = True
    scores_any = False

    def __init__(self, stored: StoredSupernet, data: DataSet) -> None:
        # what trains on is left behind: the optimizer's state is twice as large as the weights
        state: dict[str, Any] = {
            name: stored.state[name] for name in ("model", "ema") if name in stored.state
        }
        self.stored, self.data = replace(stored, state=state), data
        self.data_digest = stored.digest
        self.task = {"num_classes": data.num_classes, "in_channels": data.in_channels}
        self.scored = len(data.held_out)
        self.chance = guessing(np.asarray(data.held_out.labels))
        self._made: tuple[Supernet, SubnetScorer] | None = None

    def start(self, spec: NetworkSpec, seed: int) -> Evaluation:
        """One measurement; nothing in it is random.

        Raises:
            NotInSpaceError: the supernet has no such network.
        """
        supernet, scorer = self._ready()
        return _Score(supernet, scorer, supernet.space.encode(spec))

    def _ready(self) -> tuple[Supernet, SubnetScorer]:
        """The supernet and who scores, made once in a process."""
        from nas.supernet.calibration import SubnetScorer
        from nas.training.batches import Batches
        from nas.training.trainer import pick_device

        if self._made is None:
            recipe = self.stored.plan.recipe
            scorer = SubnetScorer(Batches(self.data, recipe, pick_device(), 0), recipe)
            self._made = self.stored.make(), scorer
        return self._made

    def describe(self) -> str:
        """Which supernet, trained how long, and what is scored."""
        plan = self.stored.plan
        return (
            f"{printable(self.data.name)}, {len(self.data.held_out):,} held-out images of "
            f"{plan.proxy.resolution} px, width x {plan.proxy.width:g}, with weights of a supernet "
            f"({self.data_digest}, {len(self.stored.rows)} epochs)"
        )

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_made": None}


class _Score(Evaluation):
    def __init__(self, supernet: Supernet, scorer: SubnetScorer, architecture: Architecture) -> None:
        self._supernet, self._scorer, self._architecture = supernet, scorer, architecture
        self._told = False

    def __next__(self) -> Measurement:
        if self._told:
            raise StopIteration
        self._told = True
        scores = self._scorer(self._supernet.cut_out(self._architecture))
        row: Measurement = {"epoch": 1, "accuracy": scores["accuracy"]}
        row |= {"top5": scores["top5"]} if "top5" in scores else {}
        return row | {"held_out_loss": scores["loss"], "held_out_images": scores["images"]}

    @property
    def finished(self) -> bool:
        return self._told
