"""What a command will write, declared and checked before its work: no output overwrites an input.

The rule of all commands: a file is replaced only by one of its own kind, and never if it is an input,
another output, or part of a run or a training. A link is followed, a device is written through, `~` is
the home folder; the name's suffix says what is in it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from search_spaces.document import MAX_BYTES, read_document
from search_spaces.errors import InputError
from search_spaces.reading import open_regular
from search_spaces.targets import check_file, check_folder, same_file

SUFFIXES = {
    "spec": (".yaml", ".yml", ".json"),
    "space": (".yaml", ".yml", ".json"),
    "latency table": (".json",),
    "arguments": (".json",),
    "comparison": (".json",),
    "benchmark of runs": (".json",),
    "table of trainings": (".csv",),
    "Python module": (".py",),
    "ONNX model": (".onnx",),
    "exported program": (".pt2",),
    "TorchScript program": (".ts", ".pt", ".pth"),
    "weights": (".safetensors",),
    "PNG picture": (".png",),
    "SVG picture": (".svg",),
    "HTML page": (".html", ".htm"),
    "Markdown page": (".md",),
    "table of predictions": (".csv",),
    "archive": (".gz", ".tgz"),
}
"""What we write, and how its name may end; an ending that is nobody's (or none) says nothing wrong."""

_FOREIGN = (".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".jsonl", ".zip", ".tar", ".toml", ".ckpt")
_KNOWN = {ending for endings in SUFFIXES.values() for ending in endings} | set(_FOREIGN)
_PICTURES = ("PNG picture", "SVG picture", "HTML page")


@dataclass(frozen=True)
class Target:
    """A file that a command will write.

    Attributes:
        path: where.
        kind: of `SUFFIXES`.
        option: that named it, for messages.
        suffixes: narrower than the kind's.
    """

    path: str
    kind: str
    option: str = "out"
    suffixes: tuple[str, ...] = ()


class OutPath(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The path of an output: `~` is expanded; an empty one is refused."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path as it is written to; raises `InputError`."""
        text = str(value)
        option = param.opts[-1].lstrip("-") if param else "out"
        if not text.strip():
            raise InputError(f"{option} {text!r}: expected a path")
        if text in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            return "-"  # two handles of one file would write over each other
        if text.startswith("~"):
            try:
                text = str(Path(text).expanduser())
            except RuntimeError as error:
                raise InputError(f"{option} {text!r}: {error}") from None
        return text


def declare(targets: Sequence[Target], inputs: Iterable[str] = (), folder: str | None = None) -> None:
    """Check all that a command will write; nothing is written yet.

    Args:
        targets: the files.
        inputs: what it reads: paths, or names of networks that are no files.
        folder: that it makes for (some of) them, or adds them to.

    Raises:
        InputError: a target is an input or another target, has the name of another kind, would replace
            something of another kind, or can't be written.
    """
    if folder is not None:
        check_folder(folder)
        if (whose := owner(Path(folder))) is not None:
            raise InputError(f"out {folder!r}: is the folder of a {whose}; choose another")
    sources = [source for source in inputs if Path(source).exists()]
    for index, target in enumerate(targets):
        where = f"{target.option} {target.path!r}"
        if target.path == "-":
            raise InputError(f"{where}: expected a file, the content is not printed")
        _check_suffix(target, where)
        if folder is None or Path(target.path).parent != Path(folder) or Path(folder).is_dir():
            check_file(target.path, target.option)
        for source in sources:
            if same_file(target.path, source):
                raise InputError(f"{where}: is the input {source!r}; choose another")
        for other in targets[:index]:
            if same_file(target.path, other.path):
                raise InputError(
                    f"{where}: is written as {_a(other.kind)} already ({other.option} {other.path!r}); "
                    "choose another"
                )
        _check_replaced(target, where)


def owner(folder: Path) -> str | None:
    """Whose folder it is, `run` or `training`; None: nobody's."""
    if (folder / "search.yaml").is_file() or (folder / "trials.jsonl").is_file():
        return "run"
    return "training" if (folder / "train.yaml").is_file() else None


def _check_suffix(target: Target, where: str) -> None:
    own = target.suffixes or SUFFIXES[target.kind]
    ending = Path(target.path).suffix.lower()
    if ending in _KNOWN and ending not in own:
        raise InputError(f"{where}: {_a(target.kind)} is written, expected a name that ends in {own[0]}")


def _check_replaced(target: Target, where: str) -> None:
    path = Path(target.path)
    if not path.is_file():
        return
    found = kind_of(path)
    whose = owner(path.resolve().parent)
    if whose is not None and found not in _PICTURES:
        raise InputError(f"{where}: belongs to the {whose} in that folder; choose another")
    if found not in (target.kind, "nothing"):
        raise InputError(
            f"{where}: exists and holds {_a(found)}, {_a(target.kind)} would replace it; "
            "remove it, or choose another"
        )


def _a(kind: str) -> str:
    if kind in ("nothing", "something else", "weights", "arguments"):
        return kind
    return f"{'an' if kind[0] in 'aeiouOEH' and kind[:2] != 'HT' else 'a'} {kind}"


def kind_of(path: Path) -> str:
    """What a file holds: one of `SUFFIXES` if we could have written it, `checkpoint`, `nothing`, ...

    Raises:
        InputError: it can't be read.
    """
    try:
        with open_regular(path) as stream:
            data = stream.read(MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    head = data[:512]
    if not data:
        return "nothing"
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head.startswith(b"\x89PNG"):
        return "PNG picture" if b"Matplotlib" in head else "picture of something else"
    if head.startswith(b"\x80"):
        return "checkpoint"  # a pickle, as PyTorch wrote them before 1.6
    if head.startswith(b"\x1f\x8b"):
        return "archive"
    if head.startswith(b"\x08") and b"pytorch" in head:
        return "ONNX model"
    if head[8:9] == b"{" and b"\x00" in head[:8]:
        return "weights"
    if head.startswith(b"<svg"):
        return "SVG picture"
    if head.startswith(b'<!doctype html><html lang="en">'):
        return "HTML page"
    if head.startswith(b"image,class1,probability1"):
        return "table of predictions"
    if head.startswith(b"accuracy,macs,params,"):
        return "table of trainings"
    if b"\ndef build(" in data:
        return "Python module"
    try:
        return _document_kind(read_document(path))
    except InputError:
        # a document may begin with a comment, which looks like a heading
        return "Markdown page" if head.startswith(b"# ") else "something else"


def _document_kind(document: dict[str, Any]) -> str:
    keys = {
        "spec": {"schema", "name", "stages"},
        "space": {"schema", "space", "network", "stages"},
        "latency table": {"schema", "setting", "entries"},
        "comparison": {"rows", "landmarks"},
        "benchmark of runs": {"schema", "benchmark", "rows", "parameters"},
    }
    for kind, needed in keys.items():
        if needed <= set(document):
            return kind
    return "something else" if "schema" in document else "arguments"


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "something else"
    if any("/code/" in name or name.startswith("code/") for name in names):
        return "TorchScript program"
    if any("serialized_exported_program" in name or name.endswith("archive_format") for name in names):
        return "exported program"
    return "checkpoint" if any(name.endswith("data.pkl") for name in names) else "something else"
