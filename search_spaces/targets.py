"""Whether something can be written at a path, asked before the work whose result it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from search_spaces.errors import InputError


def check_file(path: str | os.PathLike[str], option: str = "out") -> None:
    """Raise `InputError` unless a file can be written at `path`; writes nothing.

    A link is followed: what it points to is what would be written. A device or a pipe is written
    through, and is fine.
    """
    text = os.fspath(path)
    where = f"{option} {text!r}"
    found = _look(text, where)
    if text.endswith(os.sep) or (found is not None and stat.S_ISDIR(found.st_mode)):
        raise InputError(f"{where}: cannot write: it is a folder, expected a file")
    if found is not None:
        if stat.S_ISSOCK(found.st_mode) or stat.S_ISBLK(found.st_mode):
            raise InputError(f"{where}: cannot write: expected a file, found a socket or a block device")
        if not os.access(text, os.W_OK):
            raise InputError(f"{where}: cannot write: the file is read-only")
        if not stat.S_ISREG(found.st_mode):
            return
    folder = Path(os.path.realpath(text)).parent
    if not folder.exists():
        raise InputError(f"{where}: cannot write: there is no folder {str(folder)!r}")
    if not folder.is_dir():
        raise InputError(f"{where}: cannot write: {str(folder)!r} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{where}: cannot write: the folder {str(folder)!r} is read-only")


def check_folder(path: str | os.PathLike[str], option: str = "out") -> None:
    """Raise `InputError` unless `path` is a folder that can be written, or can be made; makes nothing."""
    text = os.fspath(path)
    where = f"{option} {text!r}"
    _look(text, where)
    place = Path(os.path.abspath(text))
    while not os.path.lexists(place):
        place = place.parent
    named = "it" if place == Path(os.path.abspath(text)) else repr(str(place))
    if not place.is_dir():
        raise InputError(f"{where}: cannot be made: {named} is no folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{where}: cannot be made: {named} is a read-only folder")


def _look(text: str, where: str) -> os.stat_result | None:
    """What is there; None: nothing yet, which may be made."""
    if not text:
        raise InputError(f"{where}: expected a path, found an empty text")
    try:
        return os.stat(text)
    except FileNotFoundError:
        return None
    except OSError as error:  # a name that is too long, a file where a folder should be, a loop of links
        raise InputError(f"{where}: cannot write: {error.strerror or error}") from None
    except ValueError as error:  # a null byte
        raise InputError(f"{where}: cannot write: {error}") from None


def same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two paths name one file, by whatever links and spellings; neither needs to exist."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)
