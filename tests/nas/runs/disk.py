"""A disk that fails: a command runs in a process of its own and is struck at one of its file operations.

Not a test file. The process is forked, so that it starts at once, and ends without a last word: neither
`finally` nor `atexit` runs, as after `kill -9`. Every change of a file below one folder is an operation:
to open for writing, write, sync, rename, remove, make a folder, cut, and what fsspec does to an object
store (`ObjectStore`). What is written through C alone is not seen; nothing of ours is.
"""

import _pyio
import builtins
import errno
import io
import json
import os
import shutil
import stat
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
from fsspec.spec import AbstractFileSystem

from tests.command import nas

KILL, TEAR, CUT, FULL, ONCE = "kill", "tear", "power cut", "disk full", "one error"
"""Before the operation; in the middle of a write; also without what was not synced; from then on; at it alone."""
STRIKES = (KILL, TEAR, CUT, FULL, ONCE)
_DEAD = 137

_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_GROWING = ("open", "write", "mkdir", "rename", "replace", "link", "symlink", "put", "fsync", "sendfile")
"""What a full disk refuses; the rest takes no room."""
_real = {name: getattr(os, name) for name in dir(os) if callable(getattr(os, name))}


@dataclass
class Ended:
    """A command that ran: its exit code (`None`: killed), what it printed, what it did.

    Attributes:
        operations: (name, path below the root), in order.
        evaluated: digests of the networks that were evaluated.
    """

    code: int | None
    out: str
    err: str
    operations: list[tuple[str, str]]
    evaluated: list[str]


def run(arguments, root: Path, notes: Path, at: int = -1, how: str = KILL, also=lambda: None) -> Ended:
    """`nas ARGUMENTS` in a process of its own, struck at operation number `at`.

    Args:
        arguments: of the command.
        root: the working folder; only what happens below it counts.
        notes: a folder for what the process tells.
        at: counted from 0; -1: never.
        how: one of `STRIKES`.
        also: called in the process first, e.g. to plant a fault.
    """
    shutil.rmtree(notes, ignore_errors=True)
    notes.mkdir()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            also()
            disk = Disk(root, notes, at, how)
            disk.install()
            done = nas(*arguments, cwd=root)
            disk.tell("out", done.stdout)
            disk.tell("err", done.stderr)
            code = done.returncode
        except BaseException:
            _real["write"](2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    told = {name: (notes / name).read_text() if (notes / name).exists() else "" for name in ("out", "err")}
    lines = (notes / "operations").read_text().splitlines() if (notes / "operations").exists() else []
    evaluated = (notes / "evaluated").read_text().split() if (notes / "evaluated").exists() else []
    return Ended(
        None if code == _DEAD else code,
        told["out"],
        told["err"],
        [tuple(json.loads(line)) for line in lines],
        evaluated,
    )


class Disk:
    """Counts this process's file operations below a folder, and strikes at one of them."""

    def __init__(self, root: Path, notes: Path, at: int, how: str) -> None:
        self.root, self.at, self.how = os.path.realpath(root), at, how
        self.count, self.full = 0, False
        self._paths: dict[int, str] = {}
        self._unsynced: dict[int, int] = {}  # by inode: up to where a file is surely on the disk
        self._notes = {
            name: _real["open"](notes / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for name in ("operations", "evaluated", "out", "err")
        }
        self._inside = False

    def tell(self, name: str, text: str) -> None:
        """Tell the parent."""
        _real["write"](self._notes[name], text.encode(errors="replace"))

    def install(self) -> None:
        """From here on, in this process."""
        global _disk
        _disk = self
        for name in ("mkdir", "rmdir", "unlink", "remove", "truncate", "chmod"):
            setattr(os, name, self._on_path(name, 0))
        for name in ("rename", "replace", "link", "symlink"):
            setattr(os, name, self._on_path(name, 1))
        for name in ("fsync", "fdatasync", "ftruncate"):
            setattr(os, name, self._on_handle(name))
        os.open, os.write, os.close = self._open, self._write, self._close
        for name in ("sendfile", "copy_file_range", "splice"):  # shutil does without them
            if hasattr(os, name):
                delattr(os, name)
        shutil._USE_CP_SENDFILE = False
        shutil._use_fd_functions = False
        builtins.open = io.open = _python_open
        _tensorboard_at_once()
        _note_evaluations(self)

    def operation(self, name: str, path: str) -> bool:
        """An operation is about to happen; whether it is to be done by half only, and fail then."""
        if not path.startswith(self.root + os.sep):
            return False
        number, self.count = self.count, self.count + 1
        self.tell("operations", json.dumps([name, os.path.relpath(path, self.root)]) + "\n")
        if self.full and name in _GROWING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if number != self.at:
            return False
        if self.how in (TEAR, FULL) and name == "write":
            self.full = self.how == FULL
            return True
        if self.how == FULL:
            self.full = True
            if name not in _GROWING:
                return False
        if self.how in (FULL, ONCE):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self.die()

    def die(self) -> None:
        """As by SIGKILL; in a power cut what was not synced is lost too."""
        if self.how == CUT:
            for folder, _, names in os.walk(self.root):
                for name in names:
                    found = os.stat(os.path.join(folder, name))
                    if found.st_ino in self._unsynced:
                        _real["truncate"](os.path.join(folder, name), self._unsynced[found.st_ino])
        for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
            if isinstance(stream, io.StringIO):  # lines on a terminal are seen as they are printed
                self.tell(name, stream.getvalue())
        os._exit(_DEAD)

    def _on_path(self, name, place):
        def call(*arguments, **named):
            if not named.get("dir_fd"):
                self.operation(name, _absolute(arguments[place]))
            return _real[name](*arguments, **named)

        return call

    def _on_handle(self, name):
        def call(handle, *arguments):
            if handle in self._paths:
                self.operation(name, self._paths[handle])
                if name != "ftruncate":
                    self._unsynced.pop(os.fstat(handle).st_ino, None)
            return _real[name](handle, *arguments)

        return call

    def _open(self, path, flags, mode=0o777, *, dir_fd=None):
        where = _absolute(path) if dir_fd is None and not isinstance(path, int) else ""
        if flags & _TO_WRITE:
            self.operation("open", where)
        handle = _real["open"](path, flags, mode, dir_fd=dir_fd)
        if where and not stat.S_ISCHR(os.fstat(handle).st_mode):
            self._paths[handle] = where
        return handle

    def _write(self, handle, data):
        path = self._paths.get(handle)
        if path is None:
            return _real["write"](handle, data)
        found = os.fstat(handle)
        half = self.operation("write", path)
        self._unsynced.setdefault(found.st_ino, found.st_size)
        written = _real["write"](handle, bytes(data)[: len(data) // 2] if half else data)
        if half and self.how == TEAR:
            self.die()
        if half and not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return written

    def _close(self, handle):
        self._paths.pop(handle, None)
        _real["close"](handle)


_disk: Disk | None = None
_c_open = io.open


def _python_open(file, mode="r", *arguments, **named):
    """Python's own `open` for what is written: it goes through `os.open` and `os.write`."""
    if set(mode) & set("wax+"):
        return _pyio.open(file, mode, *arguments, **named)
    return _c_open(file, mode, *arguments, **named)


def _absolute(path) -> str:
    text = os.fsdecode(path)
    folder, name = os.path.split(os.path.abspath(text))
    return os.path.join(os.path.realpath(folder), name)


def _tensorboard_at_once() -> None:
    """Events are written at a flush, not by a thread at its own times; the pictures in them stay blank."""
    from tensorboard.summary.writer import event_file_writer

    from nas.report import tensorboard

    class Direct:
        def __init__(self, records, *_):
            self._file, self._waiting = records._writer, io.BytesIO()
            self.write = type(records)(self._waiting).write

        def flush(self):
            if self._waiting.tell():
                self._file.write(self._waiting.getvalue())
                self._waiting.seek(0)
                self._waiting.truncate()
                self._file.flush()

        def close(self):
            self.flush()
            self._file.close()

    event_file_writer._AsyncWriter = Direct
    for name in ("pareto_figure", "choices_figure", "draw_diagram"):  # they take a second
        setattr(tensorboard, name, lambda *_: None)
    tensorboard.pixels = lambda _: np.zeros((2, 2, 3), np.uint8)


def _note_evaluations(disk: Disk) -> None:
    from nas.benchmark.evaluator import BenchmarkEvaluator

    start = BenchmarkEvaluator.start

    def noted(self, spec, seed):
        disk.tell("evaluated", f"{spec.digest}\n")
        return start(self, spec, seed)

    BenchmarkEvaluator.start = noted


class ObjectStore(AbstractFileSystem):
    """Objects under names: an upload is seen whole or not at all, there are no folders to make.

    It lies in a folder, so that it outlives the process: `bucket:///folder/run`.
    """

    protocol = "bucket"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("bucket://").rstrip("/")

    def pipe_file(self, path, value, mode="overwrite", **_):
        self._count("put", path)
        place = Path(self._strip_protocol(path))
        place.parent.mkdir(parents=True, exist_ok=True) if _disk is None else _make_parents(place)
        with _c_open(place, "wb") as stream:
            stream.write(value)

    def cat_file(self, path, start=None, end=None, **_):
        with _c_open(self._strip_protocol(path), "rb") as stream:
            return stream.read()[start:end]

    def info(self, path, **_):
        place = self._strip_protocol(path)
        found = os.stat(place)
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "file"
        return {"name": place, "size": found.st_size, "type": kind}

    def ls(self, path, detail=True, **_):
        place = self._strip_protocol(path)
        if not os.path.isdir(place):
            raise FileNotFoundError(place)
        found = [self.info(os.path.join(place, name)) for name in sorted(os.listdir(place))]
        return found if detail else [item["name"] for item in found]

    def _rm(self, path):
        self._count("rm", path)
        _real["unlink"](self._strip_protocol(path))

    def makedirs(self, path, exist_ok=False):
        pass

    def _count(self, name, path):
        if _disk is not None:
            _disk.operation(name, self._strip_protocol(path))


def _make_parents(place: Path) -> None:
    missing = [p for p in place.parents if not p.exists()]
    for folder in reversed(missing):
        _real["mkdir"](folder)


fsspec.register_implementation("bucket", ObjectStore, clobber=True)
