"""Cross-validation: each fold trains on some images and scores on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import SPLIT_SEED, ArraySplit, DataSet
from search_spaces.errors import InputError


def fold_of(data: DataSet, number: int, folds: int) -> DataSet:
    """The data set as a fold of a cross-validation has it; the first one is the data set itself.

    Args:
        data: with its images in memory.
        number: of the fold, from 0.
        folds: how many.

    Raises:
        InputError: the images are not in memory.
    """
    if number == 0:
        return data
    train, held_out = data.train, data.held_out
    if not (isinstance(train, ArraySplit) and isinstance(held_out, ArraySplit)):
        raise InputError(f"folds {folds}: the images of {data.name!r} are not in memory")
    scored = fold_parts(train.labels.tolist(), held_out.labels.tolist(), folds)[number]
    kept = np.setdiff1d(np.arange(len(train)), scored)
    whole = ArraySplit(
        np.concatenate([train.images[kept], held_out.images]),
        np.concatenate([train.labels[kept], held_out.labels]),
    )
    return replace(data, train=whole, held_out=ArraySplit(train.images[scored], train.labels[scored]))


def fold_parts(train: Sequence[int], held_out: Sequence[int], folds: int) -> list[NDArray[np.int64]]:
    """What each fold scores on: indices of held-out images for the first one, then of training images.

    The first fold is the plain split; each further one takes about as large a part of every class out of
    the training images. No part has all images of a class.

    Args:
        train, held_out: classes of the images, numbered from 0.
        folds: how many, at most `most_folds`.
    """
    others = most_folds(len(train), len(held_out)) - 1
    labels, rng = np.asarray(train), np.random.default_rng(SPLIT_SEED)
    # class by class in a drawn order, dealt out like cards: the parts differ by one image at most
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    dealt = [np.sort(order[number::others]) for number in range(folds - 1)]
    return [np.arange(len(held_out)), *dealt]


def most_folds(train: int, held_out: int) -> int:
    """How many parts as large as the held-out one a data set of so many images has, at least two."""
    return max(2, round((train + held_out) / held_out))
