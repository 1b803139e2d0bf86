"""Files of strangers, opened with care: regular ones, and read no further than they may be long."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from search_spaces.errors import InputError

_GIVEN = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Open already, by whoever started this process: a pipe there has somebody at its other end."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file for reading, or what this process was given open.

    Waits for nobody: a named pipe without a writer would hold the process for ever, a device has no end.

    Raises:
        OSError: it can't be opened.
        InputError: it is something else.
    """
    text = os.fspath(path)
    if text.startswith(_GIVEN):
        return open(text, "rb")
    handle = os.open(text, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, os.strerror(21), text)
        if not stat.S_ISREG(mode):
            raise InputError(f"{text}: is {odd_kind(mode)}, expected a regular file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def odd_kind(mode: int) -> str:
    """What is no regular file, in words, by its `st_mode`."""
    return "a pipe" if stat.S_ISFIFO(mode) else "a device" if stat.S_ISCHR(mode) else "no file"


def read_regular(path: str | os.PathLike[str], longest: int, what: str = "file of ours") -> bytes:
    """The content of a regular file of at most `longest` bytes.

    Raises:
        OSError: it can't be read.
        InputError: it is no regular file, or longer, and so no `what`.
    """
    with open_regular(path) as stream:
        data = stream.read(longest + 1)
    if len(data) > longest:
        raise InputError(f"{os.fspath(path)}: larger than {longest:,} bytes, no {what}")
    return data


@contextmanager
def strange_content(where: str) -> Iterator[None]:
    """A library that decodes what a stranger wrote: whatever it raises is an `InputError` that begins with
    `where`. What zlib, tarfile, zipfile, NumPy or torch make of damaged bytes is no fixed list."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error)[:_LONG] or type(error).__name__
        raise InputError(f"{where}: {' '.join(reason.split())}") from None


_LONG = 200


def check_archive(archive: BinaryIO, longest: int, where: str, stored: bool = False) -> None:
    """Look at a zip archive's list of contents, before any of it is unpacked.

    Args:
        archive: its content.
        where: how an error begins.
        longest: bytes that its members may have together, unpacked.
        stored: whether they must lie there as they are, so that the file is as large as what is in it.

    Raises:
        InputError: it can't be read, more bytes, or compressed ones.
    """
    with strange_content(f"{where}: unreadable"), zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
    if stored and any(
        m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members
    ):
        raise InputError(f"{where}: its parts are compressed, which PyTorch never writes")
    if (size := sum(member.file_size for member in members)) > longest:
        raise InputError(f"{where}: {size:,} bytes unpacked, expected at most {longest:,}")
