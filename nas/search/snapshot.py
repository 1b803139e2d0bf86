"""A controller's state beside the journal, so that a resumed run needn't ask for everything again.

The journal stays the truth: a snapshot is used only where it is one of this journal's own past, and what came
later is replayed on top of it. Without one, or with one that doesn't fit, all of it is replayed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from controller.base import Controller, ControllerError
from nas.search.convergence import Convergence
from nas.search.journal_file import Proposals
from nas.search.loop import SearchLoop
from nas.search.trial import Measurement, Record, Trial
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.parsing import parse_json
from search_spaces.reading import read_regular

SNAPSHOT = "controller.json"
_LONGEST = 1 << 30
_EVERY, _SHARE = 30.0, 0.02
"""Seconds between two snapshots at least, and the part of the search's time that they may take."""


@dataclass(frozen=True)
class Snapshot:
    """Where a controller was.

    Attributes:
        asked, told: how many proposals and results it had had.
        journal: digest of those.
        basis: digest of what decides its proposals beside them.
        exact: whether it had repeated the journal's proposals by itself.
        trials: how many the search was to have, if it ended by itself here; else 0.
        state: the controller's.
        convergence: of the search, if it stops by itself.
    """

    asked: int
    told: int
    journal: str
    basis: str
    exact: bool
    trials: int
    state: Mapping[str, Any]
    convergence: Mapping[str, Any] | None = None

    def restore(self, controller: Controller, convergence: Convergence | None) -> bool:
        """Bring a fresh controller to where it was; False: this is no state of it, and nothing is changed."""
        before = controller.state_dict()
        if (convergence is None) != (self.convergence is None):
            return False
        try:
            controller.load_state_dict(self.state)
            if convergence is not None and self.convergence is not None:
                convergence.load_state_dict(self.convergence)
        except (ControllerError, LookupError, TypeError, ValueError):
            controller.load_state_dict(before)
            return False
        return True


class Snapshots:
    """Keeps a run's snapshot up to date; an observer of its loop.

    Args:
        folder: of the run.
        basis: as in `Snapshot`.
    """

    def __init__(self, folder: Path, basis: str) -> None:
        self.path, self._basis = folder / SNAPSHOT, basis
        self.loop: SearchLoop | None = None
        self._next = time.monotonic() + _EVERY
        self._asked = -1

    def started(self, trial: Trial) -> None:
        """Nothing has been learned."""

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """Nothing has been learned."""

    def ended(self, record: Record) -> None:
        """The controller has learned; write its state if it is time to."""
        if self.loop is None or not self.loop.caught_up:
            return
        self._asked = len(self.loop.journal.proposals)
        if time.monotonic() >= self._next:
            self._write()

    def close(self) -> None:
        """Write the last state, unless the controller has been asked since it last learned."""
        loop = self.loop
        if loop is not None and (loop.complete or self._asked == len(loop.journal.proposals)):
            self._write()

    def _write(self) -> None:
        loop, began = self.loop, time.monotonic()
        assert loop is not None
        records, proposals = loop.records, loop.journal.proposals
        snapshot = Snapshot(
            len(proposals),
            len(records),
            _digest(records, proposals),
            self._basis,
            loop.retraced,
            loop.trials if loop.complete else 0,
            loop.controller.state_dict(),
            None if loop.convergence is None else loop.convergence.state_dict(),
        )
        with suppress(InputError):  # a full disk: what counts is in the journal
            write_atomically(self.path, json.dumps(asdict(snapshot), separators=(",", ":")) + "\n")
        ended = time.monotonic()
        self._next = ended + max(_EVERY, (ended - began) / _SHARE)


def read_snapshot(
    folder: Path, basis: str, records: Sequence[Record], proposals: Proposals
) -> Snapshot | None:
    """The snapshot in a run's folder; None if there is none of this journal and basis.

    Args:
        folder: of the run.
        basis: as in `Snapshot`.
        records: the ended trials, in their order.
        proposals: by trial.
    """
    try:
        document = parse_json(read_regular(folder / SNAPSHOT, _LONGEST), SNAPSHOT)
        if not isinstance(document, dict) or set(document) != {field.name for field in fields(Snapshot)}:
            return None
        found = Snapshot(**document)
        fits = (
            found.basis == basis
            and found.told <= len(records)
            and found.asked <= len(proposals)
            and found.journal == _digest(records[: found.told], _first(proposals, found.asked))
        )
    except (OSError, InputError, TypeError, KeyError):
        return None
    return found if fits else None


def _first(proposals: Proposals, count: int) -> Proposals:
    return {trial: proposals[trial] for trial in range(count)}


def _digest(records: Sequence[Record], proposals: Proposals) -> str:
    """Of what a controller was asked and told; raises `KeyError` where a proposal is missing."""
    told = [[record.trial, record.reward, record.ended_after] for record in records]
    asked = [[trial, *proposals[trial]] for trial in range(len(proposals))]
    return hashlib.sha256(json.dumps([told, asked]).encode()).hexdigest()
