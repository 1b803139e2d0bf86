"""Coarse to fine: how long a search stays in a coarse part of its space, and what varies in that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.runs.checked import check_types
from search_spaces.coarse import CoarseSpace
from search_spaces.counting import count_text
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace

SHARE = 0.4
"""Of the trials that a search begins with."""
VARIED = "op,channels,repeats,se_ratio"
"""All but kernels and skips: those that a space has."""
_LENGTHS = "expected a share between 0 and 1, or a number of trials"


@dataclass(frozen=True)
class CoarseSettings:
    """The coarse stage.

    Attributes:
        length: below 1 a share of the trials, else their number.
        varied: the fields that differ between stages in it, with commas; the others are alike in all.
        trials: how many they are; None: not decided before the search begins. They stay as many when a run
            goes on to more trials.

    Raises:
        InputError: a value of another type or out of its range.
    """

    length: float = SHARE
    varied: str = VARIED
    trials: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.length <= 0 or (self.length >= 1 and self.length % 1):
            raise InputError(
                f"coarse {self.length:g}: expected a share between 0 and 1, or a number of trials"
            )
        if self.trials is not None and self.trials < 1:
            raise InputError(f"coarse: trials {self.trials}: expected an integer of at least 1")
        names = self.varied.split(",")
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"coarse {shown(self.varied)}: {shown(twice[0])} is given twice")

    def decided(self, trials: int) -> CoarseSettings:
        """With the number of its trials, of a search of so many.

        Raises:
            InputError: that is none of them, or all.
        """
        found = self.trials
        if found is None:
            found = round(self.length * trials) if self.length < 1 else int(self.length)
        if not 1 <= found < trials:
            rest = "to it" if found < 1 else "to the fine stage"
            raise InputError(
                f"coarse {self.length:g}: {found} of {trials} trials, which leaves none {rest}; give another "
                "length, or more --trials"
            )
        return replace(self, trials=found)

    def space(self, whole: StagedSpace | ListedSpace) -> CoarseSpace:
        """The part of the space; raises `InputError` where the space has no such part."""
        if not isinstance(whole, StagedSpace):
            raise InputError("coarse: acts on spaces of decisions, this one lists its networks")
        names = self.varied.split(",")
        try:
            part = CoarseSpace(whole, names)
        except InputError as error:
            raise InputError(f"coarse: {error}") from None
        if self.varied != VARIED and (missing := [name for name in names if name not in part.varied]):
            known = ", ".join((*part.varied, *part.tied))
            raise InputError(f"coarse {shown(missing[0])}: space {whole.name!r} decides only {known}")
        return part

    def stage(self, whole: StagedSpace | ListedSpace, trials: int) -> tuple[CoarseSpace, int]:
        """(part of the space, trials in it) as `make_controller` takes them."""
        count = self.decided(trials).trials if self.trials is None else self.trials
        assert count is not None
        return self.space(whole), count

    def describe(self, whole: StagedSpace | ListedSpace) -> str:
        """What is done, in a line."""
        part = self.space(whole)
        return (
            f"coarse to fine: the first {self.trials} trials differ in {part.describe()} "
            f"({count_text(part.size)} of the architectures)"
        )


def as_coarse(given: object) -> CoarseSettings | None:
    """The settings that a user writes: `0.3`, `20`, `op,channels`, `0.3,op,channels`, or a number itself.

    Raises:
        InputError: another value.
    """
    if given is None or isinstance(given, CoarseSettings):
        return given
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise InputError(f"coarse {shown(given)}: expected a share, a number of trials, or fields of stages")
    first, _, rest = str(given).replace(" ", "").partition(",")
    try:
        length = float(first)
    except ValueError:
        return CoarseSettings(varied=str(given).replace(" ", ""))
    if not abs(length) < 1e9:
        raise InputError(f"coarse {shown(first)}: {_LENGTHS}")
    return CoarseSettings(length, rest or VARIED)
