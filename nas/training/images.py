"""Image files to tensors: only as many pixels are decoded as the crop needs."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_SCALE, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
_CENTRE = 224 / 256
"""Share of the shorter side that evaluation sees, the usual one."""

Box = tuple[float, float, float, float]


class UnreadableImageError(Exception):
    """A file that is no whole image; the message says why."""


def read_image(content: str | bytes, resolution: int, train: bool) -> Tensor:
    """An image as uint8 (3, resolution, resolution): a random resized crop, or the centre.

    The crop (Szegedy et al. 2015, section 6, as torchvision's RandomResizedCrop) is drawn from torch's
    random state before anything is decoded; a JPEG is then decoded at the smallest of its eighths that
    leaves the crop enough pixels, which is several times as fast for large photographs.

    Args:
        content: a path, or the file's bytes.
        resolution: pixels.
        train: crop at random.

    Raises:
        UnreadableImageError: missing, truncated or no image.
    """
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            width, height = image.size
            left, top, right, bottom = _random_box(width, height) if train else _centre_box(width, height)
            shrink = min(right - left, bottom - top) / resolution
            if shrink > 1:
                image.draft("RGB", (math.ceil(width / shrink), math.ceil(height / shrink)))
            across, down = image.size[0] / width, image.size[1] / height
            box: Box = (left * across, top * down, right * across, bottom * down)
            pixels = image.convert("RGB").resize(
                (resolution, resolution), Image.Resampling.BILINEAR, box, reducing_gap=2.0
            )
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(str(error) or type(error).__name__) from None
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def _random_box(width: int, height: int) -> Box:
    area = width * height
    for _ in range(10):
        target = area * _uniform(*_SCALE)
        ratio = math.exp(_uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        w, h = math.sqrt(target * ratio), math.sqrt(target / ratio)
        if w <= width and h <= height:
            left, top = _uniform(0, width - w), _uniform(0, height - h)
            return left, top, left + w, top + h
    side_w, side_h = min(width, height * _RATIO[1]), min(height, width / _RATIO[0])
    left, top = (width - side_w) / 2, (height - side_h) / 2
    return left, top, left + side_w, top + side_h


def _centre_box(width: int, height: int) -> Box:
    side = min(width, height) * _CENTRE
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def encoded(image: Any) -> str | bytes:
    """What Hugging Face's undecoded image column holds: bytes, or else a path."""
    content: str | bytes = image["bytes"] or image["path"]
    return content
