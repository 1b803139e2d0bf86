"""Augmentation and normalisation of whole batches, on the device where they will be used.

What is random of an image is drawn there too: a number drawn on the CPU would have to be waited for at every
step. A policy's choices of operations are Python's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nas.training.recipe import Recipe

_GROUPS = 16
"""A policy draws its operations for a whole tensor, so a batch is cut into so many, each with its own."""


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 images (N, C, H, W) as floats with the data set's mean and std (each (C,), of values in 0..1)."""
    scale, shift = 1 / (255 * std), mean / std
    if images.device.type != "cpu":
        return images * scale.view(1, -1, 1, 1) - shift.view(1, -1, 1, 1)
    # of one type and in place it goes nearly three times as fast, the same to the bit
    floats = images.to(torch.float32, copy=True)
    if floats.is_contiguous(memory_format=torch.channels_last):
        width = floats.shape[-1]  # whole rows at once: three channels alone fill no vector
        floats.permute(0, 2, 3, 1).flatten(2).mul_(scale.repeat(width)).sub_(shift.repeat(width))
        return floats
    return floats.mul_(scale.view(1, -1, 1, 1)).sub_(shift.view(1, -1, 1, 1))


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image by its own whole number of pixels in both directions, zeros coming in.

    Args:
        images: square ones, (N, C, S, S).
        pixels: at most so far; 0 returns the images as they are.
        generator: on the images' device.
    """
    if not pixels:
        return images
    return random_crop(torch.nn.functional.pad(images, (pixels,) * 4), images.shape[-1], generator)


def random_crop(
    images: Tensor, side: int, generator: torch.Generator, chosen: Tensor | None = None
) -> Tensor:
    """A square of `side` pixels of each square image (N, C, S, S), each at its own place.

    Args:
        images: one or more, S at least `side`.
        side: pixels; S returns the images as they are.
        generator: on the images' device.
        chosen: indices of the images, (n,), which are copied no further than their squares; None: all.
    """
    room = images.shape[-1] - side
    if not room:
        return images if chosen is None else images[chosen]
    if chosen is None:
        chosen = torch.arange(len(images), device=images.device)
    if not (n := len(chosen)):
        return images.new_empty((0, images.shape[1], side, side))
    offsets = torch.randint(room + 1, (2, n, 1), generator=generator, device=images.device)
    if images.device.type == "cpu":  # eight times as fast as by an index, a launch for each image on a GPU
        corners = zip(chosen.tolist(), *offsets[:, :, 0].tolist(), strict=True)
        return torch.stack([images[index, :, y : y + side, x : x + side] for index, y, x in corners])
    rows = offsets[0] + torch.arange(side, device=images.device)
    columns = offsets[1] + torch.arange(side, device=images.device)
    # indexed dimensions come first: (N, H, W, C), moved back without a copy
    return images[chosen.view(n, 1, 1), :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def centre_crop(images: Tensor, side: int) -> Tensor:
    """The square of `side` pixels in the middle of each image (N, C, S, S), without a copy."""
    start = (images.shape[-1] - side) // 2
    return images[..., start : start + side, start : start + side]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image (N, C, H, W) left to right with a chance of one half."""
    chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    if images.device.type != "cpu":
        return torch.where(chosen.view(-1, 1, 1, 1), images.flip(-1), images)
    flipped = images.clone()
    for index in chosen.nonzero()[:, 0].tolist():  # twenty times as fast as all of them and a choice
        flipped[index] = images[index].flip(-1)
    return flipped


class AugmentPolicy:
    """A recipe's augmentation policy; it draws from torch's random state.

    Args:
        name: one of `AUGMENTS` but `none`.
        magnitude: of RandAugment's operations.
    """

    def __init__(self, name: str, magnitude: float = 9.0) -> None:
        from torchvision.transforms import v2  # takes seconds to load

        kinds: dict[str, Any] = {
            "autoaugment": v2.AutoAugment,
            "randaugment": partial(v2.RandAugment, magnitude=round(magnitude)),
            "trivialaugment": v2.TrivialAugmentWide,
        }
        self.policy = kinds[name]()

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images (N, C, H, W), a sixteenth of which share their operations, or one (C, H, W)."""
        if images.ndim == 3:
            return self.policy(images)  # type: ignore[no-any-return]
        return torch.cat([self.policy(group) for group in images.chunk(_GROUPS)])


def make_mixing(recipe: Recipe, num_classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """Mixup and CutMix of a batch, whose labels become shares of classes (N, classes); None without."""
    if not (recipe.mixup or recipe.cutmix):
        return None
    from torchvision.transforms import v2  # takes seconds to load

    kinds = [
        kind(alpha=alpha, num_classes=num_classes)
        for kind, alpha in ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
        if alpha
    ]
    return v2.RandomChoice(kinds)  # type: ignore[no-any-return]


def random_erase(images: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Set a rectangle of some images (N, C, H, W) to zero, the data set's mean once normalised.

    Area from 2% to a third, aspect from 0.3 to 3.3 (Zhong et al. 2020, section 3), each image its own.
    """
    if not chance:
        return images
    n, _, height, width = images.shape
    draw = torch.rand((5, n), generator=generator, device=images.device)
    area = (0.02 + draw[1] * (0.33 - 0.02)) * height * width
    aspect = torch.exp((2 * draw[2] - 1) * math.log(3.3))
    h = (area * aspect).sqrt().clamp(1, height).round()
    w = (area / aspect).sqrt().clamp(1, width).round()
    top, left = (draw[3] * (height - h + 1)).floor(), (draw[4] * (width - w + 1)).floor()
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    inside_rows = (rows >= top[:, None]) & (rows < (top + h)[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < (left + w)[:, None])
    erased = inside_rows[:, :, None] & inside_columns[:, None, :] & (draw[0] < chance)[:, None, None]
    return images.masked_fill(erased.unsqueeze(1), 0)
