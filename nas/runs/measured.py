"""The measured exponent that a run keeps: `exponent/measured.yaml`, beside the trainings it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.runs.checked import check_types, from_mapping
from nas.search.exponent_fit import USUAL, ExponentFit, gain
from search_spaces.document import check_schema, read_document, write_document
from search_spaces.errors import InputError
from search_spaces.quoting import printable

SCHEMA_VERSION = 1
EXPONENT = "exponent"
"""Folder in a run: a run for each seed (`seed-0`, ...), and `MEASURED`."""
MEASURED = f"{EXPONENT}/measured.yaml"

_STEEPEST = 100.0
"""Of a slope: accuracies are fractions, of which none is 2^100 times another."""


@dataclass(frozen=True)
class MeasuredExponent:
    """What the networks of a family said of w.

    Attributes:
        exponent: the reward's w.
        slope, low, high: of log2 accuracy over log2 cost, and its 95% interval; -w before its limits act.
        networks, trainings, guessing: as `ExponentFit` counts them.
        change: of the cost, that the slope is for, in words: `a doubling of MACs`.
        family: what was trained, for people.
        chance: accuracy up to which a network may have learned nothing.
        rows: by network's digest: `doublings` of the target, its targeted costs, `accuracies` by seed.
    """

    exponent: float
    slope: float
    low: float
    high: float
    networks: int
    trainings: int
    guessing: int
    change: str
    family: str
    chance: float
    rows: dict[str, Any]

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("slope", "low", "high"):
            if abs(value := getattr(self, name)) > _STEEPEST:
                raise InputError(f"{name} {value:g}: expected {-_STEEPEST:g} to {_STEEPEST:g}")

    @property
    def fit(self) -> ExponentFit:
        """The line."""
        counts = (self.networks, self.trainings, self.guessing)
        return ExponentFit(self.slope, self.low, self.high, *counts)

    @property
    def lines(self) -> list[str]:
        """What to tell a user: the number with its interval, then what must be known of it."""
        shown = (
            f"{printable(self.change)} brings {gain(self.slope):+.1%} accuracy here (95% interval "
            f"{gain(self.low):+.1%} to {gain(self.high):+.1%}; {self.trainings} trainings of {self.networks} "
            f"networks): w = {self.exponent:g} ({-self.high:.3f} to {-self.low:.3f}); {USUAL:g} assumes "
            f"{gain(-USUAL):.0%}"
        )
        return [shown, *self.fit.remarks]

    def write(self, folder: Path) -> None:
        """Keep it in the run in `folder`."""
        write_document(folder / MEASURED, {"schema": SCHEMA_VERSION, **asdict(self)}, self.lines[0])


def read_measured(folder: Path) -> MeasuredExponent | None:
    """What a run in `folder` has measured; None if nothing. Raises `InputError` for a broken file."""
    path = folder / MEASURED
    if not path.is_file():
        return None
    document: Mapping[str, Any] = read_document(path)
    check_schema(document, str(path), SCHEMA_VERSION)
    return from_mapping(MeasuredExponent, {k: v for k, v in document.items() if k != "schema"}, str(path))
