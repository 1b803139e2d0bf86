"""An architecture: a full assignment of choices to the decisions of a space."""

from __future__ import annotations


class Architecture(tuple[int, ...]):
    """The choice indices, one for each decision of the space, in the space's order.

    Immutable and hashable; equal to any other architecture (or plain tuple) with the same indices.
    Its space checks it (`SearchSpace.contains`) and turns it into a network (`decode`).
    """

    __slots__ = ()

    def replace(self, decision: int, index: int) -> Architecture:
        """A copy in which the decision at position `decision` takes the choice `index`."""
        return Architecture((*self[:decision], index, *self[decision + 1 :]))

    def distance(self, other: Architecture) -> int:
        """In how many decisions two architectures of one space differ (Hamming distance)."""
        return sum(a != b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Architecture({'.'.join(map(str, self))})"
