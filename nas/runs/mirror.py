"""A run folder's copy in an object store or a shared folder, so that a lost machine loses no run.

The journal grows by lines and objects can't be appended to, so new lines go up as objects of their
own, named by their place in the file; putting them together gives the file again. Everything else of
a run is small and goes up whole when it has changed.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from nas.runs.measured import EXPONENT, MEASURED
from nas.runs.storage import is_url, open_storage, write_object
from nas.search.journal import PROPOSALS, TRIALS
from search_spaces.document import MAX_BYTES, make_folder, write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command

STORAGE = "storage"
"""Name of the file in a run folder that says where its copy is."""
_WHOLE = ("search.yaml", "placement.yaml", "latency.json", "best.yaml", "pareto.csv", MEASURED)
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
        InputError: the store can't be written.
    """

    def __init__(self, url: str, folder: Path, every: float = 1.0) -> None:
        self.url, self.folder, self.every = url, folder, every
        self.files, self.root = open_storage(url)
        self.error: Exception | None = None
        self._token = uuid.uuid4().hex.encode()
        self._done: dict[str, int] = {name: _size(self.files, self.root, name) for name in _GROWING}
        self._sent: dict[str, bytes] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        for name in _GROWING:
            if len(_content(folder / name) or b"") < self._done[name]:
                raise InputError(
                    f"storage {url!r}: has more of {name} than {folder}: it is another run's, or this "
                    f"folder is an old copy; `{shell_command('nas', 'resume', url)}` takes the newer one"
                )
        try:  # only now: it takes the copy away from whoever had it
            self._put(_WRITER, self._token)
        except Exception as error:  # each store raises its own kinds
            raise InputError(f"storage {url!r}: cannot write: {error}") from None
        write_atomically(folder / STORAGE, f"{url}\n")

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
        if self.files.cat_file(f"{self.root}/{_WRITER}") != self._token:
            raise InputError("another process has taken over this run")
        for name, new in lines.items():
            if new:
                self._put(f"{name}/{self._done[name]:015d}", new)
                self._done[name] += len(new)
        for name, content in changed.items():
            self._put(name, content)
            self._sent[name] = content

    def _new_lines(self, name: str) -> bytes:
        """The whole lines of a growing file that aren't up yet."""
        path = self.folder / name
        if not path.exists() or path.stat().st_size <= self._done[name]:
            return b""
        with path.open("rb") as stream:
            stream.seek(self._done[name])
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


def _size(files: Any, root: str, name: str) -> int:
    """How much of a growing file is in the store."""
    last = max(_parts(files, root, name), default=None)
    if last is None:
        return 0
    return int(last.rsplit("/", 1)[1]) + int(files.size(last))


def _parts(files: Any, root: str, name: str) -> list[str]:
    try:
        found = files.ls(f"{root}/{name}", detail=False, refresh=True)
    except TypeError:  # a folder has no listing to refresh
        found = files.ls(f"{root}/{name}", detail=False)
    except FileNotFoundError:
        return []
    return sorted(path for path in found if path.rsplit("/", 1)[1].isdigit())


def fetch_run(url: str, folder: Path, say: Callable[[str], None] = lambda text: None) -> None:
    """Bring a run from its copy into a folder that doesn't exist yet, or is empty.

    Raises:
        InputError: there is no run, the folder is in use, or the copy has a gap.
    """
    files, root = open_storage(url)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        again = shell_command("nas", "resume", folder)
        raise InputError(f"{folder}: exists; remove it, or `{again}` to go on from it")
    if not has_run(url):
        raise InputError(f"{url}: no run there (no search.yaml)")
    content: dict[str, bytes] = {}
    try:
        for name in _WHOLE:
            if files.exists(f"{root}/{name}"):
                if files.size(f"{root}/{name}") > MAX_BYTES and name.endswith(".yaml"):
                    raise InputError(f"{url}: {name} is larger than {MAX_BYTES} bytes")
                content[name] = files.cat_file(f"{root}/{name}")
        for name in _GROWING:
            content[name] = _joined(files, root, name, url)
    except InputError:
        raise
    except Exception as error:  # each store raises its own kinds
        raise InputError(f"{url}: cannot read: {error}") from None
    number = 0
    while has_run(part := f"{url.rstrip('/')}/{EXPONENT}/seed-{number}"):  # what its exponent is measured by
        fetch_run(part, folder / EXPONENT / f"seed-{number}")
        number += 1
    for name, data in content.items():
        make_folder((folder / name).parent)
        write_atomically(folder / name, data)
    write_atomically(folder / STORAGE, f"{url}\n")
    say(f"{url} -> {folder}")


def _joined(files: Any, root: str, name: str, url: str) -> bytes:
    """A growing file, put together again."""
    parts = _parts(files, root, name)
    data = files.cat(parts) if parts else {}
    whole = b""
    for path in parts:
        if int(path.rsplit("/", 1)[1]) != len(whole):
            raise InputError(f"{url}: {name} has a gap at byte {len(whole)}")
        whole += data[path] if isinstance(data, dict) else data
    return whole


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


def storage_of(folder: Path) -> str | None:
    """Where the copy of a run is kept; None if there is none."""
    path = folder / STORAGE
    return path.read_text().strip() or None if path.is_file() else None
