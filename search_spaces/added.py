"""What other installed packages add: their entry points, by name, loaded when they are named.

A package says so in its own metadata, here in a `pyproject.toml`:

    [project.entry-points."nas.controllers"]
    mine = "mypackage.control:MyController"

Nothing of it is imported until the name is used, so a package that is broken breaks nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from search_spaces.errors import InputError
from search_spaces.quoting import printable

T = TypeVar("T")

GROUPS = {
    "nas.spaces": "search space",
    "nas.controllers": "controller",
    "nas.ops": "op",
    "nas.costs": "cost",
    "nas.data": "data set",
    "nas.exports": "format",
}
"""What can be added, by the group of its entry points."""


def added_names(group: str) -> tuple[str, ...]:
    """The names that installed packages add to a group, sorted."""
    return tuple(sorted(_found(tuple(sys.path))[group]))


def added_by(group: str, name: str) -> EntryPoint | None:
    """The entry point of that name; None if there is none.

    Raises:
        InputError: two packages have one.
    """
    points = _found(tuple(sys.path))[group].get(name, ())
    if len(points) > 1:
        both = " and ".join(f"{_package(point)} ({printable(point.value)})" for point in points)
        raise InputError(f"{GROUPS[group]} {name!r}: is added by {both}; uninstall one")
    return points[0] if points else None


def load_added(group: str, name: str) -> Any:
    """What the entry point of that name points at.

    Raises:
        InputError: there is none, two packages have one, or it can't be loaded.
    """
    point = added_by(group, name)
    if point is None:
        raise InputError(f"{GROUPS[group]} {name!r}: no installed package adds it ({group})")
    try:
        return point.load()
    except Exception as error:  # whatever a stranger's package raises when it is imported
        raise broken(group, name, f"cannot be loaded: {type(error).__name__}: {error}") from error


def broken(group: str, name: str, why: str) -> InputError:
    """The error for an entry point that isn't what its group takes; names the package and where it points."""
    point = added_by(group, name)
    where = "" if point is None else f" ({printable(point.value)} of {_package(point)})"
    return InputError(f"{GROUPS[group]} {name!r}{where}: {why}")


def _package(point: EntryPoint) -> str:
    return "a package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


@lru_cache(maxsize=4)
def _found(path: tuple[str, ...]) -> dict[str, dict[str, tuple[EntryPoint, ...]]]:
    """By group and name, in the order of the packages' names; one that is on the path twice counts once.

    `path` is where Python looks; what it finds first is for the file system to say.
    """
    found: dict[str, dict[str, dict[tuple[str, str], EntryPoint]]] = {group: {} for group in GROUPS}
    for group, points in found.items():
        for point in entry_points(group=group):
            points.setdefault(point.name, {}).setdefault((_package(point), point.value), point)
    return {
        group: {name: tuple(same[key] for key in sorted(same)) for name, same in points.items()}
        for group, points in found.items()
    }


class Registry(dict[str, T]):
    """Things by name: the built-in ones, and those that installed packages add to its group.

    The names of all are there at once; what a package adds is loaded when its value is asked for. Where all
    values are, one that can't be loaded is left out and said on stderr; so is a name that is built in.

    Args:
        group: one of `GROUPS`.
        built_in: by name.
        accept: takes (name, what the entry point points at) and gives the value, or raises `TypeError` with
            what was expected.

    Attributes:
        built_in: their names.
    """

    def __init__(self, group: str, built_in: Mapping[str, T], accept: Callable[[str, Any], T]) -> None:
        super().__init__(built_in)
        self.group, self.built_in, self._accept = group, frozenset(built_in), accept
        self._said: set[str] = set()

    def __missing__(self, name: str) -> T:
        if added_by(self.group, name) is None:
            raise KeyError(name)
        thing = load_added(self.group, name)
        if not super().__contains__(name):  # else its module has registered it itself
            try:
                self[name] = self._accept(name, thing)
            except (TypeError, InputError) as error:
                raise broken(self.group, name, str(error)) from error
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in added_names(self.group)

    def __iter__(self) -> Iterator[str]:
        for name in added_names(self.group):
            if name in self.built_in:
                self._say(name, broken(self.group, name, "nas has one of that name itself"))
        return iter(dict.fromkeys([*super().__iter__(), *added_names(self.group)]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default` where there is none of that name."""
        try:
            return self[name]
        except KeyError:
            return default

    @property
    def present(self) -> dict[str, T]:
        """What is loaded, by name; nothing is looked for."""
        return dict(super().items())

    def loaded(self) -> dict[str, T]:
        """All that can be loaded, by name."""
        values: dict[str, T] = {}
        for name in self:
            try:
                values[name] = self[name]
            except InputError as error:
                self._say(name, error)
        return values

    def _say(self, name: str, why: InputError) -> None:
        if name not in self._said:
            self._said.add(name)
            sys.stderr.write(f"{printable(str(why))}; left out\n")
