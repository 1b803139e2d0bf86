"""What a user should know about the data: said once in a process, however often they are loaded."""

from __future__ import annotations

import math

from rich.console import Console

from nas.search.convergence import Convergence

_said: set[str] = set()


def print_once(line: str, console: Console) -> None:
    """Print a remark, if this process hasn't yet."""
    if line not in _said:
        _said.add(line)
        console.print(line, style="yellow", highlight=False, soft_wrap=True, markup=False)


def suspicious(epoch: float, accuracy: float) -> str | None:
    """A word on an accuracy that is too good to be true."""
    if epoch != 1 or accuracy < 1:
        return None
    return (
        "held-out accuracy 1.0 after epoch 1: check that the images don't show their labels, and that those "
        "held out are no copies of those trained on"
    )


def converged_words(convergence: Convergence, trials: int) -> str:
    """Why a search stopped by itself after so many trials, and what it would still have found."""
    expected, more = convergence.trials_per_improvement, convergence.forecast(math.ceil(convergence.price))
    assert expected is not None
    assert more is not None
    return (
        f"converged after {trials} trials: the next worthwhile improvement would take about {expected:,.0f} "
        f"more (price: {convergence.price:g}); {more.trials:,} more are expected to raise the best reward by "
        f"{more.mean:.2g} (90%: {more.low:.2g} to {more.high:.2g})"
    )
