"""Where the copy of a run is: named by the user, and kept in the run folder for whoever resumes it.

A run folder that comes from somebody else brings such a file along. It must not decide where this user
writes, so the file is signed with a key that lies in the user's own folders: what another hand has written,
or the same hand on a machine with other folders, has to be named again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from nas.runs.signature import is_own, sign
from nas.runs.storage import is_url
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command

STORAGE = "storage"
"""Name of the file in a run folder that says where its copy is."""

_NAME = re.compile(r"[\w.+=@,()-]([\w .+=@,()-]*[\w.+=@,()-])?")
"""Names that every object store takes and that no URL gives another meaning."""


def copy_of(storage: str, folder: Path) -> str:
    """Where a storage keeps the copy of the run in `folder`: below it, by the run's name.

    Raises:
        InputError: the name would have another meaning in a URL.
    """
    name = Path(os.path.abspath(folder)).name
    if not is_url(storage):
        return os.path.join(os.path.abspath(storage), name)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"storage {storage!r}: the run's name {name!r} would be read otherwise in a URL: choose an --out "
            "whose name has letters, digits and . _ + = @ , ( ) - alone"
        )
    return f"{storage.rstrip('/')}/{name}"


def storage_of(folder: Path) -> str | None:
    """Where a run says that its copy is, whoever has written that; None: nowhere."""
    return _read(folder)[0]


def kept_copy(folder: Path, storage: str | None) -> str | None:
    """Where a run that goes on keeps its copy: where it was, or in another storage that is named now.

    Args:
        folder: of the run.
        storage: named by the user, or None. The place of the copy itself is understood, too.

    Raises:
        InputError: none is named, and what the folder says was not written by this user.
    """
    place, _ = _read(folder)
    if storage is not None:
        return place if place is not None and _same(storage, place) else copy_of(storage, folder)
    if place is None or is_own_link(folder):
        return place
    raise InputError(
        f"{folder}: its file {STORAGE!r} names {place!r} for the run's copy, but was not written by you with "
        f"the folders that you have here: give {shell_command('--storage', place)} to write there, or remove "
        "that file to go on without a copy"
    )


def is_own_link(folder: Path) -> bool:
    """Whether there is a link that this user has written."""
    try:
        place, signature = _read(folder)
    except InputError:
        return False
    return place is not None and is_own(place, signature)


def is_link_to(folder: Path, copy: str) -> bool:
    """Whether a run in `folder` has this copy, by this user's own link."""
    return is_own_link(folder) and _same(copy, storage_of(folder) or "")


def keep_link(folder: Path, place: str) -> None:
    """Write down where the copy of a run is."""
    write_atomically(folder / STORAGE, f"{place}\n{sign(place)}\n")


def _read(folder: Path) -> tuple[str | None, str]:
    path = folder / STORAGE
    if not path.is_file():
        return None, ""
    try:
        with path.open(encoding="utf-8") as stream:
            lines = stream.read(10_000).split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    place, signature, *_ = (*lines, "", "")
    return place or None, signature.strip()


def _same(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return one.rstrip("/") == other.rstrip("/")
    return os.path.realpath(one) == os.path.realpath(other)
