"""Documents (specs, spaces, run settings) on disk: YAML or JSON, read safely, written atomically."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from search_spaces.errors import InputError, shown, unknown
from search_spaces.parsing import dump_yaml as dump_yaml
from search_spaces.parsing import parse_document
from search_spaces.quoting import printable
from search_spaces.reading import odd_kind, read_regular

MAX_BYTES = 1 << 20
"""Documents come from strangers too: anything larger than this is not a spec or a space."""


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML or JSON file (JSON is a subset of YAML).

    Raises:
        InputError: the file is missing, unreadable, too large, malformed, or not a mapping.
    """
    try:
        document = parse_document(read_regular(path, MAX_BYTES, "document of ours"), str(path))
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a mapping at the top, found {type(document).__name__}")
    return document


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` so that readers see the old content or the new, never a part of it.

    A link stays: the file that it points to is replaced. A device or a pipe is written through, as are
    /dev/stdout and its like: replacing those by a file would be a loss. It waits for nobody: a pipe that has
    no reader is refused.

    Raises:
        InputError: the folder doesn't exist or can't be written, the disk is full, nobody reads from a pipe.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        _write(os.fspath(path), data)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: cannot write: {getattr(error, 'strerror', None) or error}") from error


def _write(path: str, data: bytes) -> None:
    if path.startswith(("/dev/", "/proc/")) or (
        os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    ):
        with open(_open_odd(path), "wb") as stream:
            stream.write(data)
        return
    target = Path(os.path.realpath(path))
    # the name is cut: with what is added to it, a long one would be too long
    prefix = f".{target.name[:40]}."
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; what we write is meant to be read like any other file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _open_odd(path: str) -> int:
    """A descriptor of what is no plain file."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):
            raise OSError(errno.ENXIO, "it is a pipe that nobody reads from") from None
        raise
    os.set_blocking(handle, True)  # a reader that is slow is waited for
    return handle


_TEMPORARY = re.compile(r"\.(?P<of>.{1,40})\.[a-z0-9_]{8}(\.part)?", re.DOTALL)


def is_temporary(name: str, of: Collection[str] = ()) -> bool:
    """Whether a name is one that `write_atomically` writes to first, for a file named in `of` (or any).

    A process that is killed leaves such a file behind. (Without `.part`, as earlier versions did, it is told
    by the name alone, so there `of` is needed.)
    """
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return False
    return found["of"] in {known[:40] for known in of} if of else name.endswith(".part")


def remove_temporaries(folder: Path, of: Collection[str]) -> None:
    """Remove what writers of the files named in `of` left half-written when they were killed."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_temporary(path.name, of):
            path.unlink(missing_ok=True)


def remove_matching(folder: Path, pattern: str) -> None:
    """Remove the files below a folder that are ours, and the folders that this empties; no link is followed.

    What can't be removed stays.

    Args:
        folder: where; it may not be there.
        pattern: regular expression of the whole path of such a file, from the folder on, with slashes.
    """
    if folder.is_symlink():
        return
    for base, _, names in os.walk(folder, topdown=False):
        place, removed = Path(base), False
        for name in names:
            path = place / name
            if re.fullmatch(pattern, path.relative_to(folder).as_posix()):
                with suppress(OSError):  # a folder that may only be read: what is left over harms nobody
                    path.unlink()
                    removed = True
        if removed or re.match(pattern, f"{place.relative_to(folder).as_posix()}/"):
            with suppress(OSError):  # someone else's file is in it
                place.rmdir()
    with suppress(OSError):
        folder.rmdir()


def check_places(folder: Path, ours: str = ".*") -> None:
    """Refuse a folder of ours with places in it that are no files of its own.

    Where a link leads out of it, who sent it would decide where we write; a pipe would hold the process
    that opens it, and a device has no end.

    Args:
        folder: where; it may not be there.
        ours: regular expression of what we write in it; what else lies there may be what it likes.

    Raises:
        InputError: there is one.
    """
    inside = os.path.realpath(folder)
    for base, folders, names in os.walk(folder):
        if base == os.fspath(folder):
            folders[:] = [name for name in folders if re.fullmatch(ours, name)]
            names = [name for name in names if re.fullmatch(ours, name)]
        for name in (*folders, *names):
            path = os.path.join(base, name)
            try:
                mode = os.lstat(path).st_mode
                if linked := stat.S_ISLNK(mode):
                    mode = os.stat(path).st_mode
            except OSError:  # gone meanwhile, or a link to what isn't there yet
                linked, mode = os.path.islink(path), stat.S_IFREG
            if linked:
                target = os.path.realpath(path)
                if os.path.commonpath((inside, target)) != inside:
                    raise InputError(
                        f"{path}: a link to {target}, outside of {folder}: nothing is written through it; "
                        "put the file itself in its place, or remove the link"
                    )
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise InputError(f"{path}: is {odd_kind(mode)}, expected a regular file; remove it")


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder with its parents, if it isn't there; raises `InputError` if it can't be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror or error}") from None


def write_document(path: str | os.PathLike[str], document: Mapping[str, Any], comment: str = "") -> None:
    """Write a document, as JSON where the name ends in `.json` and as YAML elsewhere.

    `comment` stands above the YAML, a `#` before each of its lines; JSON has no place for it. YAML takes
    printable characters only, in comments too.
    """
    if Path(path).suffix == ".json":
        text = json.dumps(document, indent=2) + "\n"
    else:
        text = "".join(f"# {printable(line)}\n" for line in comment.splitlines()) + dump_yaml(document)
    write_atomically(path, text)


def check_fields(
    document: object, where: str, required: Iterable[str] = (), optional: Iterable[str] = ()
) -> dict[str, Any]:
    """`document` as a dict that has all `required` fields and no others than the `optional` ones.

    Raises:
        InputError: not a mapping, a field missing, or a field unknown (the nearest is suggested).
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{where}: expected a mapping, found {type(document).__name__} {shown(document)}")
    required, known = list(required), [*required, *optional]
    for field in document:
        if field not in known:
            raise InputError(f"{where}: {unknown('field', field, known)}")
    for field in required:
        if field not in document:
            raise InputError(f"{where}: field {field!r} is missing")
    return dict(document)


def check_schema(document: object, where: str, version: int) -> None:
    """Raise `InputError` unless the document is a mapping with the schema version this release reads."""
    if not isinstance(document, Mapping):
        raise InputError(f"{where}: expected a mapping, found {type(document).__name__} {shown(document)}")
    if "schema" not in document:
        raise InputError(f"{where}: field 'schema' is missing (this release reads schema {version})")
    if document["schema"] != version or isinstance(document["schema"], bool):
        raise InputError(
            f"{where}: schema {shown(document['schema'])} is unknown, this release reads {version}"
        )
