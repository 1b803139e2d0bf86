"""What `nas search` compares its options with: the run that `--or-resume` finds, the space of `--config`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from nas.commands.exponent import as_measured
from nas.export.exportable import parse_formats
from nas.runs.basis import basis_of
from nas.runs.copies import with_copies
from nas.runs.flat import read_settings
from nas.runs.folder import SETTINGS
from nas.runs.settings import SearchSettings
from nas.runs.space_settings import SpaceSettings
from search_spaces.document import read_document
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace


def exports_of(folder: Path, space: SpaceSettings) -> SpaceSettings:
    """The space with what the run in `folder` is exportable to."""
    path = folder / SETTINGS
    kept = read_settings(read_document(path), str(path))
    return replace(space, exportable_to=kept.space.exportable_to)


def check_same(folder: Path, settings: SearchSettings) -> None:
    """Raise `InputError` unless the run in `folder` is the one that these settings describe."""
    path = folder / SETTINGS
    kept = read_settings(read_document(path), str(path))
    settings = as_measured(settings, folder)
    elsewhere = ["trials", "document", "data_digest", "surrogate_digest", "latency_table", "code"]
    elsewhere += left_to_us(settings)
    here, there = (dict(leaves(each.to_document())) for each in (settings, kept))
    other = [
        f"{name.replace('_', '-')} {here.get(place)!r}: the run in {folder} has {there.get(place)!r}"
        for place in here | there  # what only one of them has is a difference too
        if (name := place[-1]) not in elsewhere and here.get(place) != there.get(place)
    ]
    if not other and _table(settings) != _table(with_copies(folder, kept)):
        other = [f"latency-table {settings.latency_table!r}: the run in {folder} has another one"]
    if not other and _as_fitted(settings.make_space(), kept.make_space()) != kept.make_space().to_document():
        other = [f"space {settings.space.name!r}: the run in {folder} was made with another content of it"]
    if other:
        raise InputError(f"{other[0]}; leave --or-resume out and choose another --out for a new search")


def left_to_us(settings: SearchSettings) -> list[str]:
    """The evaluator's settings that a run decides when it begins, those of which nothing was said."""
    evaluator = settings.evaluator
    found = [part.name for part in fields(evaluator) if not part.compare]
    # a run keeps whether its images were decoded, not the size that was allowed
    said = {"cache": getattr(evaluator, "cache", None) in ("on", "off")}
    return [name for name in found if not said.get(name, getattr(evaluator, name) is not None)]


def _table(settings: SearchSettings) -> object:
    """What of a latency table counts."""
    return basis_of(settings)["latency_table"]


def _as_fitted(space: StagedSpace | ListedSpace, kept: StagedSpace | ListedSpace) -> dict[str, Any]:
    """The space as a run keeps it, which has fitted its networks to the data."""
    if isinstance(space, StagedSpace) and isinstance(kept, StagedSpace):
        there = kept.template
        space = space.with_network(num_classes=there.num_classes, in_channels=there.in_channels)
    return space.to_document()


def leaves(document: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(place, value) of each setting in a settings document; a part's name and form go by the part's name."""
    for name, value in document.items():
        if isinstance(value, dict) and not place:
            yield from leaves(value, (name,))
        else:
            yield (*place, place[-1] if place and name in ("name", "form", "kind") else name), value


def check_narrower(space: SpaceSettings, exportable_to: str) -> None:
    """Raise `InputError` where a settings file's own space would have to be wider than it was kept."""
    kept = space.document.get("exportable", {}).get("to", [])
    if missing := [name for name in kept if name not in parse_formats(exportable_to)]:
        raise InputError(
            f"exportable-to {exportable_to!r}: the settings file has its space only as far as it can be "
            f"exported to {missing[0]}; give --space, the whole one"
        )
