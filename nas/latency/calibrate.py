"""A latency table from a few measured networks: the roofline, calibrated to a device.

Where a table by `nas.latency.build_table` measures every block of a space, this one measures about ten
networks and fits what the roofline leaves open: how fast the device is, its ridge point, how much slower
depthwise convolutions are than dense ones, how much slower layers without arithmetic, and what a call of a
layer costs. Few networks can't tell all of these, so each has a usual value, from which it goes as far as
they say: the most likely values under log-normal priors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.latency.build_table import fidelity, measure_networks
from nas.latency.parts import Part, parts, space_parts
from nas.latency.setting import Setting
from nas.latency.table import LatencyTable
from nas.network.analytic import RIDGE, ROOFLINE, analytic_cost
from nas.network.roofline import LayerWork, block_work, head_work, network_work, stem_work
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

_USUAL = np.log([1e-8, RIDGE, 1.0, 1.0, 1e4])
"""Milliseconds per MAC, ridge, factors of depthwise MACs and of bytes without MACs, MACs of a call."""
_SPREAD = np.array([10.0, 1.0, 0.7, 0.7, 1.4])
"""Standard deviations of their logarithms; the speed is for the networks alone to say."""
_NOISE = 0.05
"""Of a measurement and of the roofline itself, relative."""
_STARTS = (0.5, RIDGE, 10 * RIDGE)
_WITHOUT = ("pool", "scale", "add")


@dataclass(frozen=True)
class CalibratedRoofline:
    """A device's roofline, in milliseconds.

    Attributes:
        scale: milliseconds per dense MAC.
        ridge: dense MACs in the time of one byte.
        depthwise: how much longer a MAC of a depthwise convolution takes.
        without: how much longer a byte of a layer without MACs takes.
        call: dense MACs in the time that calling a layer takes.
    """

    scale: float
    ridge: float
    depthwise: float
    without: float
    call: float

    def __call__(self, works: Iterable[LayerWork]) -> float:
        """What layers take one after the other."""
        return float(_predict(_table([list(works)]), self._logarithms())[0])

    def _logarithms(self) -> NDArray[np.float64]:
        return np.log([self.scale, self.ridge, self.depthwise, self.without, self.call])

    @staticmethod
    def fitted(specs: Sequence[NetworkSpec], latencies: NDArray[np.float64]) -> CalibratedRoofline:
        """The most likely one, given a few networks' measured latencies (milliseconds, shape (n,)).

        Raises:
            InputError: fewer than 3 networks, or latencies that are not positive.
        """
        from scipy.optimize import least_squares

        if len(specs) < 3 or not (latencies > 0).all():
            raise InputError(
                f"networks to calibrate with: {len(specs)}: expected at least 3, measured above 0"
            )
        table = _table([[work for part in network_work(spec) for work in part] for spec in specs])
        measured = np.log(latencies)

        def gaps(values: NDArray[np.float64]) -> NDArray[np.float64]:
            wrong = (np.log(_predict(table, values)) - measured) / _NOISE
            return np.concatenate([wrong, (values - _USUAL) / _SPREAD])

        found = []
        for ridge in _STARTS:  # where most layers wait for memory, the depthwise factor is flat
            start = _USUAL.copy()
            start[1] = np.log(ridge)
            start[0] += float(np.mean(measured - np.log(_predict(table, start))))
            found.append(least_squares(gaps, start))
        best = min(found, key=lambda each: float(each.cost))
        return CalibratedRoofline(*map(float, np.exp(best.x)))


_Works = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def _table(networks: Sequence[Sequence[LayerWork]]) -> _Works:
    """MACs, bytes, kinds (0 dense, 1 depthwise, 2 without MACs, 3 none), shape (networks, most layers)."""
    shape = len(networks), max(map(len, networks))
    macs, moved, kinds = np.zeros(shape), np.zeros(shape), np.full(shape, 3)
    for row, works in enumerate(networks):
        for column, work in enumerate(works):
            macs[row, column], moved[row, column] = work.macs, work.moved
            kinds[row, column] = 2 if work.kind in _WITHOUT else int(work.kind == "depthwise")
    return macs, moved, kinds


def _predict(table: _Works, logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Milliseconds of each network, shape (n,)."""
    macs, moved, kinds = table
    scale, ridge, depthwise, without, call = np.exp(logarithms)
    arithmetic = macs * np.where(kinds == 1, depthwise, 1.0)
    memory = ridge * moved * np.where(kinds == 2, without, 1.0)
    layers = np.maximum(arithmetic, memory) + call * (kinds < 3)
    return np.asarray(scale * layers.sum(axis=1), dtype=np.float64)


def part_work(part: Part) -> tuple[LayerWork, ...]:
    """The layers' work of a part of a network."""
    if part.block is not None:
        return block_work(part.block, part.size)[1]
    if part.is_stem:
        return stem_work(part.spec.stem, part.channels, part.size)[1]
    return head_work(part.spec, part.channels, part.size)


def calibrate_table(
    space: StagedSpace | ListedSpace,
    setting: Setting,
    references: Iterable[NetworkSpec] = (),
    measured: int = 10,
    checked: int = 50,
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> LatencyTable:
    """The table of a space from a few of its networks, with its error on others.

    Args:
        space: whose networks are measured, and whose parts are predicted.
        setting: as `nas.latency.runtimes.prepare` gave it.
        references: networks that shall be predictable too.
        measured: random networks to fit to.
        checked: others, to check it; `about` says how well they were predicted, and beside that how well
            the roofline ranked them before anything was measured.
        seed: of the random networks.
        tick: called with the number of networks that were just measured.

    Raises:
        InputError: as `CalibratedRoofline.fitted`.
    """
    rng = np.random.default_rng(seed)
    networks = [space.decode(space.sample(rng)) for _ in range(measured + checked)]
    latencies = measure_networks(networks, setting, tick)
    fitted = CalibratedRoofline.fitted(networks[:measured], latencies[:measured])
    chosen = {part.key: part for part in space_parts(space)}
    for spec in references:
        chosen |= {part.key: part for part in parts(spec)}
    entries = {key: fitted(part_work(part)) for key, part in chosen.items()}
    table = LatencyTable(setting, entries)
    predicted = np.array([table(network) for network in networks[measured:]])
    plain = np.array([analytic_cost(network, ROOFLINE) for network in networks[measured:]])
    about = {
        "space": space.name,
        "calibrated": measured,
        "roofline": vars(fitted),
        "uncalibrated_rank_correlation": fidelity(plain, latencies[measured:])["rank_correlation"],
    }
    return replace(table, about=about | fidelity(predicted, latencies[measured:]))
