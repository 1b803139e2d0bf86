"""What a study keeps of each network in its list, beside the network."""

from __future__ import annotations

import re
from typing import Any

from nas.search.trial import Record
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace

_NUMBER = r"([-+.\deE]+)"
# runs whose lists carry no data were written by the first version, which put it into the label
_LABELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (rf"trial (\d+): reward {_NUMBER}, accuracy {_NUMBER}", ("trial", "reward", "accuracy")),
    (rf"{_NUMBER} {_NUMBER} {_NUMBER}", ("alpha", "beta", "gamma")),
    (rf"(\w+) x{_NUMBER}", ("mode", "factor")),
)


def entry(space: ListedSpace, record: Record) -> dict[str, Any]:
    """What `space` knows of the network of a trial.

    Raises:
        InputError: nothing.
    """
    label = str(record.choices["network"])
    if label in space.about:
        return space.about[label]
    for pattern, names in _LABELS:
        if match := re.fullmatch(pattern, label):
            return {name: _value(text) for name, text in zip(names, match.groups(), strict=True)}
    if label == "baseline":
        return {"mode": label, "factor": 1.0}
    raise InputError(f"space {space.name!r}: nothing is known of its network {label!r}")


def _value(text: str) -> int | float | str:
    if text.isdigit():
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
