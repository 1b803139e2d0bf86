"""Augmentation and normalisation of whole batches, on the device where they will be used."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 images (N, C, H, W) as floats with the data set's mean and std (each (C,), of values in 0..1)."""
    scale = (1 / (255 * std)).view(1, -1, 1, 1)
    return images * scale - (mean / std).view(1, -1, 1, 1)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image by its own whole number of pixels in both directions, zeros coming in.

    Args:
        images: (N, C, H, W).
        pixels: at most so far; 0 returns the images as they are.
        generator: a CPU generator, so that the same seed gives the same shifts on every device.
    """
    if not pixels:
        return images
    n, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pixels,) * 4)
    offsets = torch.randint(2 * pixels + 1, (2, n, 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    index = torch.arange(n, device=images.device).view(n, 1, 1)
    # indexed dimensions come first: (N, H, W, C), moved back without a copy
    return padded[index, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image (N, C, H, W) left to right with a chance of one half."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.to(images.device).view(-1, 1, 1, 1), images.flip(-1), images)
