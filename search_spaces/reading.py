"""Files of strangers, opened with care: regular ones, and read no further than they may be long."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
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
            kind = "a pipe" if stat.S_ISFIFO(mode) else "a device" if stat.S_ISCHR(mode) else "no file"
            raise InputError(f"{text}: is {kind}, expected a regular file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


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


def check_archive(path: Path, longest: int, stored: bool = False) -> None:
    """Look at a zip archive's list of contents, before any of it is unpacked.

    Args:
        path: of the archive.
        longest: bytes that its members may have together, unpacked.
        stored: whether they must lie there as they are, so that the file is as large as what is in it.

    Raises:
        OSError, zipfile.BadZipFile: it can't be read.
        InputError: more bytes, or compressed ones.
    """
    with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
    if stored and any(
        m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members
    ):
        raise InputError(f"{path}: its parts are compressed, which PyTorch never writes")
    if (size := sum(member.file_size for member in members)) > longest:
        raise InputError(f"{path}: {size:,} bytes unpacked, expected at most {longest:,}")
