"""Classifying image files with a trained network, prepared as in the evaluation of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.images import UnreadableImageError
from nas.data.preparation import Preparation

_THREADS = 4
"""Pillow decodes outside Python's lock."""

Classifier = Callable[[Tensor], Tensor]
"""Inputs (N, channels, height, width) to logits (N, classes)."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image.

    Attributes:
        path: of the image.
        top: (class, probability) of the most probable ones, the first first; softmax of the logits. Empty for
            a file that can't be read.
        problem: why it can't; None: it was read.
    """

    path: str
    top: tuple[tuple[int, float], ...] = ()
    problem: str | None = None

    @property
    def best(self) -> int:
        """The most probable class."""
        return self.top[0][0]


def predict(
    classify: Classifier, preparation: Preparation, paths: Sequence[str], top: int = 1, at_once: int = 1
) -> Iterator[Prediction]:
    """A prediction for each path, in order.

    Args:
        classify: the network, in evaluation mode.
        preparation: of its inputs.
        paths: of image files.
        top: classes for each image.
        at_once: images in memory (`nas.network.at_once`).
    """

    def read(path: str) -> Tensor | str:
        try:
            return preparation.image(path)
        except UnreadableImageError as error:
            return str(error)

    with ThreadPoolExecutor(_THREADS) as pool, torch.inference_mode():
        for start in range(0, len(paths), at_once):
            names = paths[start : start + at_once]
            found = list(pool.map(read, names))
            images = [image for image in found if isinstance(image, Tensor)]
            rows = iter(_most_probable(classify(torch.stack(images)), top) if images else ())
            for name, image in zip(names, found, strict=True):
                if isinstance(image, str):
                    yield Prediction(name, problem=image)
                else:
                    yield Prediction(name, next(rows))


def _most_probable(logits: Tensor, count: int) -> list[tuple[tuple[int, float], ...]]:
    found = logits.double().softmax(1).topk(count)
    rows = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [tuple(zip(*row, strict=True)) for row in rows]
