"""A part of the images set aside, with the classes in proportion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.data.dataset import SPLIT_SEED


def hold_out(labels: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    """Indices of the images that stay and of those held out, which are the same in every run.

    Args:
        labels: classes, each with at least two images.
        count: to hold out; at least one of each class is held out and one stays.
    """
    from sklearn.model_selection import train_test_split

    classes = len(set(labels))
    count = min(max(count, classes), len(labels) - classes)
    kept, held = train_test_split(
        np.arange(len(labels)), test_size=count, random_state=SPLIT_SEED, stratify=np.asarray(labels)
    )
    return kept.tolist(), held.tolist()
