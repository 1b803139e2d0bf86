"""Classifying image files with a trained network, prepared as in the evaluation of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.images import UnreadableImageError
from nas.data.preparation import Preparation

_BATCH = 64
_THREADS = 4
"""Pillow decodes outside Python's lock."""

Classifier = Callable[[Tensor], Tensor]
"""Inputs (N, channels, height, width) to logits (N, classes)."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image.

    Attributes:
        path: of the image.
        probabilities: by class, softmax of the logits; empty for a file that can't be read.
        problem: why it can't; None: it was read.
    """

    path: str
    probabilities: tuple[float, ...] = ()
    problem: str | None = None

    @property
    def best(self) -> int:
        """The most probable class."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    def top(self, count: int) -> list[tuple[int, float]]:
        """(class, probability) of the most probable ones, the first first."""
        order = sorted(range(len(self.probabilities)), key=lambda index: -self.probabilities[index])
        return [(index, self.probabilities[index]) for index in order[:count]]


def predict(
    classify: Classifier, preparation: Preparation, paths: Sequence[str], batch: int = _BATCH
) -> Iterator[Prediction]:
    """A prediction for each path, in order.

    Args:
        classify: the network, in evaluation mode.
        preparation: of its inputs.
        paths: of image files.
        batch: images at once.
    """

    def read(path: str) -> Tensor | str:
        try:
            return preparation.image(path)
        except UnreadableImageError as error:
            return str(error)

    with ThreadPoolExecutor(_THREADS) as pool, torch.inference_mode():
        for start in range(0, len(paths), batch):
            names = paths[start : start + batch]
            found = list(pool.map(read, names))
            images = [image for image in found if isinstance(image, Tensor)]
            rows = iter(classify(torch.stack(images)).double().softmax(1).tolist() if images else ())
            for name, image in zip(names, found, strict=True):
                if isinstance(image, str):
                    yield Prediction(name, problem=image)
                else:
                    yield Prediction(name, tuple(next(rows)))
