"""Numbers of architectures as people read them: a space may have more than a float can count."""

from __future__ import annotations

from decimal import Decimal

MOST_DIGITS = 4000
"""Of a space's number of architectures; Python itself writes no number of more than 4300."""


def count_text(count: int) -> str:
    """A number of architectures: exact below a million, `5.1e16` above."""
    if count < 10**6:
        return f"{count:,}"
    digits, exponent = f"{Decimal(count):.2e}".split("e+")
    return f"{float(digits):g}e{exponent}"


def share_text(count: int, of: int) -> str:
    """A part of the whole, as text: `2.3%`, `all`, or `1 in 4e310` where no float is that small."""
    if count == of:
        return "all"
    # whole numbers are divided exactly, and rounded once
    share = 100 * count / of
    return f"{share:.2g}%" if share or not count else f"1 in {count_text(of // count)}"
