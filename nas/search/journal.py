"""The journal of a run: one line of JSON for every ended trial. It is the truth about the run.

Beside it lies `proposals.jsonl`, a line for every proposal as it is made. It matters only for
trials without a result: with it a resumed run starts them again instead of proposing anew.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from nas.search.trial import Record
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command

TRIALS, PROPOSALS = "trials.jsonl", "proposals.jsonl"


def read_records(folder: Path) -> list[Record]:
    """The ended trials of a run, in the order they ended; a torn last line is left out.

    Raises:
        InputError: a line is broken (its number is named) or names a trial twice.
    """
    records: list[Record] = []
    seen: set[int] = set()
    path = folder / TRIALS
    for number, line in _lines(path):
        try:
            record = Record.from_line(line)
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: line {number} is no trial: {error}") from None
        if record.trial in seen:
            raise InputError(f"{path}: line {number}: trial {record.trial} is there twice")
        seen.add(record.trial)
        records.append(record)
    return records


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The complete lines of a file, with their numbers."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    # what follows the last newline was torn by a crash: its writer never saw it finished
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise InputError(
                f"{path}: line {number} is broken; repair or remove that line to go on (nothing was changed)"
            )
        yield number, value


class MemoryJournal:
    """A journal of this process alone: a simulated search's, of which nothing is kept.

    Attributes:
        records: the ended trials, in the order they ended.
        proposals: by trial id: how many trials had ended when it was proposed, and what.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.proposals: dict[int, tuple[int, Architecture]] = {}
        self._ended: set[int] = set()

    def propose(self, trial: int, asked_after: int, architecture: Architecture) -> None:
        """Note a proposal."""
        self.proposals[trial] = (asked_after, architecture)

    def append(self, record: Record) -> None:
        """Add an ended trial.

        Raises:
            ValueError: the trial is in the journal already.
        """
        if record.trial in self._ended:
            raise ValueError(f"trial {record.trial} is in the journal already")
        self._write_record(record)
        self._ended.add(record.trial)
        self.records.append(record)

    def _write_record(self, record: Record) -> None:
        """Keep it where it outlives the process; here, nowhere."""


class Journal(MemoryJournal):
    """A run's journal, open for writing by one process at a time.

    When `append` returns, the trial is on disk; if it can't be written, `append` raises InputError and the
    file is as it was.

    Args:
        folder: of the run; it exists.

    Raises:
        InputError: another process writes to the run, or a line is broken (nothing is changed then).
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise InputError(f"{folder}: another process is running this search") from None
        try:
            self.records = read_records(folder)
            for _, line in _lines(folder / PROPOSALS):
                self.proposals[line["trial"]] = (line["asked_after"], Architecture(line["architecture"]))
            for record in self.records:
                self.proposals[record.trial] = (record.asked_after, record.architecture)
            self._ended = {record.trial for record in self.records}
            self._trials = self._open(TRIALS)
            self._proposals = self._open(PROPOSALS)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, name: str) -> int:
        """A descriptor for appending, after cutting off what a crash left of a last line."""
        handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        content = os.pread(handle, os.fstat(handle).st_size, 0)
        os.ftruncate(handle, content.rfind(b"\n") + 1)
        return handle

    def propose(self, trial: int, asked_after: int, architecture: Architecture) -> None:
        """Note a proposal. Not forced to disk: losing one costs no result."""
        super().propose(trial, asked_after, architecture)
        line = {"trial": trial, "asked_after": asked_after, "architecture": list(architecture)}
        self._write(self._proposals, line)

    def _write_record(self, record: Record) -> None:
        self._write(self._trials, record.to_line())
        os.fsync(self._trials)

    def _write(self, handle: int, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        end = os.lseek(handle, 0, os.SEEK_END)
        try:
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(handle, end)  # never leave half a line before the next one
            raise InputError(
                f"{self.folder}: cannot write the journal: {error.strerror}; what it has is safe, "
                f"and `{shell_command('nas', 'resume', self.folder)}` goes on from there"
            ) from error

    def close(self) -> None:
        """Release the run for other processes."""
        for handle in (self._trials, self._proposals, self._lock):
            os.close(handle)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
