"""The score of a network cut out of a supernet: its own BN statistics first, taken from images."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import nn

from nas.data.load import DataSet
from nas.network.at_once import images_at_once
from nas.network.builder import Network
from nas.training.batches import Batches
from nas.training.recipe import Recipe
from nas.training.trainer import Trainer, pick_precision

CALIBRATION = 256
"""Training images that BN's statistics are taken from: a channel's mean is then of 256 values or more."""


class SubnetScorer:
    """Scores networks with the weights that they have.

    The shared statistics are of many networks, so each one's BN statistics are taken anew from the same
    training images, not augmented (Yu & Huang 2019, Universally Slimmable Networks, section 3.2).

    Args:
        batches: of the data; the held-out images are scored.
        recipe: whose precision and memory format are used.
        images: to take statistics from, at most.
    """

    def __init__(self, batches: Batches, recipe: Recipe, images: int = CALIBRATION) -> None:
        self._batches = batches
        self._recipe = replace(recipe, ema=0.0, compile=False)
        self._calibration = Batches(calibration_data(batches.data, images), self._recipe, batches.device, 0)

    def __call__(self, model: Network) -> dict[str, float]:
        """As `Trainer.evaluate`, of the held-out images; the model's statistics are changed."""
        recalibrate(model, self._calibration, self._recipe)
        return Trainer(model, self._batches, self._recipe).evaluate("held_out")


def calibration_data(data: DataSet, images: int) -> DataSet:
    """A data set whose held-out images are training images, drawn once and for all."""
    return replace(data, held_out=data.train).subset(1.0, images)


@torch.no_grad()
def recalibrate(model: Network, batches: Batches, recipe: Recipe) -> None:
    """Take BN's statistics from all `held_out` images, each batch counting the same; nothing is dropped.

    Args:
        model: it is moved to the batches' device, and put in evaluation mode.
        batches: of the images.
        recipe: memory format and precision.
    """
    device, precision = batches.device, pick_precision(batches.device) if recipe.mixed_precision else None
    form = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model.to(device=device, memory_format=form).eval()  # type: ignore[call-overload]
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    autocast = nullcontext() if precision is None else torch.autocast(device.type, precision)
    at_once = min(recipe.batch, images_at_once(model.spec, batches.data.resolution))
    with autocast:
        for images, _ in batches.evaluation("held_out", max(2, at_once)):
            if len(images) > 1:  # BN may need more than one value
                model(images.to(memory_format=form))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
