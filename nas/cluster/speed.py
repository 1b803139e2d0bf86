"""Training speed measured where trials will run: as Ray tasks, so many at once as there will be trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import ray

from nas.training.recipe import Recipe
from nas.training.speed import Speed, measure_speed
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

_MOST = 8
"""Measurements at once; beyond, what trials take from each other doesn't change much."""

_PATIENCE = 300
"""Seconds for processes to start, beside ten times those of the measurement."""


@dataclass(frozen=True)
class Devices:
    """What the connected cluster has.

    Attributes:
        cpus, gpus: of all nodes.
        nodes: how many.
    """

    cpus: int
    gpus: int
    nodes: int


def count_devices() -> Devices:
    """Of the connected cluster."""
    total = ray.cluster_resources()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return Devices(int(total.get("CPU", 0)), int(total.get("GPU", 0)), len(nodes))


def speeds_on_ray(
    specs: Sequence[NetworkSpec],
    recipe: Recipe,
    seconds: float,
    at_once: int = 1,
    cpus: float = 1,
    gpus: float = 0,
) -> Speed:
    """As `measure_speed`, the mean over so many measurements at once.

    Args:
        specs, recipe, seconds: as there.
        at_once: measurements, at most eight run.
        cpus, gpus: of each.

    Raises:
        InputError: a measurement failed, or the cluster had no room for it in time; with the reason.
    """
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(measure_speed)
    threads = max(1, int(cpus))
    asked = [task.remote(list(specs), recipe, seconds, threads) for _ in range(min(at_once, _MOST))]
    try:
        found: list[Speed] = ray.get(asked, timeout=_PATIENCE + 10 * seconds)
    except ray.exceptions.GetTimeoutError:
        raise InputError(
            f"measuring the training speed: the cluster had no room for {len(asked)} times {cpus:g} CPUs and "
            f"{gpus:g} GPUs within {_PATIENCE + 10 * seconds:.0f} s: other work has them"
        ) from None
    except ray.exceptions.RayError as error:
        cause = str(error).strip().splitlines()[-1]
        raise InputError(f"measuring the training speed failed: {cause}") from None
    rates = zip(*(one.rates for one in found), strict=True)
    return Speed(tuple(map(mean, rates)), mean(one.share for one in found))
