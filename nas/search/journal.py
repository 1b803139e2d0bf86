"""The journal of a run: one line of JSON for every ended trial. It is the truth about the run.

Beside it lies `proposals.jsonl`, a line for every proposal as it is made. It matters only for
trials without a result: with it a resumed run starts them again instead of proposing anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from bisect import insort
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from nas.search.journal_file import LOCK as LOCK
from nas.search.journal_file import PROPOSALS as PROPOSALS
from nas.search.journal_file import TRIALS as TRIALS
from nas.search.journal_file import JournalFiles, dump_line, read_files
from nas.search.reward import Reward
from nas.search.trial import Record
from search_spaces.architecture import Architecture
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import printable, shell_command
from search_spaces.space import SearchSpace

DAMAGED = f"{TRIALS}.damaged"
"""Beside the journal: lines that were taken out of it."""


def read_records(
    folder: Path,
    space: SearchSpace | None = None,
    reward: Reward | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Record]:
    """The ended trials of a run, in the order they ended; changes nothing.

    Lines that are no trials are left out, and said; a torn last line is what a crash leaves.

    Args:
        folder: of the run.
        space, reward: of the run, as `read_files` takes them.
        say: told of what was left out or recomputed; None: it goes to stderr.

    Raises:
        InputError: as `read_files`.
    """
    found = read_files(folder, space, reward)
    for remark in found.remarks:
        (say or to_stderr)(remark)
    return found.records


def to_stderr(text: str) -> None:
    """Where a remark goes that nobody asked for."""
    print(printable(text), file=sys.stderr)


def check_unused(folder: Path) -> None:
    """Raise `InputError` if another process writes to the run in a folder."""
    os.close(_lock(folder))


def _lock(folder: Path) -> int:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise InputError(f"{folder}: another process is running this search") from None
    return handle


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
        insort(self.records, record, key=_place)

    def _write_record(self, record: Record) -> None:
        """Keep it where it outlives the process; here, nowhere."""


class Journal(MemoryJournal):
    """A run's journal, open for writing by one process at a time.

    What in its files is damaged, out of order or rewarded otherwise is put in order first: a line for each
    trial, the lines that were taken out in a file beside it.

    When `append` returns, the trial is on disk; if it can't be written, `append` raises InputError and the
    file is as it was.

    Args:
        folder: of the run; it exists.
        space, reward: of the run, as `read_files` takes them.

    Attributes:
        remarks: what of the files was put in order, for the user, a line each.

    Raises:
        InputError: another process writes to the run, or as `read_files`; nothing is changed then.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace | None = None,
        reward: Reward | None = None,
    ) -> None:
        super().__init__()
        self.folder = folder
        self._lock = _lock(folder)
        try:
            found = read_files(folder, space, reward, whole=True)
            self.records, self.proposals, self.remarks = found.records, found.proposals, found.remarks
            self._put_in_order(found)
            self._ended = {record.trial for record in self.records}
            self._trials = self._open(TRIALS)
            self._proposals = self._open(PROPOSALS)
        except BaseException:
            os.close(self._lock)
            raise

    def _put_in_order(self, found: JournalFiles) -> None:
        if found.damaged:
            path = self.folder / DAMAGED
            before = path.read_bytes() if path.is_file() else b""
            write_atomically(path, before + b"".join(line + b"\n" for line in found.damaged))
        for name, in_order in found.in_order.items():
            if not in_order:
                write_atomically(self.folder / name, found.contents[name])

    def _open(self, name: str) -> int:
        """A descriptor for appending."""
        return os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)

    def propose(self, trial: int, asked_after: int, architecture: Architecture) -> None:
        """Note a proposal. Not forced to disk: losing one costs no result."""
        super().propose(trial, asked_after, architecture)
        line = {"trial": trial, "asked_after": asked_after, "architecture": list(architecture)}
        self._write(self._proposals, line)

    def _write_record(self, record: Record) -> None:
        self._write(self._trials, record.to_line())
        os.fsync(self._trials)

    def _write(self, handle: int, line: dict[str, Any]) -> None:
        data = dump_line(line)
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


def _place(record: Record) -> int:
    return record.ended_after or 0
