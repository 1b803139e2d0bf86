"""How fast networks train here: a few steps of some of them on images of noise, timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from nas.data.dataset import ArraySplit, DataSet
from nas.training.recipe import Recipe
from search_spaces.spec import NetworkSpec

_STEPS = 2
"""Before the timed ones: memory is allocated, on a GPU kernels are chosen and steps recorded."""


@dataclass(frozen=True)
class Speed:
    """How fast networks trained.

    Attributes:
        rates: training images a second of each network.
        share: of the CPUs that were meant for it, which the process had; less than 1 where others took them,
            or where a GPU was waited for.
    """

    rates: tuple[float, ...]
    share: float


def measure_speed(specs: Sequence[NetworkSpec], recipe: Recipe, seconds: float, threads: int = 1) -> Speed:
    """Train each network for some steps on the device that this process sees.

    Args:
        specs: networks as they are trained (a proxy has been applied).
        recipe: of which batch, optimizer and precision matter.
        seconds: for all networks together, setting up not counted.
        threads: of the CPU.
    """
    import torch

    from nas.network.builder import build
    from nas.training.batches import Batches
    from nas.training.trainer import Trainer, pick_device

    torch.set_num_threads(threads)
    rates, used, taken = [], 0.0, 0.0
    for spec in specs:
        batches = Batches(_noise(spec, recipe.batch), recipe, pick_device(), 0)
        trainer = Trainer(build(spec, 0, recipe.identity), batches, recipe)
        total = torch.zeros((), device=trainer.device)
        images, began, cpu = 0, 0.0, 0.0
        for step in count():
            if step == _STEPS:
                total.item()  # waits for the device
                began, cpu = time.perf_counter(), time.process_time()
            for batch, labels in batches.train(step):
                trainer.step(batch, labels, 1e-4, total)
                images += len(labels) if step >= _STEPS else 0
            if images and time.perf_counter() - began >= seconds / len(specs):
                break
        total.item()
        wall = time.perf_counter() - began
        rates.append(images / wall)
        used, taken = used + time.process_time() - cpu, taken + wall
    return Speed(tuple(rates), used / (taken * threads))


def _noise(spec: NetworkSpec, images: int) -> DataSet:
    side, rng = spec.resolution, np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, spec.in_channels, side, side), dtype=np.uint8)
    split = ArraySplit(pixels, rng.integers(0, spec.num_classes, images))
    mean = (0.5,) * spec.in_channels
    return DataSet(
        *("noise", split, split, split, spec.num_classes, spec.in_channels, side, mean, mean),
        flips=True,
        digest="",
    )
