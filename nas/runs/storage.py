"""Where running trials keep their checkpoints: a folder that every node sees, or an object store.

Everything goes through fsspec, so `s3://`, `gs://` and plain folders are one code path. A local path is
never read as a URL, whatever is in it. Reading a checkpoint executes none of its content.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import uuid
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from search_spaces.errors import InputError

MODELS = "models"
"""Folder of a run, or of its storage, for the checkpoints of full trainings."""
MAX_CHECKPOINT = 8 << 30
"""Bytes. A proxy network's state has a few megabytes; more than this is none of ours."""


def open_storage(url: str) -> tuple[Any, str]:
    """(fsspec file system, path in it) of a folder or URL.

    Raises:
        InputError: no such protocol, or its package isn't installed.
    """
    if not is_url(url):
        return LocalFileSystem(), os.path.abspath(url)
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ValueError, ImportError) as error:
        raise InputError(f"storage {url!r}: {error}") from None


_URL = re.compile(r"([a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether a text names an object store rather than a local path: it begins with a scheme."""
    return _URL.match(text) is not None


def check_no_pipe(files: Any, *paths: str) -> None:
    """Raise `InputError` for what a folder has in a file's place: whoever opens a pipe waits for ever."""
    if is_folder(files):
        for path in paths:
            if os.path.exists(path) and not os.path.isfile(path):
                raise InputError(f"{path}: expected a file, it is a pipe, a device or a folder")


def is_folder(files: Any) -> bool:
    """Whether a file system is this machine's own."""
    return "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))


def read_object(files: Any, path: str) -> bytes:
    """What is in a file of a storage; raises `InputError` as `check_no_pipe`."""
    check_no_pipe(files, path)
    found: bytes = files.cat_file(path)
    return found


def write_object(files: Any, path: str, data: bytes) -> None:
    """Write so that readers see all of it or nothing.

    An object store shows an object when its upload is complete; in a folder that takes a second name.
    """
    if not is_folder(files):
        files.pipe_file(path, data)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    part = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())  # else the name could outlive the content in a power cut
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


_PART = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.part", re.DOTALL)


def is_part(name: str) -> bool:
    """Whether a name is one that `write_object` writes to first, in a folder."""
    return _PART.fullmatch(name) is not None


class Checkpoints:
    """The states of running trials, one file each. It travels to every worker.

    Args:
        url: folder (absolute: workers have other working directories) or URL; made when first written.
    """

    def __init__(self, url: str) -> None:
        self.url = url if is_url(url) else os.path.abspath(url)

    def save(self, trial: int, state: dict[str, Any]) -> None:
        """Keep a trial's newest state in place of the one before; raises OSError if it can't."""
        import torch

        buffer = io.BytesIO()
        torch.save(state, buffer)
        files, root = open_storage(self.url)
        write_object(files, self._path(root, trial), buffer.getvalue())

    def load(self, trial: int) -> dict[str, Any] | None:
        """A trial's newest state; None if there is none. Raises OSError if it can't be read."""
        files, root = open_storage(self.url)
        path = self._path(root, trial)
        try:
            if files.size(path) > MAX_CHECKPOINT:
                raise OSError(errno.EFBIG, f"{path}: larger than {MAX_CHECKPOINT} bytes, no checkpoint")
            data = read_object(files, path)
        except FileNotFoundError:
            return None
        except InputError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        from nas.training.stored import read_stored

        try:
            state: dict[str, Any] = read_stored(data, path)
        except InputError as error:
            raise OSError(errno.EIO, str(error)) from None
        return state

    def keep(self, trial: int, product: bytes) -> None:
        """Keep what a trial made, beside the checkpoints (`MODELS`); raises OSError if it can't."""
        files, root = open_storage(self.url)
        write_object(files, self._path(f"{root.rstrip('/').rpartition('/')[0]}/{MODELS}", trial), product)

    def remove(self, trial: int) -> None:
        """A trial has ended: its state is of no more use."""
        files, root = open_storage(self.url)
        with contextlib.suppress(FileNotFoundError):
            files.rm_file(self._path(root, trial))

    def clear(self) -> None:
        """Remove all of them, by name: whatever else lies there stays, and its folder with it."""
        files, root = open_storage(self.url)
        if not files.exists(root):
            return
        listed = files.ls(root, detail=False)
        ours = [path for path in listed if _OURS.fullmatch(path.rstrip("/").rpartition("/")[2])]
        for path in ours:
            with contextlib.suppress(FileNotFoundError):
                files.rm_file(path)
        if len(ours) == len(listed):
            with contextlib.suppress(OSError, NotImplementedError):  # an object store has no folders
                files.rmdir(root)

    def mark(self) -> str:
        """Leave a mark, by which a node can tell that it sees this very place."""
        files, root = open_storage(self.url)
        text = uuid.uuid4().hex
        try:
            files.makedirs(root, exist_ok=True)
            write_object(files, f"{root}/{_MARK}", text.encode())
        except OSError as error:
            raise InputError(f"storage {self.url!r}: cannot write: {error.strerror or error}") from None
        return text

    def sees(self, mark: str) -> bool:
        """Whether this process sees the mark that another one left."""
        files, root = open_storage(self.url)
        try:
            return bool(read_object(files, f"{root}/{_MARK}") == mark.encode())
        except OSError:
            return False

    @staticmethod
    def _path(root: str, trial: int) -> str:
        return f"{root}/trial_{trial:06d}.pt"


_MARK = "mark"
_OURS = re.compile(r"trial_\d{6,}\.pt|mark|\.(trial_\d{6,}\.pt|mark)\.\d+\.[0-9a-f]{8}\.part")
"""What `Checkpoints` writes, and what a writer that was killed leaves of it."""
