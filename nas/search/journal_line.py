"""What a line of a journal must be: read strictly, so that a damaged one is known before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any

from nas.search.trial import FAILED, FINISHED, STOPPED, Record
from search_spaces.architecture import Architecture

_MAX_BYTES = 1 << 24
"""Of a line: a training of thousands of epochs is a tenth of it."""
_SHOWN = 40


class DamagedLineError(ValueError):
    """A line that is no trial or no proposal; the message says why and quotes what it shows."""


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object in a line; raises `DamagedLineError` for anything else, NaN and infinity in it too."""
    if len(line) > _MAX_BYTES:
        raise DamagedLineError(f"longer than {_MAX_BYTES} bytes")
    try:
        value = json.loads(line.decode(), parse_constant=_refuse)
    except RecursionError:
        raise DamagedLineError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise DamagedLineError(f"no JSON: {error.msg} at column {error.colno}") from None
    except UnicodeDecodeError:
        raise DamagedLineError("no text in UTF-8") from None
    except DamagedLineError:
        raise
    except ValueError:  # an integer of more digits than Python reads
        raise DamagedLineError("a number of too many digits") from None
    if not isinstance(value, dict):
        raise DamagedLineError(f"expected a JSON object, found {_quoted(value)}")
    return value


@lru_cache(maxsize=1 << 15)  # a command reads a journal several times: to check, to go on, to show
def parse_record(line: bytes) -> tuple[Record, dict[str, Any]]:
    """The trial in a line, and what fields it has beside: a later version's.

    Raises:
        DamagedLineError: a field is missing, of another type, out of its range, or contradicts another one.
    """
    known = parse_object(line)
    more = {name: known.pop(name) for name in set(known) - set(_CHECKS)}
    for name, (fits, rule) in _CHECKS.items():
        if name in known:
            if not fits(known[name]):
                raise DamagedLineError(f"{name} {_quoted(known[name])}: expected {rule}")
        elif name in _REQUIRED:
            raise DamagedLineError(f"{name} is missing")
    record = Record.from_line(known)
    for word in _contradictions(record):
        raise DamagedLineError(word)
    return record, more


@lru_cache(maxsize=1 << 15)
def parse_proposal(line: bytes) -> tuple[int, int, Architecture]:
    """(trial, how many had ended when it was proposed, what) of a line; raises `DamagedLineError`."""
    known = parse_object(line)
    for name in ("trial", "asked_after", "architecture"):
        fits, rule = _CHECKS[name]
        if not fits(known.get(name)):
            raise DamagedLineError(f"{name} {_quoted(known.get(name))}: expected {rule}")
    return known["trial"], known["asked_after"], Architecture(known["architecture"])


def _contradictions(record: Record) -> list[str]:
    """What in it can't be so, a word each."""
    found = []
    failed = record.state == FAILED
    if (record.reward is None) != failed or (record.accuracy is None) != failed:
        found.append(f"state {record.state!r} with reward {record.reward} and accuracy {record.accuracy}")
    if record.measurements and record.measurements[-1].get("accuracy") != record.accuracy and not failed:
        found.append(f"accuracy {record.accuracy} is not that of its last measurement")
    if record.costs.get("macs") != record.macs:
        found.append(f"macs {record.macs} are not those of its costs")
    if record.ended_after is not None and record.ended_after < record.asked_after:
        found.append(f"ended_after {record.ended_after} is before asked_after {record.asked_after}")
    return found


def _refuse(constant: str) -> None:
    raise DamagedLineError(f"{constant} is no number of JSON's")


def _quoted(value: object) -> str:
    """A foreign value, short and in ASCII."""
    text = "nothing" if value is None else ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _number(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond what a float holds
        return False


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _text(value: object) -> bool:
    # half of a surrogate pair can be read but never written
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _mapping(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(_text(k) and fits(v) for k, v in value.items())


def _rows(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _or_none(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or fits(value)


def _choice(value: object) -> bool:
    return isinstance(value, bool) or _number(value) or _text(value)


def _fraction(value: object) -> bool:
    return _number(value) and 0 <= value <= 1  # type: ignore[operator]


def _positive(value: object) -> bool:
    return _number(value) and value > 0  # type: ignore[operator]


_WHOLE = "an integer of at least 0"
_FINITE = "a finite number"
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "trial": (_count, _WHOLE),
    "state": (lambda value: value in (FINISHED, STOPPED, FAILED), "finished, stopped or failed"),
    "architecture": (_rows(_count), f"a list, each of it {_WHOLE}"),
    "choices": (_mapping(_choice), "an object of texts and numbers"),
    "digest": (_text, "a text"),
    "seed": (_count, _WHOLE),
    "reward": (_or_none(_number), f"{_FINITE}, or null"),
    "accuracy": (_or_none(_fraction), "a fraction, or null"),
    "macs": (_positive, "a number above 0"),
    "costs": (_mapping(_number), f"an object, each value {_FINITE}"),
    "measurements": (_rows(_mapping(_number)), f"a list of objects, each value {_FINITE}"),
    "reason": (_or_none(_text), "a text, or null"),
    "same_as": (_or_none(_count), f"{_WHOLE}, or null"),
    "controller": (_mapping(_number), f"an object, each value {_FINITE}"),
    "worker": (_or_none(_text), "a text, or null"),
    "started": (_number, _FINITE),
    "seconds": (_number, _FINITE),
    "versions": (_mapping(_text), "an object of texts"),
    "asked_after": (_count, _WHOLE),
    "ended_after": (_or_none(_count), f"{_WHOLE}, or null"),
}
_REQUIRED = {f.name for f in fields(Record) if f.default is MISSING and f.default_factory is MISSING}
