"""How a controller is brought to where a journal ends: what it was asked and told, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.base import Proposal
from nas.search.journal import MemoryJournal
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
    """After how many ends each trial was proposed; one that nothing says it of, between its neighbours."""
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


class Replay:
    """Repeats a journal's asks and tells, in their order, as far as the results are there.

    It stops at a lost one until `give` has it. What is asked for otherwise than the journal says is
    amended: what was evaluated counts, not what would be proposed now.

    Args:
        journal: open; a proposal that it has lost is noted in it again.
        ask, amend: the controller's.
        teach: tells the controller of a record.
        begun: how many asks and tells the controller has had already, and whether it repeated them by itself.

    Attributes:
        told: how many ends the controller has been told of.
        exact: whether the controller repeated the journal's proposals.
        awaited: the lost trial that it stops at; None: the controller is where the journal ends.
        lost: the trials whose results the journal has lost.
    """

    def __init__(
        self,
        journal: MemoryJournal,
        ask: Callable[[], Proposal],
        amend: Callable[[int, Architecture], None],
        teach: Callable[[Record], object],
        begun: tuple[int, int, bool] = (0, 0, True),
    ) -> None:
        self.journal = journal
        self._asked, self.told, self.exact = begun
        self.awaited: int | None = None
        self._ask, self._amend, self._teach = ask, amend, teach
        self._retrace = Retrace.of(journal.records, journal.proposals)
        self.lost = self._retrace.lost
        self._places = {trial: place for place, trial in enumerate(self._retrace.tells) if trial in self.lost}
        self._ended = {record.trial: record for record in journal.records}
        self._steps: Iterator[int] | None = self._replayed()

    @property
    def over(self) -> bool:
        """Whether the controller is where the journal ends."""
        return self._steps is None

    def advance(self) -> int | None:
        """Go on; `awaited`."""
        if self._steps is not None:
            self.awaited = next(self._steps, None)
            if self.awaited is None:
                self._steps = None
        return self.awaited

    def place(self, trial: int) -> int:
        """How many trials end before this one, which ends now."""
        return self._places.get(trial, self.told)

    def give(self, record: Record) -> bool:
        """Take in a trial that has ended now; whether the controller is to be told now, as it then counts."""
        self._ended[record.trial] = record
        now = self._steps is None or record.trial == self.awaited
        self.told += now
        return now

    def has(self, trial: int) -> bool:
        """Whether a trial has ended."""
        return trial in self._ended

    def _replayed(self) -> Iterator[int]:
        tells = self._retrace.tells
        for id, asked_after in list(enumerate(self._retrace.asks))[self._asked :]:
            while self.told < min(asked_after, len(tells)):
                yield from self._retell(tells[self.told])
            proposal, known = self._ask(), self.journal.proposals.get(id)
            if known is None:
                self.journal.propose(id, self.told, proposal.architecture)
            elif proposal != Proposal(id, known[1]):
                self._amend(id, known[1])
                self.exact = False
        while self.told < len(tells):
            yield from self._retell(tells[self.told])

    def _retell(self, trial: int | None) -> Iterator[int]:
        """Tell the controller of the next end."""
        place = self.told
        while self.told == place:
            if trial is None or trial in self._ended:
                if trial is not None:
                    self._teach(self._ended[trial])
                self.told += 1
            else:
                yield trial  # `give` counts it
