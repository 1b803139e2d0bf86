"""A decision: a name and its finite choices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.errors import InputError, unknown

Choice = str | int | float


@dataclass(frozen=True)
class Decision:
    """One open question of a search space.

    Attributes:
        name: unique within its space, e.g. `stage3.kernel`.
        choices: at least one, all different, in the order their indices count.
    """

    name: str
    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise InputError(f"decision {self.name!r} has no choices")
        if len(set(self.choices)) != len(self.choices):
            raise InputError(f"decision {self.name!r}: choices {list(self.choices)} repeat a value")

    def __len__(self) -> int:
        return len(self.choices)

    def __iter__(self) -> Iterator[Choice]:
        return iter(self.choices)

    def index(self, value: Choice) -> int:
        """The index of a choice; raises `InputError` for a value that is none."""
        try:
            return self.choices.index(value)
        except ValueError:
            raise unknown(f"choice for {self.name}", value, self.choices) from None
