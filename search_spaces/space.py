"""The search space: decisions, and the operations on architectures that controllers need."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.architecture import Architecture
from search_spaces.counting import MOST_DIGITS, count_text
from search_spaces.decision import Choice, Decision
from search_spaces.errors import InputError, unknown
from search_spaces.quoting import check_name
from search_spaces.spec import NetworkSpec


class NotInSpaceError(InputError):
    """An architecture or a network that the search space doesn't contain; the message says why."""


Condition = tuple[int, frozenset[int]]
"""On what a decision depends: an earlier one's position, and the choices of that with which it counts."""


class SearchSpace(ABC):
    """A finite set of architectures, each of which describes one network.

    The architectures are the full product of the decisions' choices, but for decisions that count only with
    some choices of an earlier one, the kernel of a fourth block where the depth is one to four: where such a
    decision doesn't count, its first choice stands for all (`canonical`). Sizes, samples and neighbours are
    of canonical architectures; any indices in range are understood. A subclass says how an architecture
    becomes a network (`decode`) and back (`encode`).

    Attributes:
        name: what the space is called on the command line and in journals.
        decisions: in the order of an architecture's indices; names are unique.
        conditions: by position, of the decisions that don't always count; none is on another such one.

    Raises:
        InputError: no decisions, two of one name, or 10^4000 architectures or more.
    """

    def __init__(
        self, name: str, decisions: tuple[Decision, ...], conditions: Mapping[int, Condition] | None = None
    ) -> None:
        check_name("search space", "name", name, 180)  # its networks' names have the trial behind it
        if not decisions:
            raise InputError(f"search space {name!r} has no decisions")
        if len({decision.name for decision in decisions}) != len(decisions):
            raise InputError(f"search space {name!r}: two decisions share a name")
        self.name = name
        self.decisions = decisions
        self.conditions = dict(conditions or {})
        for position, (on, _) in self.conditions.items():
            assert on < position, "the subclass's own doing"
            assert on not in self.conditions
        if self.size >= 10**MOST_DIGITS:
            raise InputError(
                f"search space {name!r}: {count_text(self.size)} architectures: expected fewer than "
                f"1e{MOST_DIGITS}"
            )

    @cached_property
    def size(self) -> int:
        """The exact number of architectures, the canonical ones."""
        return math.prod(map(sum, self._weights.values()))

    @cached_property
    def _weights(self) -> dict[int, tuple[int, ...]]:
        """By position of a decision that always counts, how many ways the ones on it go with each choice."""
        found = {p: [1] * len(d) for p, d in enumerate(self.decisions) if p not in self.conditions}
        for position, (on, choices) in self.conditions.items():
            for index in choices:
                found[on][index] *= len(self.decisions[position])
        return {position: tuple(weights) for position, weights in found.items()}

    def counting(self, architectures: ArrayLike) -> NDArray[np.bool_]:
        """Which decisions count.

        Args:
            architectures: choice indices, shape (..., decisions).

        Returns:
            the same shape.
        """
        rows = np.asarray(architectures, dtype=np.int64)
        found = np.ones(rows.shape, dtype=np.bool_)
        for position, (on, choices) in self.conditions.items():
            found[..., position] = np.isin(rows[..., on], list(choices))
        return found

    def canonical_rows(self, architectures: NDArray[np.int64]) -> NDArray[np.int64]:
        """Choice indices, shape (..., decisions), with the first choice in decisions that don't count."""
        if not self.conditions:
            return architectures
        return np.where(self.counting(architectures), architectures, 0)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The architecture that stands for all that differ only in decisions that don't count."""
        self.check(architecture)
        indices = (
            index if self.counts(position, architecture) else 0 for position, index in enumerate(architecture)
        )
        return Architecture(indices) if self.conditions else architecture

    def counts(self, position: int, indices: Sequence[int]) -> bool:
        """Whether the decision at `position` counts, given at least the choices of those before it."""
        condition = self.conditions.get(position)
        return condition is None or indices[condition[0]] in condition[1]

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
        """The choices by decision name, as journals and tables show them; of the decisions that count."""
        self.check(architecture)
        found = zip(self.decisions, architecture, range(len(architecture)), strict=True)
        return {d.name: d.choices[index] for d, index, place in found if self.counts(place, architecture)}

    def from_choices(self, choices: Mapping[str, Choice]) -> Architecture:
        """The inverse of `choices`; raises `InputError` for a missing, unknown or foreign one."""
        names = [decision.name for decision in self.decisions]
        for name in choices:
            if name not in names:
                raise unknown("decision", name, names)
        indices: list[int] = []
        for position, decision in enumerate(self.decisions):
            counts = self.counts(position, indices)
            if counts != (decision.name in choices):
                why = "has no choice" if counts else "has a choice, of a block that isn't there"
                raise InputError(f"decision {decision.name!r} {why}")
            indices.append(decision.index(choices[decision.name]) if counts else 0)
        return Architecture(indices)

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, the last decision changing fastest."""
        if not self.conditions:
            return map(Architecture, itertools.product(*(range(len(d)) for d in self.decisions)))
        return map(Architecture, self._continued(()))

    def _continued(self, begun: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        position = len(begun)
        if position == len(self.decisions):
            yield begun
            return
        for index in range(len(self.decisions[position]) if self.counts(position, begun) else 1):
            yield from self._continued((*begun, index))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """An architecture drawn uniformly."""
        if not self.conditions:
            return Architecture(int(index) for index in rng.integers(self._lengths))
        indices: list[int] = []
        for position, decision in enumerate(self.decisions):
            if position in self._weights:
                indices.append(_drawn(self._weights[position], rng))
            else:
                indices.append(int(rng.integers(len(decision))) if self.counts(position, indices) else 0)
        return Architecture(indices)

    def share(self, position: int, index: int) -> float:
        """The part of the architectures in which a decision counts and has that choice."""
        on, choices = self.conditions.get(position, (position, frozenset((index,))))
        weights = self._weights[on]
        # whole numbers are divided exactly, and rounded once
        with_it = sum(weights[choice] for choice in choices)
        return with_it / (sum(weights) * (len(self.decisions[position]) if on != position else 1))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A copy in which exactly one decision, drawn uniformly, takes another of its choices.

        Only decisions that count are drawn; those that count with the new choice alone are drawn anew.

        Raises:
            InputError: the space has one architecture only.
        """
        architecture = self.canonical(architecture)
        before = self.counting(architecture)
        open_decisions = np.flatnonzero((self._lengths > 1) & before)
        if not len(open_decisions):
            raise InputError(f"search space {self.name!r} has a single architecture: nothing to mutate")
        position = int(rng.choice(open_decisions))
        # one of the other choices, uniformly: skip over the present one
        index = int(rng.integers(len(self.decisions[position]) - 1))
        mutant = architecture.replace(position, index + (index >= architecture[position]))
        for new in np.flatnonzero(self.counting(mutant) & ~before).tolist():
            mutant = mutant.replace(new, int(rng.integers(len(self.decisions[new]))))
        return self.canonical(mutant)

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Uniform crossover: each decision's choice is taken from either parent with equal chance."""
        self.check(a)
        self.check(b)
        mask = rng.integers(2, size=len(a))
        child = Architecture(x if bit else y for x, y, bit in zip(a, b, mask, strict=True))
        return self.canonical(child)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ in one decision that counts, in a fixed order.

        And in those that count with one of the two choices alone.
        """
        architecture = self.canonical(architecture)
        for position, decision in enumerate(self.decisions):
            if self.counts(position, architecture):
                for index in range(len(decision)):
                    if index != architecture[position]:
                        yield self.canonical(architecture.replace(position, index))

    @cached_property
    def _lengths(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([len(decision) for decision in self.decisions], dtype=np.int64)


def _drawn(weights: Sequence[int], rng: np.random.Generator) -> int:
    """An index drawn exactly by weights, whole numbers of any size."""
    if len(set(weights)) == 1:
        return int(rng.integers(len(weights)))
    total = sum(weights)
    bits = total.bit_length()
    while (number := int.from_bytes(rng.bytes((bits + 7) // 8), "big") >> -bits % 8) >= total:
        pass
    return bisect_right(list(itertools.accumulate(weights)), number)
