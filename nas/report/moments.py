"""When trials ended, on the clock: where curves and tables that are written later put them."""

from __future__ import annotations

from itertools import accumulate

from nas.search.trial import Record


class Moments:
    """The moments at which trials ended, Unix time, in the order of the journal: they never go back.

    A trial that took over an equal network's result has no time of its own: it ended with the one before it.
    """

    def __init__(self) -> None:
        self._last = 0.0

    def of(self, record: Record) -> float:
        """The moment of the next trial; 0: nothing before it has a time."""
        self._last = max(self._last, record.started + record.seconds)
        return self._last


def epoch_moments(record: Record) -> list[float | None]:
    """When each of a trial's measurements was taken, as far as they say what they took; None: unknown."""
    if not record.started:
        return [None] * len(record.measurements)
    taken = list(accumulate(row.get("seconds", 0.0) for row in record.measurements))
    # starting and loading come before the first one, so it is counted from the end
    return [record.started + record.seconds - (taken[-1] - seconds) for seconds in taken]
