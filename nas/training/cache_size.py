"""How much memory decoded images may take, as a user says it."""

from __future__ import annotations

import re

from search_spaces.errors import InputError

_WAYS = {"auto": None, "on": float("inf"), "off": 0.0}
_UNITS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def parse_cache(text: str) -> float | None:
    """Bytes: of `500M` or `4GB` (powers of 1000), 0 of `off`, no end of `on`; None for `auto`.

    Raises:
        InputError: none of these.
    """
    if text in _WAYS:
        return _WAYS[text]
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kmgt])b?", text.strip().lower())
    if match is None:
        raise InputError(f"cache {text!r}: expected auto, on, off, or a size such as 500M or 4G")
    return float(match[1]) * _UNITS[match[2]]
