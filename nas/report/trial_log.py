"""`--log wandb,mlflow`: every trial as a run of the experiment trackers that people have already.

A trial is written when it has ended, by a thread: a tracker that is slow or gone delays no search. What has
been written stands in the run's folder, so a search that goes on writes what is missing, and nothing twice.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from nas.report.mlflow_log import open_mlflow
from nas.report.tracked_trial import TrackedTrial, run_key
from nas.report.wandb_log import open_wandb
from nas.runs.folder import Run
from nas.runs.placement import TRACKED as TRACKED
from nas.search.trial import Measurement, Record, Trial
from search_spaces.errors import InputError
from search_spaces.parsing import parse_json
from search_spaces.quoting import printable
from search_spaces.reading import read_regular

_LONGEST = 1 << 28
"""Bytes of it."""
PATIENCE = 60.0
"""Seconds that a search waits at its end for what is not written yet."""


class Tracker(Protocol):
    """Where trials are written to."""

    def write(self, trial: TrackedTrial) -> None:
        """Write one; one of the same key that is there already is replaced, or left if it is whole."""


_OPEN: dict[str, Callable[[str], Tracker]] = {"wandb": open_wandb, "mlflow": open_mlflow}
"""Each of `TRACKERS`, for a search of that name."""


@dataclass
class _Line:
    """A tracker, what it has, and what went wrong."""

    name: str
    tracker: Tracker
    has: set[int]
    queue: SimpleQueue[TrackedTrial | None]
    thread: threading.Thread | None = None
    given: int = 0
    written: int = 0  # by the thread
    problem: str = ""
    said: bool = False


class TrialLog:
    """Writes ended trials to trackers; an observer.

    Args:
        names: of `nas.runs.placement.TRACKERS`.
        search: name of the search, under which its trials are found there.
        say: prints a remark.

    Raises:
        InputError: one of them can't be used.
    """

    def __init__(self, names: Sequence[str], search: str, say: Callable[[str], None]) -> None:
        self._search, self._say = search, say
        self._lines = [_Line(name, _OPEN[name](search), set(), SimpleQueue()) for name in names]
        self._writing = threading.Lock()
        self._path, self._key = Path(), ""

    def begin(self, run: Run, records: Iterable[Record]) -> None:
        """Write what a run has so far, as far as it isn't there; from now on `ended` adds to it.

        Raises:
            OSError: the run's folder can't be written.
        """
        if not self._lines:
            return
        self._path = run.folder / TRACKED
        known = _read(self._path)
        for line in self._lines:
            line.has = {trial for name, trial in known if name == line.name}
            line.thread = threading.Thread(target=self._write, args=(line,), daemon=True)
            line.thread.start()
        for record in records:
            self.ended(record)

    def started(self, trial: Trial) -> None:
        """It is written when it has ended."""

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """As above."""

    def ended(self, record: Record) -> None:
        """Have a trial written."""
        # a copy of the run, or one that goes on elsewhere, has the same first trial
        self._key = self._key or run_key(record)
        trial = TrackedTrial.of(record, self._key, self._search)
        for line in self._lines:
            if record.trial not in line.has:
                line.has.add(record.trial)
                line.given += 1
                line.queue.put(trial)
            self._complain(line)

    def close(self, patience: float = PATIENCE) -> None:
        """Wait until all is written, but no longer than that many seconds; say what is not."""
        for line in self._lines:
            line.queue.put(None)
        for line in self._lines:
            if line.thread is not None:
                line.thread.join(patience)
                if line.thread.is_alive():
                    line.problem = line.problem or f"does not answer within {patience:g} s"
            self._complain(line)
            if missing := line.given - line.written:
                self._say(f"log {line.name}: {missing} trials are not there; `nas resume` writes them")

    def _complain(self, line: _Line) -> None:
        if line.problem and not line.said:
            line.said = True
            self._say(f"log {line.name}: {line.problem}; the search itself goes on")

    def _write(self, line: _Line) -> None:
        """In a thread: what is queued, until the end or a failure."""
        while (trial := line.queue.get()) is not None:
            try:
                line.tracker.write(trial)
                self._note(line.name, trial.number)
            except Exception as error:  # whatever a tracker raises: it is no part of the search
                words = printable(" ".join(str(error).split()))
                line.problem = f"{type(error).__name__}: {words}"[:300]
                return
            line.written += 1

    def _note(self, name: str, trial: int) -> None:
        text = json.dumps({"to": name, "trial": trial}) + "\n"
        with self._writing, self._path.open("a") as file:
            file.write(text)


def _read(path: Path) -> set[tuple[str, int]]:
    """Its whole lines; of one that is cut short the trial is written again, in place of the same."""
    found: set[tuple[str, int]] = set()
    try:
        text = read_regular(path, _LONGEST, "list of trials").decode(errors="replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        try:
            entry = parse_json(line, TRACKED)
        except InputError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("trial"), int):
            found.add((str(entry.get("to")), entry["trial"]))
    return found
