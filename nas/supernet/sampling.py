"""Which networks of a space a supernet is trained on in each step: the sandwich rule, with fair choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nas.network.largest import largest_architecture
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

PHASES = ("none", "kernels", "depths", "all")
"""What is open in each quarter of a training with progressive shrinking."""
_KERNELS = ("kernel", "start_kernel")


class PathSampler:
    """Draws the architectures of each training step.

    The sandwich rule (Yu & Huang 2019, Universally Slimmable Networks, section 4.1): the largest, the
    smallest and random ones between. Every decision's choices are dealt out of a shuffled pack, so that all
    are drawn equally often (as in Chu et al. 2021, FairNAS: strict fairness).

    Args:
        space: of the networks.
        size: of a network; what largest and smallest mean.
        count: architectures of a step.
        progressive: the largest network alone first, then kernels, depths and all else besides, a quarter of
            the epochs each (Cai et al. 2020, Once-for-All, section 3.3).
        epochs: of the training.

    Attributes:
        largest, smallest: of all networks.

    Raises:
        InputError: fewer than two architectures a step.
    """

    def __init__(
        self,
        space: StagedSpace,
        size: Callable[[NetworkSpec], float],
        count: int = 4,
        progressive: bool = False,
        epochs: int = 1,
    ) -> None:
        check_paths(count)
        self.space, self.count = space, count
        self._progressive, self._epochs = progressive, epochs
        self.largest = largest_architecture(space, size)
        self._smallest: dict[str, Architecture] = {}
        for phase in PHASES:
            self._smallest[phase] = largest_architecture(
                space, lambda spec: -size(spec), self.largest, self._open(phase)
            )
        self.smallest = self._smallest["all"]

    def phase(self, epoch: int) -> str:
        """One of `PHASES`; epochs count from 0."""
        return PHASES[min(3, 4 * epoch // self._epochs)] if self._progressive else "all"

    def epoch(self, seed: int, epoch: int) -> Iterator[list[Architecture]]:
        """The architectures of one step after the other, the largest first; decided by seed and epoch."""
        draw = np.random.default_rng((seed, epoch))
        phase = self.phase(epoch)
        pack = _Packs([len(decision) for decision in self.space.decisions], draw)
        while True:
            if phase == "none":
                yield [self.largest]
                continue
            random = [self._mixed(pack.deal(), phase) for _ in range(self.count - 2)]
            yield [self.largest, self._smallest[phase], *random]

    def _mixed(self, drawn: list[int], phase: str) -> Architecture:
        """The drawn choices where a decision is open, the largest network's elsewhere."""
        places = self._open(phase)
        return self.space.canonical(
            Architecture(
                index if place in places else kept
                for place, (index, kept) in enumerate(zip(drawn, self.largest, strict=True))
            )
        )

    def _open(self, phase: str) -> frozenset[int]:
        """The positions of decisions that are open; one that decides several fields opens with the last."""
        named: dict[int, set[str]] = {}
        for key in self.space.options:
            if (place := self.space.place(key)) is not None:
                named.setdefault(place[0], set()).add(key[1].rpartition(".")[2])
        meant = {"none": set(), "kernels": {*_KERNELS}, "depths": {*_KERNELS, "repeats"}}
        return frozenset(place for place, names in named.items() if phase == "all" or names <= meant[phase])


def check_paths(count: int) -> None:
    """Raise `InputError` for a number of networks that a step can't have."""
    if not 2 <= count <= 64:
        raise InputError(f"paths {count!r}: expected an integer from 2 to 64")


class _Packs:
    """For each decision a shuffled pack of its choices, a new one when all are dealt."""

    def __init__(self, lengths: list[int], draw: np.random.Generator) -> None:
        self._lengths, self._draw = lengths, draw
        self._left: list[list[int]] = [[] for _ in lengths]

    def deal(self) -> list[int]:
        """A choice of each."""
        for number, length in enumerate(self._lengths):
            if not self._left[number]:
                self._left[number] = self._draw.permutation(length).tolist()
        return [pack.pop() for pack in self._left]
