"""What a data set holds, for whoever plans a search on it: counts, classes, sizes of its images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from nas.data.dataset import ArraySplit, DataSet, FileSplit
from nas.data.images import image_size
from nas.data.pixels import UnreadableImageError

_LOOKED_AT = 200
"""Headers of image files that are read."""


@dataclass(frozen=True)
class Survey:
    """What there is.

    Attributes:
        train, held_out, test: images of each split.
        classes: how many.
        smallest, largest: names and training images (held-out ones too) of the rarest and commonest class.
        side: the median of the images' shorter sides, pixels.
        narrow, wide: the tenth and ninetieth percentile of them.
        remarks: of its loader.
    """

    train: int
    held_out: int
    test: int
    classes: int
    smallest: tuple[str, int]
    largest: tuple[str, int]
    side: int
    narrow: int
    wide: int
    remarks: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """For people."""
        sizes = f"{self.side} px" if self.narrow == self.wide else f"{self.narrow} to {self.wide} px"
        few, many = self.smallest, self.largest
        each = f"{few[1]:,} to {many[1]:,} images each" if few[1] < many[1] else f"{few[1]:,} images each"
        return [
            f"{self.train + self.held_out:,} training images ({self.held_out:,} of them held out), "
            f"{self.test:,} test images, shorter sides {sizes}",
            f"{self.classes:,} classes, {each} to train on"
            + (f" (fewest: {few[0]}; most: {many[0]})" if few[1] < many[1] else ""),
            *self.remarks,
        ]


def survey(data: DataSet) -> Survey:
    """Look at a data set's labels, and at the headers of some of its images."""
    labels = [*np.asarray(data.train.labels).tolist(), *np.asarray(data.held_out.labels).tolist()]
    counts = Counter(labels)
    names = data.classes or tuple(map(str, range(data.num_classes)))
    ranked = sorted(counts, key=lambda label: (counts[label], label))
    sides = _sides(data)
    low, middle, high = (round(float(x)) for x in np.percentile(sides, (10, 50, 90)))
    return Survey(
        len(data.train),
        len(data.held_out),
        len(data.test),
        data.num_classes,
        (names[ranked[0]], counts[ranked[0]]),
        (names[ranked[-1]], counts[ranked[-1]]),
        *(middle, low, high),
        data.remarks,
    )


def _sides(data: DataSet) -> list[int]:
    split = data.train
    if isinstance(split, ArraySplit):
        return [min(split.images.shape[2:])]
    sides = [_side(split, index) for index in range(0, len(split), max(1, len(split) // _LOOKED_AT))]
    return [side for side in sides if side] or [data.resolution]


def _side(split: FileSplit, index: int) -> int:
    """The shorter side of an image; 0: it can't be read, which is told elsewhere."""
    try:
        return min(image_size(split.content(index)))
    except (UnreadableImageError, OSError):
        return 0
