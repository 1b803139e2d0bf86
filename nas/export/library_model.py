"""The models of timm and torchvision by name, freshly initialised; nothing is ever downloaded."""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.export.exact import border
from nas.export.module import run_builder
from search_spaces.document import MAX_BYTES
from search_spaces.errors import InputError
from search_spaces.parsing import check_plain, parse_json
from search_spaces.reading import read_regular

LIBRARIES = ("timm", "torchvision")


@dataclass(frozen=True)
class LibraryModel:
    """A model that can be made.

    Attributes:
        source: `timm:NAME` or `torchvision:NAME`, for messages.
        make: a fresh module, each time.
        resolution: height and width that the library gives for it, pixels.
    """

    source: str
    make: Callable[[], nn.Module]
    resolution: int

    def outline(self) -> nn.Module:
        """The module without memory for its weights, to be read; with them where that can't be made."""
        try:
            with torch.device("meta"):
                return self.make()
        except Exception:  # some constructors compute with their tensors
            return self.make()


def find_model(source: str) -> LibraryModel:
    """The model of `timm:NAME`, `torchvision:NAME`, or a file of this package's export to one of the two.

    Raises:
        InputError: an unknown library or name (the nearest ones are told), or a library that isn't installed.
    """
    library, colon, name = source.partition(":")
    if library not in LIBRARIES or not colon:
        raise InputError(f"from {_short(source)!r}: expected timm:NAME or torchvision:NAME")
    if not name:
        raise InputError(f"from {source!r}: expected a name after the colon, e.g. {library}:efficientnet_b0")
    if Path(name).suffix in (".py", ".json"):
        return _exported(library, name)
    return _timm(name) if library == "timm" else _torchvision(name)


def _timm(name: str) -> LibraryModel:
    try:
        import timm
    except ImportError:
        raise InputError(
            f"from timm:{name}: timm is not installed; pip install 'baseline-nas[timm]'"
        ) from None
    if ":" in name:
        raise InputError(f"from 'timm:{_short(name)}': expected a model's name; nothing is downloaded")
    architecture, _, tag = name.partition(".")
    if re.fullmatch(r"\w+", architecture) is None or not timm.is_model(architecture):
        raise _unknown("model of timm", name, architecture, timm.list_models())
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise _unknown(f"tag of timm's {architecture}", tag, tag, tags)

    def make() -> nn.Module:
        model: nn.Module = timm.create_model(name, pretrained=False)
        return model

    source = f"timm:{name}"
    config = timm.models.get_pretrained_cfg(name if tag else architecture)
    size = getattr(config, "input_size", None) or (3, 224, 224)
    return LibraryModel(source, _guarded(source, make), int(size[-1]))


def _torchvision(name: str) -> LibraryModel:
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise _unknown("model of torchvision", name, name, names)

    def make() -> nn.Module:
        model: nn.Module = models.get_model(name, weights=None)
        return model

    try:
        crop = models.get_model_weights(name).DEFAULT.transforms().crop_size[0]  # type: ignore[attr-defined]
    except (AttributeError, ValueError, IndexError):
        crop = 224
    source = f"torchvision:{name}"
    return LibraryModel(source, _guarded(source, make), int(crop))


def _exported(library: str, path: str) -> LibraryModel:
    """What `nas export` has written for a library: its ARGUMENTS are read as data, the file is not run."""
    exporter = import_module(f"nas.export.{library}")
    builder = getattr(exporter, f"{library}_builder")
    source = f"{library}:{path}"
    try:
        text = read_regular(path, MAX_BYTES, "export of ours").decode("utf-8")
        arguments = parse_json(text, path) if Path(path).suffix == ".json" else _assigned(text)
        check_plain(arguments, path)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"from {source!r}: can't be read: {' '.join(str(error).split())}") from None
    if not isinstance(arguments, dict) or not isinstance(arguments.get("resolution"), int):
        raise InputError(f"from {source!r}: expected what `nas export --to {library}` writes")
    given: dict[str, Any] = arguments
    return LibraryModel(
        source, _guarded(source, lambda: run_builder(given, builder(given))), given["resolution"]
    )


def _assigned(text: str) -> object:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS":
            return ast.literal_eval(node.value)
    return None


def _guarded(source: str, make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """`make` without its warnings, and with what it raises in one line."""

    def guarded() -> nn.Module:
        with warnings.catch_warnings(), border(f"from {source!r}: its constructor"):
            warnings.simplefilter("ignore")
            return make()

    return guarded


def _unknown(kind: str, value: str, wanted: str, names: Iterable[str]) -> InputError:
    near = difflib.get_close_matches(wanted.strip().lower(), list(names), n=3, cutoff=0.4)
    hint = f"; the nearest are {', '.join(near)}" if near else "; no name is near it"
    return InputError(f"unknown {kind} {_short(value)!r}{hint}")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
