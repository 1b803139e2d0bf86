"""Which networks of a space a supernet is trained on in each step: the sandwich rule, with fair choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nas.network.cost import cost
from nas.network.cost_words import si
from nas.network.largest import largest_architecture
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

PHASES = ("none", "kernels", "depths", "all")
"""What is open in each quarter of a training with progressive shrinking."""
BAND = 0.1
"""To both sides of a target; the width within which rankings are judged at equal cost, too."""
_TRIES = 64
"""Random networks that are drawn for one within the band; else the nearest of them is taken."""
_KERNELS = ("kernel", "start_kernel")


class PathSampler:
    """Draws the architectures of each training step.

    The sandwich rule (Yu & Huang 2019, Universally Slimmable Networks, section 4.1): the largest, the
    smallest and random ones between. Every decision's choices are dealt out of a shuffled pack, so that all
    are drawn equally often (as in Chu et al. 2021, FairNAS: strict fairness). With a target every other
    random network is one that costs about as much, since those are the ones to be told apart (Wang et al.
    2021, AttentiveNAS, section 3: training attends to what the search asks for).

    Args:
        space: of the networks.
        size: of a network; what largest and smallest mean.
        count: architectures of a step.
        progressive: the largest network alone first, then kernels, depths and all else besides, a quarter of
            the epochs each (Cai et al. 2020, Once-for-All, section 3.3).
        epochs: of the training.
        target: MACs of full networks that every other random network has, within 10%.

    Attributes:
        largest, smallest: of all networks.

    Raises:
        InputError: fewer than two architectures a step, or networks of this space don't cost as much.
    """

    def __init__(
        self,
        space: StagedSpace,
        size: Callable[[NetworkSpec], float],
        count: int = 4,
        progressive: bool = False,
        epochs: int = 1,
        target: float | None = None,
    ) -> None:
        check_paths(count)
        if target is not None:
            check_target(space, target)
        self._target = target
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
        drawn = 0
        while True:
            if phase == "none":
                yield [self.largest]
                continue
            random = []
            for _ in range(self.count - 2):
                drawn += 1
                if self._target is not None and drawn % 2 == 0:
                    random.append(self._near(self._target, phase, draw))
                else:
                    random.append(self._mixed(pack.deal(), phase))
            yield [self.largest, self._smallest[phase], *random]

    def _near(self, target: float, phase: str, draw: np.random.Generator) -> Architecture:
        """A random architecture that costs about `target`, as far as what is open allows."""
        sizes = [len(decision) for decision in self.space.decisions]
        found: tuple[float, Architecture] | None = None
        for _ in range(_TRIES):
            architecture = self._mixed(draw.integers(sizes).tolist(), phase)
            far = abs(cost(self.space.decode(architecture)).macs / target - 1)
            if far <= BAND:
                return architecture
            if found is None or far < found[0]:
                found = far, architecture
        assert found is not None
        return found[1]

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


def check_target(space: StagedSpace, target: float) -> None:
    """Raise `InputError` for MACs that no network of the space has, or as good as none."""

    def macs(spec: NetworkSpec) -> float:
        return cost(spec).macs

    high = macs(space.decode(largest_architecture(space, macs)))
    low = macs(space.decode(largest_architecture(space, lambda spec: -macs(spec))))
    if not low <= target <= high:
        raise InputError(
            f"target {si(target)}: expected MACs of networks of {space.name}, {si(low)} to {si(high)}"
        )


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
