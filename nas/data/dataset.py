"""What a data set is: its splits, in memory or on disk, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.data.resize import resize_squares
from search_spaces.errors import InputError

SPLIT_SEED = 0
"""The held-out part is the same in every run, so that accuracies of different runs compare."""


@dataclass(frozen=True)
class ArraySplit:
    """Images in memory.

    Attributes:
        images: uint8, shape (N, C, H, W).
        labels: int64, shape (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


class Source(Protocol):
    """Where encoded images are read that are no files of their own."""

    def content(self, key: str) -> bytes | str:
        """The encoded image, or its path; raises OSError."""

    def name(self, key: str) -> str:
        """What to call it in a message."""


@dataclass(frozen=True)
class FileSplit:
    """Images on disk, decoded when they are needed.

    Attributes:
        keys: paths, or what `source` knows the images by.
        labels: theirs.
        source: reads the images; None: `keys` are paths.
    """

    keys: tuple[str, ...]
    labels: tuple[int, ...]
    source: Source | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def content(self, index: int) -> bytes | str:
        """The encoded image, or its path; raises OSError."""
        return self.keys[index] if self.source is None else self.source.content(self.keys[index])

    def name(self, index: int) -> str:
        """What to call an image in a message."""
        return self.keys[index] if self.source is None else self.source.name(self.keys[index])

    def part(self, chosen: Iterable[int]) -> FileSplit:
        """Some of the images."""
        chosen = list(chosen)
        keys, labels = tuple(self.keys[i] for i in chosen), tuple(self.labels[i] for i in chosen)
        return FileSplit(keys, labels, self.source)


Split = ArraySplit | FileSplit


@dataclass(frozen=True)
class DataSet:
    """A classification task.

    Attributes:
        name: as the user wrote it.
        train, held_out, test: the splits; a search trains on `train` and scores on `held_out`.
        num_classes: labels are 0 to num_classes - 1.
        in_channels: of the images.
        resolution: height and width at which the images come.
        mean, std: by channel, of values from 0 to 1.
        flips: whether a mirrored image keeps its label.
        digest: 16 hex digits of the content (of names and sizes for files).
        folders: where its files lie, if they are read while training.
        classes: their names, where it has some; without control characters.
        remarks: what a user should know about how the data were read, a line each; no part of the digest.
        stored: side of the training and held-out images in memory, where it is more than `resolution`: they
            are trained on in random crops and scored on in the centre; None: they are as large as that.
    """

    name: str
    train: Split
    held_out: Split
    test: Split
    num_classes: int
    in_channels: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool
    digest: str
    folders: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    stored: int | None = None

    def subset(self, share: float, held_out: int | None = None) -> DataSet:
        """The data set with a part of its training and held-out images, classes in proportion.

        The test split stays whole.

        Args:
            share: of the training images; and of the held-out ones, where `held_out` is None.
            held_out: images to score on, if there are more.

        Raises:
            InputError: the share is not in (0, 1], or so small that a class would be lost.
        """
        if not 0 < share <= 1:
            raise InputError(f"subset {share:g}: expected a fraction above 0 and up to 1")
        train, scored = self.train, self.held_out
        if share < 1:
            train = _part(train, share, self)
            if held_out is None:
                scored = _part(scored, share, self)
        if held_out is not None and held_out < len(scored):
            scored = _some(scored, held_out)
        return replace(self, train=train, held_out=scored)

    def without_test(self) -> DataSet:
        """The data set with no test images: what a search sends to its workers, which never reads them."""
        test = self.test
        if isinstance(test, ArraySplit):
            return replace(self, test=ArraySplit(test.images[:0].copy(), test.labels[:0].copy()))
        return replace(self, test=test.part(()))

    def at(self, resolution: int) -> DataSet:
        """The data set with its images in memory resized once to `resolution` pixels.

        Files are resized when they are decoded.

        Raises:
            InputError: they were decoded for another resolution (`nas.data.decoding`).
        """
        if resolution == self.resolution:
            return self
        if self.stored is not None:
            raise InputError(
                f"resolution {resolution}: the images of {self.name!r} were decoded for {self.resolution} px"
            )
        return replace(
            self,
            resolution=resolution,
            train=_resized(self.train, resolution),
            held_out=_resized(self.held_out, resolution),
            test=_resized(self.test, resolution),
        )


def _part(split: Split, share: float, data: DataSet) -> Split:
    from sklearn.model_selection import train_test_split

    count = round(share * len(split))
    if count < 2 * data.num_classes or len(split) - count < data.num_classes:
        raise InputError(
            f"subset {share:g}: {count} of {len(split)} images of {data.name!r}: expected at least two "
            f"of each of the {data.num_classes} classes"
        )
    labels = np.asarray(split.labels)
    try:
        chosen, _ = train_test_split(
            np.arange(len(split)), train_size=count, random_state=SPLIT_SEED, stratify=labels
        )
    except ValueError:  # a class has a single image here: it can't be on both sides
        numbers, counts = np.unique(labels, return_counts=True)
        rarest = int(numbers[counts.argmin()])
        which = repr(data.classes[rarest]) if data.classes else str(rarest)
        raise InputError(
            f"subset {share:g}: class {which} of {data.name!r} has {counts.min()} of {len(split)} images: "
            "expected at least two to take a part of"
        ) from None
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[chosen], split.labels[chosen])
    return split.part(chosen.tolist())


def _some(split: Split, count: int) -> Split:
    """So many images of a split, the classes in proportion to a draw: large counts need no more."""
    chosen = np.sort(np.random.default_rng(SPLIT_SEED).permutation(len(split))[:count])
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[chosen], split.labels[chosen])
    return split.part(chosen.tolist())


def _resized(split: Split, resolution: int) -> Split:
    if isinstance(split, FileSplit):
        return split
    return ArraySplit(resize_squares(split.images, resolution), split.labels)
