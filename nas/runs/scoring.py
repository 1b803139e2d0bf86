"""How many images the networks of a search are scored on, and what their accuracies can tell then."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.data.folds import most_folds
from search_spaces.errors import InputError

HELD_OUT = 2000
"""Images to score on, where there are so many: a standard error of 1.1 points at most."""
ENOUGH = 200
"""Fewer scored images are multiplied by folds: 3.5 points at most."""
_FEW = 400
"""Below this, a standard error of more than 2.5 points, it is said what can't be told apart."""
MAX_FOLDS = 20


@dataclass(frozen=True)
class Scoring:
    """On what networks are scored.

    Attributes:
        held_out: images held out in each fold.
        folds: trainings of each network, every one scored on other images; 1: a plain split.
        images: scored in all.
    """

    held_out: int
    folds: int
    images: int

    @property
    def standard_error(self) -> float:
        """Of an accuracy, a fraction, at most (at an accuracy of a half): the images are a sample."""
        return _standard_error(self.images)

    @property
    def remark(self) -> str | None:
        """What a user should know where the images are few; None: they are enough."""
        return few_images(self.images)


def few_images(images: int) -> str | None:
    """What to know of accuracies on so many images; None: they are enough."""
    if images >= _FEW:
        return None
    error = _standard_error(images)
    return (
        f"{images:,} scored images: an accuracy has a standard error of up to {100 * error:.1f} points, so "
        f"networks less than {100 * 2 * math.sqrt(2) * error:.0f} points apart can hardly be told apart"
    )


def _standard_error(images: int) -> float:
    return math.sqrt(0.25 / images)


def check_scoring(held_out: int | None, folds: int | None) -> None:
    """Raise `InputError` for numbers out of their range."""
    if held_out is not None and held_out < 1:
        raise InputError(f"held-out {held_out}: expected an integer of at least 1")
    if folds is not None and not 1 <= folds <= MAX_FOLDS:
        raise InputError(f"folds {folds}: expected an integer from 1 to {MAX_FOLDS}")


def decide_scoring(train: int, held_out: int, in_memory: bool, folds: int | None = None) -> Scoring:
    """On how many images networks are scored.

    Args:
        train, held_out: images that there are; at least one is held out.
        in_memory: whether the images are, as folds need them to be.
        folds: None: as many as it takes to score on `ENOUGH` images, one where the images stay files.

    Raises:
        InputError: more folds than the data has, or folds of files.
    """
    most = min(MAX_FOLDS, most_folds(train, held_out))
    if folds is None:
        folds = min(most, -(-ENOUGH // held_out)) if in_memory else 1
    elif folds > most:
        raise InputError(
            f"folds {folds}: {train:,} training and {held_out:,} held-out images make {most} at most"
        )
    elif folds > 1 and not in_memory:
        raise InputError(f"folds {folds}: only where the images are in memory (--cache on)")
    others = (train // (most_folds(train, held_out) - 1)) * (folds - 1)
    return Scoring(held_out, folds, held_out + others)
