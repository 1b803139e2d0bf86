"""The labels of a data set, of whatever kind it is: checked as they come, mapped to 0, 1, 2 ...

A label is a whole number or a name. Numbers need not be without gaps, nor small, nor begin with 0: those
that occur are the classes, in their order. None, NaN, -1 and an empty text mean that there is none.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces.errors import InputError
from search_spaces.quoting import printable

Label = int | str

_SHOWN = 5


def _number(index: int) -> str:
    return f"image {index}"


@dataclass(frozen=True)
class RawLabels:
    """The labels of one split as they were found.

    Attributes:
        part: name of the split.
        values: a label or None for each image, after `read_labels`.
        name: what to call an image in a message.
        order: all class names in their order, where the source states one; labels are of these then.
    """

    part: str
    values: Sequence[Label | None]
    name: Callable[[int], str] = _number
    order: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many images have no label."""
        return sum(value is None for value in self.values)


@dataclass(frozen=True)
class Mapped:
    """Labels as training takes them.

    Attributes:
        parts: the classes of each split's images, 0 to len(classes) - 1.
        classes: their names, printable.
        remarks: what a user should know.
    """

    parts: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    remarks: tuple[str, ...] = field(default=())


def read_labels(
    data: str,
    part: str,
    values: Sequence[Any],
    name: Callable[[int], str] = _number,
    order: Sequence[str] = (),
) -> RawLabels:
    """The labels of a split, each one a whole number, a name or None.

    Args:
        data: name of the data set, for messages.
        part: of the split.
        values: as they were found.
        name: what to call an image in a message.
        order: names of the classes, where numbers stand for names.

    Raises:
        InputError: a fraction, an infinity, a negative number, several labels for an image, or something
            else that is no class.
    """
    known: dict[tuple[type, Any], Label | None] = {}
    found: list[Label | None] = []
    for index, value in enumerate(values):
        try:
            key = (type(value), value)
            if key not in known:
                known[key] = _read(value, order)
            found.append(known[key])
        except (TypeError, ValueError) as error:
            reason = "expected one class" if isinstance(error, TypeError) else str(error)
            shown = printable(repr(value))
            shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
            raise InputError(
                f"data set {data!r}: {printable(part)}: {printable(name(index))}: label {shown}: {reason}"
            ) from None
    return RawLabels(part, found, name, tuple(order))


def _read(value: Any, order: Sequence[str]) -> Label | None:
    """One label; ValueError says what is wrong, TypeError that it is no class at all."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[+-]?[0-9]{1,4000}", text) and not order:
            value = int(text)
        elif text in order or not order:
            return None if text.lower() in ("", "nan") else text
        else:
            raise ValueError(f"none of the {len(order)} class names")
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if not value.is_integer():
            raise ValueError("expected a whole number or a name")
        value = int(value)
    if not isinstance(value, int):
        raise TypeError
    if value == -1:
        return None
    if value < 0:
        raise ValueError("expected a class from 0 on (-1: none)")
    if not order:
        return value
    if value >= len(order):
        raise ValueError(f"there are names for {len(order)} classes only")
    return order[value]


def map_labels(data: str, train: RawLabels, test: RawLabels | None) -> Mapped:
    """The labels of both splits as classes of the same meaning: by name, or else by number.

    Raises:
        InputError: an image without a label; a class that only the test split has; less than two classes,
            or a class with less than two training images; numbers in one split and names in the other.
    """
    splits = [train] if test is None else [train, test]
    for split in splits:
        _require_all(data, split)
    _require_one_kind(data, splits)
    texts = any(isinstance(value, str) for split in splits for value in split.values)
    columns = [[str(value) for value in split.values] if texts else split.values for split in splits]
    counts = Counter(columns[0])
    known = [name for name in train.order if name in counts] if train.order else sorted(counts, key=_in_order)
    _require_trainable(data, counts, known)
    remarks = []
    if test is not None:
        odd = set(columns[1]) - set(counts)
        if odd:
            # those of the training split without test images help to see a misspelt one
            names = [
                printable(str(value)) for value in sorted(odd | (set(counts) - set(columns[1])), key=str)
            ]
            case = _differing_in_case(names)
            raise InputError(
                f"data set {data!r}: classes {names[:_SHOWN]} are in only one of train and "
                f"{printable(test.part)}, {len(odd)} of them in {printable(test.part)} only" + case
            )
        absent = [str(value) for value in known if value not in set(columns[1])]
        if absent:
            remarks.append(f"no images in {test.part} of {_some('class', 'classes', absent)}")
    numbers = {value: index for index, value in enumerate(known)}
    unused = [name for name in train.order if name not in counts]
    if unused:
        remarks.append(f"no images of {_some('class', 'classes', unused)}: left out")
    if not texts and known != list(range(len(known))):
        remarks.append(
            f"labels {_listed([str(value) for value in known])} are taken as classes 0 to {len(known) - 1}"
        )
    names = [printable(str(value)) for value in known]
    if case := _differing_in_case(names):
        remarks.append(f"classes differ little{case}")
    parts = tuple(tuple(numbers[value] for value in column) for column in columns)
    return Mapped(parts, _distinct(names), tuple(printable(remark) for remark in remarks))


def _require_all(data: str, split: RawLabels) -> None:
    if missing := split.missing:
        first = next(index for index, value in enumerate(split.values) if value is None)
        raise InputError(
            f"data set {data!r}: {missing:,} of {len(split.values):,} images of {printable(split.part)} have "
            f"no label (None, NaN, -1 or empty), e.g. {printable(split.name(first))}"
        )
    if not split.values:
        raise InputError(f"data set {data!r}: no images in {printable(split.part)}")


def _require_one_kind(data: str, splits: Sequence[RawLabels]) -> None:
    """Numbers of one split can't be compared with names of the other."""
    kinds = [{type(value) for value in split.values} for split in splits]
    if len(kinds) == 2 and kinds in ([{int}, {str}], [{str}, {int}]):
        first, second = (f"{split.values[0]!r} in {split.part}" for split in splits)
        raise InputError(
            f"data set {data!r}: labels are numbers in one split and names in the other, e.g. {first}, "
            f"{second}"
        )


def _require_trainable(data: str, counts: Counter[Any], known: Sequence[Any]) -> None:
    if len(known) < 2:
        raise InputError(
            f"data set {data!r}: all {counts.total():,} training images are of class "
            f"{printable(str(known[0]))!r}: expected at least two classes"
        )
    rarest = min(known, key=lambda value: counts[value])
    if counts[rarest] < 2:
        raise InputError(
            f"data set {data!r}: class {printable(str(rarest))!r} has {counts[rarest]} training images: "
            f"expected at least 2, one of them to hold out ({len(known):,} classes, "
            f"{counts.total():,} images)"
        )


def _in_order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names; where two became the same by escaping, with their number."""
    counts = Counter(names)
    return tuple(f"{name} ({i})" if counts[name] > 1 else name for i, name in enumerate(names))


def _differing_in_case(names: Sequence[str]) -> str:
    folded: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            return f": {folded[key]!r} and {name!r} differ only in case or in how accents are written"
        folded[key] = name
    return ""


def _some(one: str, several: str, names: Sequence[str]) -> str:
    return f"{one if len(names) == 1 else f'{len(names):,} {several}'} {_listed([repr(n) for n in names])}"


def _listed(texts: Sequence[str]) -> str:
    if len(texts) <= _SHOWN + 1:
        return ", ".join(texts)
    return f"{', '.join(texts[:_SHOWN])} ... {texts[-1]}"
