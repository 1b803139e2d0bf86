"""What 8 bits cost a trained network: calibrated on its training images, scored before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.dataset import DataSet
from nas.data.preparation import Preparation
from nas.export.int8 import mark_quantised, quantise_onnx
from nas.export.onnx import onnx_runner
from nas.training.batches import Batches
from nas.training.recipe import Recipe
from search_spaces.errors import InputError

CALIBRATED, SCORED = 200, 2000
"""Images, at most: ranges of activations settle with a hundred or two."""
_AT_ONCE = 50


@dataclass(frozen=True)
class Int8Scores:
    """What became of a network.

    Attributes:
        data: name of the data set.
        calibrated_on: training images.
        scored_on: held-out images.
        accuracy_before, accuracy_after: on those, fractions, both in ONNX Runtime.
    """

    data: str
    calibrated_on: int
    scored_on: int
    accuracy_before: float
    accuracy_after: float

    @property
    def remark(self) -> str:
        """In words, for people."""
        return (
            f"int8, calibrated on {self.calibrated_on:,} training images; accuracy on {self.scored_on:,} "
            f"held-out images {self.accuracy_before:.4f} before, {self.accuracy_after:.4f} after"
        )


def quantise_trained(content: bytes, preparation: Preparation, data: DataSet) -> tuple[bytes, Int8Scores]:
    """The ONNX file of a trained network in 8 bits, marked, and what that cost.

    Args:
        content: as `nas.export.onnx.onnx_bytes` writes it.
        preparation: of its images.
        data: that it was trained on, or of the same classes.

    Raises:
        InputError: data of other classes or channels, or as `quantise_onnx`.
        TrialFailedError: too many images can't be read.
    """
    own = Preparation.of(data)
    if (own.classes, own.channels) != (preparation.classes, preparation.channels):
        raise InputError(
            f"data {data.name!r}: its {data.num_classes} classes and {data.in_channels} channels are not "
            "those that the network was trained on"
        )
    data = replace(data.at(preparation.resolution), mean=preparation.mean, std=preparation.std)
    calibration = _batches(replace(data, held_out=data.train), CALIBRATED)
    seen = 0

    def inputs() -> Iterator[NDArray[np.float32]]:
        nonlocal seen
        for images, _ in calibration:
            seen += len(images)
            yield images.numpy()

    made = quantise_onnx(content, inputs())
    before, scored = _accuracy(onnx_runner(content), data)
    after, _ = _accuracy(onnx_runner(made), data)
    scores = Int8Scores(data.name, seen, scored, before, after)
    return mark_quantised(made, asdict(scores)), scores


def _batches(data: DataSet, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images as evaluation has them, and labels."""
    some = data.subset(1.0, most)
    return Batches(some, Recipe(batch=_AT_ONCE), torch.device("cpu"), workers=0).evaluation("held_out")


def _accuracy(run: Callable[[Tensor], Tensor], data: DataSet) -> tuple[float, int]:
    """(share of held-out images that are classified rightly, their number)."""
    right = count = 0
    for images, labels in _batches(data, SCORED):
        right += int((run(images).argmax(1) == labels).sum())
        count += len(labels)
    if not count:
        raise InputError(f"data {data.name!r}: no held-out image can be read")
    return right / count, count
