"""Documents (specs, spaces, run settings) on disk: YAML or JSON, read safely, written atomically."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import InputError, unknown

MAX_BYTES = 1 << 20
"""Documents come from strangers too: anything larger than this is not a spec or a space."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which also takes 1e-5 for a number: YAML 1.1 wants a point in it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789")
)


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML or JSON file (JSON is a subset of YAML).

    Raises:
        InputError: the file is missing, unreadable, too large, malformed, or not a mapping.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes, not a document of ours")
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InputError(f"{path}: malformed YAML{where}: {problem}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a mapping at the top, found {type(document).__name__}")
    return document


def dump_yaml(document: Mapping[str, Any]) -> str:
    """`document` as YAML in its own order, the innermost collections on one line each."""
    text: str = yaml.safe_dump(dict(document), sort_keys=False, default_flow_style=None, width=160)
    return text


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` so that readers see the old content or the new, never a part of it.

    Raises:
        InputError: the folder doesn't exist or can't be written.
    """
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent or ".", prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; what we write is meant to be read like any other file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder with its parents, if it isn't there; raises `InputError` if it can't be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror or error}") from None


def write_document(path: str | os.PathLike[str], document: Mapping[str, Any], comment: str = "") -> None:
    """Write a document, as JSON where the name ends in `.json` and as YAML elsewhere.

    `comment` stands above the YAML, a `#` before each of its lines; JSON has no place for it.
    """
    if Path(path).suffix == ".json":
        text = json.dumps(document, indent=2) + "\n"
    else:
        text = "".join(f"# {line}\n" for line in comment.splitlines()) + dump_yaml(document)
    write_atomically(path, text)


def check_fields(
    document: object, where: str, required: Iterable[str] = (), optional: Iterable[str] = ()
) -> dict[str, Any]:
    """`document` as a dict that has all `required` fields and no others than the `optional` ones.

    Raises:
        InputError: not a mapping, a field missing, or a field unknown (the nearest is suggested).
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{where}: expected a mapping, found {type(document).__name__} {document!r}")
    required, known = list(required), [*required, *optional]
    for field in document:
        if field not in known:
            raise InputError(f"{where}: {unknown('field', field, known)}")
    for field in required:
        if field not in document:
            raise InputError(f"{where}: field {field!r} is missing")
    return dict(document)


def check_schema(document: Mapping[str, Any], where: str, version: int) -> None:
    """Raise `InputError` unless the document states the schema version this release reads."""
    if "schema" not in document:
        raise InputError(f"{where}: field 'schema' is missing (this release reads schema {version})")
    if document["schema"] != version or isinstance(document["schema"], bool):
        raise InputError(f"{where}: schema {document['schema']!r} is unknown, this release reads {version}")
