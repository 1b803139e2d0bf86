"""What a training step is made of beside the gradient: the rate's schedule, the optimizer, frozen parts."""

from __future__ import annotations

import math

from torch import nn

from nas.network.builder import Network
from nas.network.cost import cost
from nas.training.fused import SGD, AdamW, Optimizer
from nas.training.recipe import Recipe
from nas.training.rmsprop import RMSpropTF
from search_spaces.errors import InputError


def lr_factor(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment, as a share of its peak.

    Args:
        recipe: schedule and warm-up.
        epoch: epochs done, with the fraction of the running one.
    """
    warmup = min(recipe.warmup, recipe.epochs / 2)
    if epoch < warmup:
        return max(epoch, 1e-3) / warmup
    if recipe.schedule == "cosine":
        done = (epoch - warmup) / max(recipe.epochs - warmup, 1e-9)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if recipe.schedule == "exponential":
        return float(recipe.decay_rate ** ((epoch - warmup) // recipe.decay_epochs))
    return 1.0


def make_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer; weight decay on matrices and kernels only, frozen weights left out.

    Each group's `share` is its part of the learning rate (`layer_decay`).
    """
    groups = []
    for share, weights in _by_depth(model, recipe.layer_decay):
        trained = [p for p in weights if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        groups.append({"params": decayed, "weight_decay": recipe.weight_decay, "share": share})
        groups.append({"params": others, "weight_decay": 0.0, "share": share})
    groups = [group for group in groups if group["params"]]
    lr = recipe.peak_lr
    if recipe.optimizer == "rmsprop":
        return RMSpropTF(groups, lr, momentum=recipe.momentum)
    if recipe.optimizer == "sgd":
        return SGD(groups, lr, momentum=recipe.momentum)
    return AdamW(groups, lr, betas=(recipe.momentum, 0.999))


def _parts(model: nn.Module) -> list[nn.Module]:
    """Stem, stages and head of a `Network`; any other module as a whole."""
    if isinstance(model, Network):
        return [model.stem, *model.stages, model.head]
    return [model]


def least_images(model: nn.Module, frozen: int, resolution: int | None = None) -> int:
    """Images that a step needs for BN, whose statistics are of more than one value in each channel.

    Two where a trained part's feature map is a single pixel, else one; so for modules that are no `Network`.
    """
    if not isinstance(model, Network):
        return 1
    sizes = [part.resolution for part in cost(model.spec, resolution).stages][
        :-1
    ]  # the last is of the classifier
    sizes = [*sizes, sizes[-1]] if model.spec.head_channels else sizes  # the head's own convolution
    if model.spec.pooled_norm:
        return 2  # BN behind the pooling
    return 2 if 1 in sizes[frozen:] else 1


def _by_depth(model: nn.Module, decay: float) -> list[tuple[float, list[nn.Parameter]]]:
    """(share of the learning rate, weights) from the input to the head; all in one if they are the same."""
    if decay == 1:
        return [(1.0, list(model.parameters()))]
    parts = _parts(model)
    return [(decay ** (len(parts) - 1 - i), list(part.parameters())) for i, part in enumerate(parts)]


def freeze(model: nn.Module, count: int) -> list[nn.Module]:
    """Keep the weights of the first `count` parts (1: the stem, then the stages) as they are.

    Returns:
        the parts, to be kept in evaluation mode.

    Raises:
        InputError: `count` is no number of parts before the head.
    """
    parts = _parts(model)
    if not isinstance(count, int) or not 0 <= count < len(parts):
        raise InputError(f"freeze {count!r}: expected an integer from 0 to {len(parts) - 1}")
    for part in parts[:count]:
        part.requires_grad_(False)
    return parts[:count]
