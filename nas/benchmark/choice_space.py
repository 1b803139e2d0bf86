"""A space of choices alone, of whose networks nothing is known: a table's, or a function's."""

from __future__ import annotations

import zlib

from search_spaces.architecture import Architecture
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec, StageSpec


class ChoiceSpace(SearchSpace):
    """Decisions and nothing behind them: an architecture is looked up, never built.

    The search loop tells networks apart by their digests, so each architecture has a stand-in of its own.
    """

    def decode(self, architecture: Architecture) -> NetworkSpec:
        """A stand-in with a digest of its own; it is no network to train, to count or to export."""
        self.check(architecture)
        # one stage a decision, as wide as its choice's index: different ones have different digests
        stages = tuple(StageSpec("conv", index + 1) for index in architecture)
        return NetworkSpec(f"{self.name}-{zlib.crc32(repr(architecture).encode()):08x}", stages)

    def encode(self, spec: NetworkSpec) -> Architecture:
        """The architecture of a stand-in."""
        architecture = Architecture(stage.channels - 1 for stage in spec.stages)
        self.check(architecture)
        if self.decode(architecture).digest != spec.digest:
            raise NotInSpaceError(f"network {spec.name!r}: space {self.name!r} knows choices, no networks")
        return architecture
