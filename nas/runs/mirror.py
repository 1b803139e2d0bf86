"""A run folder's copy in an object store or a shared folder, so that a lost machine loses no run.

The journal grows by lines, and so does its copy (`nas.runs.growing`). Everything else of a run is small and
goes up whole when it has changed.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from nas.runs.basis import BASIS
from nas.runs.copies import COPIES
from nas.runs.growing import GrowingCopy, trials_of
from nas.runs.link import STORAGE, keep_link
from nas.runs.measured import EXPONENT, MEASURED
from nas.runs.scored_on import SCORED
from nas.runs.storage import is_part, is_url, open_storage, read_object, write_object
from nas.search.journal import PROPOSALS, TRIALS
from search_spaces.document import MAX_BYTES, is_temporary, make_folder, write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command

_SMALL = ("search.yaml", "placement.yaml", SCORED, "best.yaml", "pareto.csv")
_WHOLE = (BASIS, *COPIES.values(), MEASURED, *_SMALL)
"""In the order in which they go up: what makes it a run (`search.yaml`) after what that needs."""
_RESULTS = ("best.yaml", "pareto.csv")
_GROWING = (TRIALS, PROPOSALS)
_WRITER = "writer"
_PATIENCE = 60.0
"""Seconds that a store may be out of reach before the search stops."""


class Mirror:
    """Keeps a run's copy up to date from a thread of its own; a context.

    The copy lags by about `every` seconds. A trial whose line was not up when the machine was lost
    is evaluated again. Two drivers can't write to one copy: the later one wins, and the other's next
    write raises.

    Args:
        url: of the copy.
        folder: of the run.
        every: seconds between two looks.

    Raises:
        InputError: the store can't be written, or has another run's copy there.
    """

    def __init__(self, url: str, folder: Path, every: float = 1.0) -> None:
        self.url, self.folder, self.every = url, folder, every
        self.files, self.root = open_storage(url)
        self.error: Exception | None = None
        self._token = uuid.uuid4().hex.encode()
        self._growing = {name: GrowingCopy(self.files, self.root, name, url) for name in _GROWING}
        self._sent: dict[str, bytes] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        anew = {name: content for name in _GROWING if (content := self._reordered(name)) is not None}
        try:  # only now: it takes the copy away from whoever had it
            self._put(_WRITER, self._token)
        except Exception as error:  # each store raises its own kinds
            raise InputError(f"storage {url!r}: cannot write: {error}") from None
        self._sweep()
        for name, content in anew.items():
            self._growing[name].replace(content)
        keep_link(folder, url)

    def _sweep(self) -> None:
        """Remove what a killed driver has left half-written in a folder; a store shows no such thing."""
        for place in (self.root, *(f"{self.root}/{name}" for name in (*_GROWING, EXPONENT))):
            with suppress(FileNotFoundError, NotADirectoryError):
                for path in self.files.ls(place, detail=False):
                    if is_part(path.rstrip("/").rpartition("/")[2]):
                        self.files.rm_file(path)

    def _reordered(self, name: str) -> bytes | None:
        """A growing file that a resumed run has put in order since it went up; None: it has only grown."""
        here, there = _content(self.folder / name) or b"", self._growing[name].read()
        if here.startswith(there):
            return None
        ours, theirs = trials_of(here), trials_of(there)
        shared = ours.keys() & theirs.keys()
        same = bool(shared) and all(ours[trial] == theirs[trial] for trial in shared)
        # proposals aren't forced to disk: a power cut takes some here, and no result with them
        if (same and len(ours) >= len(theirs)) or (name == PROPOSALS and (same or there.startswith(here))):
            return here[: here.rfind(b"\n") + 1]
        if same or there.startswith(here):
            raise InputError(
                f"storage {self.url!r}: has more of {name} than {self.folder}, which is an old copy: "
                f"`{shell_command('nas', 'resume', self.url)} --out FOLDER` takes the newer one"
            )
        raise InputError(
            f"storage {self.url!r}: the copy there is another run's ({name} differs from {self.folder}'s): "
            "choose another storage"
        )

    def __enter__(self) -> Mirror:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self.error is None:
            try:
                self.sync()
            except Exception as failure:  # each store raises its own kinds
                self.error = failure
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise `InputError` if the copy can't be kept up."""
        if self.error is not None:
            raise InputError(f"storage {self.url!r}: {self.error}")

    def sync(self) -> None:
        """Bring the copy up to date now."""
        lines = {name: self._new_lines(name) for name in _GROWING}
        whole = {name: _content(self.folder / name) for name in _WHOLE}
        changed = {name: c for name, c in whole.items() if c is not None and c != self._sent.get(name)}
        if not changed and not any(lines.values()):
            return
        if read_object(self.files, f"{self.root}/{_WRITER}") != self._token:
            raise InputError("another process has taken over this run")
        # what makes it a run, then its trials, then what follows from them: a part of it is one, too
        for name in (name for name in changed if name not in _RESULTS):
            self._put(name, changed[name])
            self._sent[name] = changed[name]
        for name, new in lines.items():
            if new:
                self._growing[name].append(new)
        for name in (name for name in changed if name in _RESULTS):
            self._put(name, changed[name])
            self._sent[name] = changed[name]

    def _new_lines(self, name: str) -> bytes:
        """The whole lines of a growing file that aren't up yet."""
        path = self.folder / name
        if not path.exists() or path.stat().st_size <= self._growing[name].size:
            return b""
        with path.open("rb") as stream:
            stream.seek(self._growing[name].size)
            new = stream.read()
        return new[: new.rfind(b"\n") + 1]

    def _put(self, name: str, data: bytes) -> None:
        write_object(self.files, f"{self.root}/{name}", data)

    def _run(self) -> None:
        failing: float | None = None
        while not self._stop.wait(self.every):
            try:
                self.sync()
                failing = None
            except InputError as error:
                self.error = error
                return
            except Exception as error:  # each store raises its own kinds; most pass
                failing = failing or time.monotonic()
                if time.monotonic() - failing > _PATIENCE:
                    self.error = error
                    return


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def fetch_run(url: str, folder: Path, say: Callable[[str], None] = lambda text: None) -> None:
    """Bring a run from its copy into a folder that doesn't exist yet, or is empty.

    It appears there whole or not at all: until then it lies beside it, as `.NAME.unfinished`.

    Raises:
        InputError: there is no run, the folder is in use, or the copy has a gap.
    """
    files, root = open_storage(url)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        again = shell_command("nas", "resume", folder)
        raise InputError(f"{folder}: exists; choose another --out, or `{again}` to go on from it")
    if not has_run(url):
        raise InputError(f"{url}: no run there (no search.yaml)")
    content: dict[str, bytes] = {}
    try:
        for name in _WHOLE:
            if files.exists(f"{root}/{name}"):
                if files.size(f"{root}/{name}") > MAX_BYTES and name.endswith(".yaml"):
                    raise InputError(f"{url}: {name} is larger than {MAX_BYTES} bytes")
                content[name] = read_object(files, f"{root}/{name}")
        for name in _GROWING:
            content[name] = GrowingCopy(files, root, name, url).read()
    except InputError:
        raise
    except Exception as error:  # each store raises its own kinds
        raise InputError(f"{url}: cannot read: {error}") from None
    named = Path(os.path.abspath(folder))  # "." has no name
    unfinished = named.parent / f".{named.name[:200]}.unfinished"
    _remove_unfinished(unfinished)
    number = 0
    while has_run(part := f"{url.rstrip('/')}/{EXPONENT}/seed-{number}"):  # what its exponent is measured by
        fetch_run(part, unfinished / EXPONENT / f"seed-{number}")
        number += 1
    for name, data in content.items():
        make_folder((unfinished / name).parent)
        write_atomically(unfinished / name, data)
    keep_link(unfinished, url)
    try:
        os.replace(unfinished, folder)
    except OSError as error:
        _remove_unfinished(unfinished)
        raise InputError(f"{folder}: cannot be made: {error.strerror or error}") from None
    say(f"{url} -> {folder}")


def fetched_to(copy: str) -> str:
    """Where a copy goes, if nothing else is said: `runs/NAME`; raises `InputError` if it has no name."""
    name = copy.rstrip("/").rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name:
        raise InputError(f"run {copy!r}: its name says no folder: give --out")
    return f"runs/{name}"


def _remove_unfinished(place: Path) -> None:
    """What a fetch that was killed has left, if it is that."""
    if not place.exists():
        return
    ours = {*(Path(name).name for name in (*_WHOLE, *_GROWING)), STORAGE}
    found = [path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()]
    odd = next((path for path in found if path.name not in ours and not is_temporary(path.name)), None)
    if odd is not None:
        raise InputError(f"{odd}: was not left by an unfinished fetch: move it away first")
    for path in found:
        path.unlink()
    for path in sorted(place.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        path.rmdir()
    place.rmdir()


def has_run(url: str) -> bool:
    """Whether there is a run's copy; raises `InputError` if the store can't be reached."""
    files, root = open_storage(url)
    try:
        return bool(files.exists(f"{root}/search.yaml"))
    except Exception as error:  # each store raises its own kinds
        raise InputError(f"{url}: cannot read: {error}") from None


def is_copy(place: str) -> bool:
    """Whether a place is a storage's copy of a run, rather than a run folder."""
    return is_url(place) or (Path(place) / _WRITER).is_file()
