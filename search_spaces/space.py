"""The search space: decisions, and the operations on architectures that controllers need."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.counting import MOST_DIGITS, count_text
from search_spaces.decision import Choice, Decision
from search_spaces.errors import InputError, unknown
from search_spaces.quoting import check_name
from search_spaces.spec import NetworkSpec


class NotInSpaceError(InputError):
    """An architecture or a network that the search space doesn't contain; the message says why."""


class SearchSpace(ABC):
    """A finite set of architectures, each of which describes one network.

    The architectures are the full product of the decisions' choices. A subclass says how an
    architecture becomes a network (`decode`) and back (`encode`).

    Attributes:
        name: what the space is called on the command line and in journals.
        decisions: in the order of an architecture's indices; names are unique.

    Raises:
        InputError: no decisions, two of one name, or 10^4000 architectures or more.
    """

    def __init__(self, name: str, decisions: tuple[Decision, ...]) -> None:
        check_name("search space", "name", name, 180)  # its networks' names have the trial behind it
        if not decisions:
            raise InputError(f"search space {name!r} has no decisions")
        if len({decision.name for decision in decisions}) != len(decisions):
            raise InputError(f"search space {name!r}: two decisions share a name")
        self.name = name
        self.decisions = decisions
        if self.size >= 10**MOST_DIGITS:
            raise InputError(
                f"search space {name!r}: {count_text(self.size)} architectures: expected fewer than "
                f"1e{MOST_DIGITS}"
            )

    @cached_property
    def size(self) -> int:
        """The exact number of architectures."""
        return math.prod(len(decision) for decision in self.decisions)

    @abstractmethod
    def decode(self, architecture: Architecture) -> NetworkSpec:
        """The network an architecture describes; raises `NotInSpaceError` for a foreign one."""

    @abstractmethod
    def encode(self, spec: NetworkSpec) -> Architecture:
        """The architecture that describes a network; raises `NotInSpaceError` if there is none.

        Settings that the space doesn't decide (activation, BN, dropout, classes, resolution, name)
        are not compared. `encode(decode(architecture))` describes the same network.
        """

    def check(self, architecture: Architecture) -> None:
        """Raise `NotInSpaceError` unless the indices fit the decisions."""
        if len(architecture) != len(self.decisions):
            raise NotInSpaceError(
                f"architecture with {len(architecture)} choices: space {self.name!r} has "
                f"{len(self.decisions)} decisions"
            )
        for index, decision in zip(architecture, self.decisions, strict=True):
            if not 0 <= index < len(decision):
                raise NotInSpaceError(
                    f"choice index {index} for {decision.name}: expected 0 to {len(decision) - 1}"
                )

    def contains(self, item: Architecture | NetworkSpec) -> bool:
        """Whether an architecture, or the network of a spec, lies in the space."""
        try:
            if isinstance(item, NetworkSpec):
                self.encode(item)
            else:
                self.check(item)
        except NotInSpaceError:
            return False
        return True

    def choices(self, architecture: Architecture) -> dict[str, Choice]:
        """The choices by decision name, as journals and tables show them."""
        self.check(architecture)
        pairs = zip(self.decisions, architecture, strict=True)
        return {decision.name: decision.choices[index] for decision, index in pairs}

    def from_choices(self, choices: Mapping[str, Choice]) -> Architecture:
        """The inverse of `choices`; raises `InputError` for a missing, unknown or foreign one."""
        names = [decision.name for decision in self.decisions]
        for name in choices:
            if name not in names:
                raise unknown("decision", name, names)
        for name in names:
            if name not in choices:
                raise InputError(f"decision {name!r} has no choice")
        return Architecture(decision.index(choices[decision.name]) for decision in self.decisions)

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, the last decision changing fastest."""
        return map(Architecture, itertools.product(*(range(len(d)) for d in self.decisions)))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """An architecture drawn uniformly."""
        return Architecture(int(index) for index in rng.integers(self._lengths))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A copy in which exactly one decision, drawn uniformly, takes another of its choices.

        Raises:
            InputError: the space has one architecture only.
        """
        self.check(architecture)
        open_decisions = np.flatnonzero(self._lengths > 1)
        if not len(open_decisions):
            raise InputError(f"search space {self.name!r} has a single architecture: nothing to mutate")
        position = int(rng.choice(open_decisions))
        # one of the other choices, uniformly: skip over the present one
        index = int(rng.integers(len(self.decisions[position]) - 1))
        return architecture.replace(position, index + (index >= architecture[position]))

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Uniform crossover: each decision's choice is taken from either parent with equal chance."""
        self.check(a)
        self.check(b)
        mask = rng.integers(2, size=len(a))
        return Architecture(x if bit else y for x, y, bit in zip(a, b, mask, strict=True))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ in one decision, in a fixed order."""
        self.check(architecture)
        for position, decision in enumerate(self.decisions):
            for index in range(len(decision)):
                if index != architecture[position]:
                    yield architecture.replace(position, index)

    @cached_property
    def _lengths(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([len(decision) for decision in self.decisions], dtype=np.int64)
