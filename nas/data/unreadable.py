"""How many image files of a split may be unreadable, wherever they are read; loads no torch."""

from __future__ import annotations

MAX_UNREADABLE = 0.01
"""Part of a split's image files that may be unreadable; they are left out and counted. More are an error."""

SPLITS = {"train": "training", "held_out": "held-out", "test": "test"}
"""What the images of a split are called in messages."""


def allowed_unreadable(length: int) -> int:
    """How many files of a split of so many may be unreadable: a hundredth, and at least one."""
    return max(1, int(MAX_UNREADABLE * length))
