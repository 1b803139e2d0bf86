"""The settings of a search's space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from nas.export.exportable import ANY, exportable_space, parse_formats
from nas.runs.checked import check_types
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.registry import SPACES, get_space


@dataclass(frozen=True)
class SpaceSettings:
    """The search space.

    Attributes:
        name: of a built-in space, or path of a space file.
        document: the space itself, so that a run doesn't depend on the file any more.
        exportable_to: the formats that can express all of its networks, as `--exportable-to` takes them; a
            document that is constrained to them already is left as it is.
        full_resolution: of the full networks, whose costs count, pixels; None: the space's.
    """

    name: str = "mnasnet"
    document: dict[str, Any] = field(default_factory=dict)
    exportable_to: str = ANY
    full_resolution: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        parse_formats(self.exportable_to)
        if self.full_resolution is not None and not 4 <= self.full_resolution <= 4096:
            raise InputError(f"full-resolution {self.full_resolution}: expected an integer from 4 to 4096")

    def make(self) -> StagedSpace | ListedSpace:
        """The space; raises `InputError` for what is none."""
        return self._space

    @cached_property
    def _space(self) -> StagedSpace | ListedSpace:
        formats = parse_formats(self.exportable_to)
        if "networks" in self.document:
            said = {"exportable-to": formats and self.exportable_to, "full-resolution": self.full_resolution}
            for option, value in said.items():
                if value:
                    raise InputError(
                        f"{option} {shown(value)}: acts on spaces of decisions, this one lists its networks"
                    )
            return ListedSpace.from_document(self.document, "space")
        if not self.document and self.name in SPACES:
            return _built_in(SPACES[self.name], formats, self.full_resolution)
        whole = StagedSpace.from_document(self.document, "space") if self.document else get_space(self.name)
        return _narrowed(whole, formats, self.full_resolution)


@lru_cache(maxsize=16)
def _built_in(make: Callable[[], StagedSpace], formats: tuple[str, ...], size: int | None) -> StagedSpace:
    """As `_narrowed`, of a space by name; once a process, it takes a fifth of a second."""
    return _narrowed(make(), formats, size)


def _narrowed(space: StagedSpace, formats: tuple[str, ...], resolution: int | None) -> StagedSpace:
    """The space for that resolution, as far as it exports to the formats."""
    if resolution is not None:
        space = space.with_network(resolution=resolution)
    return exportable_space(space, formats)
