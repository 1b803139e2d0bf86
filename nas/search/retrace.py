"""How a controller is brought to where a journal ends: what it was asked and told, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.search.trial import Record
from search_spaces.architecture import Architecture


@dataclass(frozen=True)
class Retrace:
    """The asks and tells of a journal.

    Attributes:
        asks: by trial id, after how many ends it was proposed.
        tells: which trial ended in each place; None where nothing says it.
        lost: trials that had ended, but whose results the journal has no more, in the order they ended.
    """

    asks: tuple[int, ...]
    tells: tuple[int | None, ...]
    lost: tuple[int, ...]

    @classmethod
    def of(cls, records: Sequence[Record], proposals: Mapping[int, tuple[int, Architecture]]) -> Retrace:
        """What a journal's records, by their places, and its proposals say.

        A place that no record has is that of a lost trial: of those without a record that were proposed
        before, the earliest. One at a time, that is the one; of several that were running it may be another.
        """
        asks = _asks(proposals)
        known = {record.trial for record in records}
        missing = [trial for trial in range(len(asks)) if trial not in known]
        tells: list[int | None] = []
        lost: list[int] = []

        def fill(end: int) -> None:
            while len(tells) < end:
                found = next((trial for trial in missing if asks[trial] <= len(tells)), None)
                if found is not None:
                    missing.remove(found)
                    lost.append(found)
                tells.append(found)

        for record in records:
            fill(record.ended_after or 0)
            tells.append(record.trial)
        fill(max(asks, default=0))
        return cls(tuple(asks), tuple(tells), tuple(lost))


def _asks(proposals: Mapping[int, tuple[int, Architecture]]) -> list[int]:
    """After how many ends each trial was proposed; of one that nothing is known of, between its neighbours."""
    asks: list[int] = []
    later = sorted(proposals)
    for trial in range(max(proposals, default=-1) + 1):
        if trial in proposals:
            later.pop(0)
            asks.append(proposals[trial][0])
        else:
            before = asks[-1] + 1 if asks else 0
            asks.append(min(before, proposals[later[0]][0]))
    return asks
