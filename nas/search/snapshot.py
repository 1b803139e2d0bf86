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

from controller.base import Controller
from nas.search.convergence import Convergence
from nas.search.journal_file import Proposals
from nas.search.loop import SearchLoop
from nas.search.trial import Measurement, Record, Trial
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
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
        trials: how many the search was to have, if it ended by itself here and left all its results; else 0.
        results: digest of those.
        state: the controller's.
        convergence: of the search, if it stops by itself.
    """

    asked: int
    told: int
    journal: str
    basis: str
    exact: bool
    trials: int
    results: str
    state: Mapping[str, Any]
    convergence: Mapping[str, Any] | None = None

    def restore(self, controller: Controller, convergence: Convergence | None) -> bool:
        """Bring a fresh controller to where it was; False: it is no state of it, and both are spoilt."""
        if (convergence is None) != (self.convergence is None):
            return False
        try:
            controller.load_state_dict(self.state)
            if convergence is not None and self.convergence is not None:
                convergence.load_state_dict(self.convergence)
        except Exception:  # whatever a state of another version breaks
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

    def started(self, trial: Trial) -> None:
        """Nothing has been learned."""

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """Nothing has been learned."""

    def ended(self, record: Record) -> None:
        """The controller has learned and the journal has it: write the state, if it is time to."""
        if self.loop is not None and self.loop.caught_up and time.monotonic() >= self._next:
            self._write(0)

    def close(self) -> None:
        """The search has ended by itself, and all that it leaves is there.

        Where it ends otherwise nothing is written: the controller may have learned what the journal lacks.
        """
        if self.loop is not None and self.loop.complete:
            self._write(self.loop.trials)

    def _write(self, trials: int) -> None:
        loop, began = self.loop, time.monotonic()
        assert loop is not None
        records, proposals = loop.records, loop.journal.proposals
        snapshot = Snapshot(
            len(proposals),
            len(records),
            _digest(records, proposals),
            self._basis,
            loop.retraced,
            trials,
            results_digest(self.path.parent) if trials else "",
            loop.controller.state_dict(),
            None if loop.convergence is None else loop.convergence.state_dict(),
        )
        with suppress(InputError):  # a full disk: what counts is in the journal
            write_atomically(self.path, _sealed(json.dumps(asdict(snapshot), separators=(",", ":")).encode()))
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
        content = read_regular(folder / SNAPSHOT, _LONGEST)
        body = content.partition(b"\n")[0]
        if content != _sealed(body):
            return None
        document = json.loads(body)  # ours, as it was written: of any size
        if not isinstance(document, dict) or set(document) != {field.name for field in fields(Snapshot)}:
            return None
        found = Snapshot(**document)
        fits = (
            found.basis == basis
            and found.told <= len(records)
            and found.asked <= len(proposals)
            and found.journal == _digest(records[: found.told], _first(proposals, found.asked))
        )
    except (OSError, InputError, TypeError, KeyError, ValueError, RecursionError):
        return None
    return found if fits else None


def results_digest(folder: Path) -> str:
    """Of the winner and the front in a run's folder."""
    found = hashlib.sha256()
    for name in ("best.yaml", "pareto.csv"):
        path = folder / name
        found.update(read_regular(path, _LONGEST) if path.is_file() else b"none")
        found.update(b"\0")
    return found.hexdigest()


def _sealed(body: bytes) -> bytes:
    """A line and its digest."""
    return body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"


def _first(proposals: Proposals, count: int) -> Proposals:
    return {trial: proposals[trial] for trial in range(count)}


def _digest(records: Sequence[Record], proposals: Proposals) -> str:
    """Of what a controller was asked and told; raises `KeyError` where a proposal is missing."""
    told = [
        [r.trial, r.state, r.reward, r.accuracy, r.costs, r.ended_after]
        + [[m.get("epoch"), m.get("accuracy")] for m in r.measurements]
        for r in records
    ]
    asked = [[trial, *proposals[trial]] for trial in range(len(proposals))]
    return hashlib.sha256(json.dumps([told, asked]).encode()).hexdigest()
