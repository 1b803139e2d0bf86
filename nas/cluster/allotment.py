"""What each trial of a search gets of the connected cluster: CPUs, a part of a GPU, processes that decode."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from nas.cluster.gpus import default_gpus
from nas.cluster.nodes import Resources, room
from nas.runs.placement import Placement
from nas.search.evaluator import Evaluator
from search_spaces.space import SearchSpace

_MOST = 8
"""Processes that decode for a trial where nobody says: they keep up with a GPU, or memory is what's short."""


class Allotment(NamedTuple):
    """What a trial gets.

    Attributes:
        resources: that Ray is asked for.
        workers: processes that decode image files for it; 0 where it reads none.
        remarks: what was decided here, a line each for people.
    """

    resources: Resources
    workers: int
    remarks: list[str]


def allot(placement: Placement, evaluator: Evaluator, space: SearchSpace) -> Allotment:
    """What a trial of a search gets, as its placement says, and where it doesn't by what there is.

    Raises:
        InputError: a number out of its range.
    """
    asked = placement.workers if evaluator.decodes else None
    resources = Resources(
        placement.concurrent,
        1 if placement.cpus is None else placement.cpus,
        placement.gpus or 0,
        placement.autoscaling,
        asked or 0,
    )
    remarks = []
    if placement.gpus is None:
        gpus, remark = default_gpus(resources, evaluator.gpu_memory(space))
        resources = replace(resources, gpus=gpus)
        remarks = [] if remark is None else [remark]
    if not evaluator.decodes:
        return Allotment(resources, 0, remarks)
    workers, resources, remark = with_decoding(resources, asked)
    return Allotment(resources, workers, [*remarks, remark])


def with_decoding(resources: Resources, workers: int | None) -> tuple[int, Resources, str]:
    """Processes that decode for a trial, the resources with a CPU for each, and a line for people.

    Where nobody says, they take the CPUs that trials leave free on each node, with as many at once as there
    would be without them. Where none is left they share a trial's own, and Ray is asked for no more.

    Args:
        resources: of a trial, with its part of a GPU.
        workers: how many were asked for; None: it is decided here.
    """
    if workers is not None:
        asked = f"decoding: {_processes(workers)} for each trial (--workers)"
        return workers, replace(resources, decoding=workers), asked
    wanted = resources.concurrent or room(resources)
    free = 0
    # a node that Ray's autoscaler is to add may be smaller than those that are there
    while wanted and free < _MOST and not resources.autoscaling:
        if room(replace(resources, decoding=free + 1)) < wanted:
            break
        free += 1
    if free:
        beside = f"decoding: {_processes(free)} for each trial, on CPUs that were free"
        return free, replace(resources, decoding=free), beside
    own = max(1, int(resources.cpus) - 1)
    return (
        own,
        resources,
        f"decoding: {_processes(own)} for each trial, on its own CPUs (--workers adds some)",
    )


def _processes(count: int) -> str:
    if not count:
        return "no process of its own"
    return f"{count} process{'es' * (count > 1)}"
