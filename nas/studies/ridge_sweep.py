"""Which of a search's networks are good whatever the device: its fronts by the roofline at many ridge points.

MobileNetV4's argument (Qin et al. 2024, section 3): devices differ most in the ridge point, and a network
that is on the front at all of them needs no other one for the next device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from controller.pareto import pareto_front
from nas.network.analytic import check_ridge
from nas.network.roofline import LayerWork, network_work, roofline
from nas.search.trial import Scored
from search_spaces.errors import InputError, shown
from search_spaces.spec import NetworkSpec

SWEEP = "5..500"
"""Ridge points from a CPU core to an accelerator's, in MACs per byte of fp32."""
_MOST = 50


@dataclass(frozen=True)
class SweptNetwork:
    """A network that is on a front of the sweep.

    Attributes:
        record: of its trial.
        rooflines: MACs by the roofline, by ridge point.
        good_at: the ridge points at which no other network has less cost at the same or a higher accuracy.
        moved: bytes of one image, fp32.
    """

    record: Scored
    rooflines: dict[float, int]
    good_at: tuple[float, ...]
    moved: int

    @property
    def everywhere(self) -> bool:
        """Whether it is on the front at all of them."""
        return len(self.good_at) == len(self.rooflines)


def parse_ridges(text: str) -> tuple[float, ...]:
    """`5,20,100`, or `5..500`: the ends and 1, 2 and 5 times the powers of ten between them.

    Raises:
        InputError: neither, or numbers out of their range, or not rising.
    """
    number = r"\d+(?:\.\d+)?"
    if match := re.fullmatch(rf"({number})\.\.({number})", text):
        low, high = (check_ridge(float(end)) for end in match.groups())
        steps = [factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5)]
        points = [low, *(step for step in steps if low < step < high), high]
    elif re.fullmatch(rf"{number}(,{number})*", text):
        points = [check_ridge(float(part)) for part in text.split(",")]
    else:
        raise InputError(f"ridges {shown(text)}: expected ridge points such as 5,50,500, or {SWEEP}")
    if not 2 <= len(points) <= _MOST or any(a >= b for a, b in pairwise(points)):
        raise InputError(f"ridges {shown(text)}: expected 2 to {_MOST} rising numbers")
    return tuple(points)


def sweep_ridges(
    records: Iterable[Scored], spec_of: Callable[[Scored], NetworkSpec], ridges: Sequence[float]
) -> list[SweptNetwork]:
    """The networks on the front of accuracy and roofline at some ridge point, those at most points first.

    Args:
        records: finished trials; of equal networks the first counts.
        spec_of: their full networks.
        ridges: the points.
    """
    first: dict[str, Scored] = {}
    for record in records:
        first.setdefault(record.digest, record)
    works: list[tuple[Scored, list[LayerWork]]] = [
        (record, [work for part in network_work(spec_of(record)) for work in part])
        for record in first.values()
    ]
    costs = {r.trial: {ridge: roofline(work, ridge) for ridge in ridges} for r, work in works}
    fronts: dict[int, list[float]] = {}
    for ridge in ridges:
        for place in pareto_front([(r.accuracy, -float(costs[r.trial][ridge])) for r, _ in works]):
            fronts.setdefault(works[place][0].trial, []).append(ridge)
    found = [
        SweptNetwork(r, costs[r.trial], tuple(fronts[r.trial]), sum(w.moved for w in work))
        for r, work in works
        if r.trial in fronts
    ]
    return sorted(found, key=lambda each: (-len(each.good_at), -each.record.accuracy))
