"""Square images in memory at another size: bilinear, and where they shrink a wider triangle.

The filter is that of Pillow's BILINEAR and of torch's antialiased interpolation, in floats to the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PART = 1024


def resize_squares(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Images uint8 (N, C, S, S) as uint8 (N, C, side, side)."""
    count, channels, _, before = images.shape
    weights = _weights(before, side)
    # filled part by part: the floats take four times the space, and small pieces would stay with malloc
    resized = np.empty((count, channels, side, side), np.uint8)
    for start in range(0, count, _PART):
        part = weights @ images[start : start + _PART].astype(np.float32) @ weights.T
        resized[start : start + _PART] = np.rint(part).clip(0, 255)
    return resized


def _weights(before: int, after: int) -> NDArray[np.float32]:
    """What each pixel of a row takes of the old ones, (after, before)."""
    scale = before / after
    reach = max(1.0, scale)
    centres = (np.arange(after) + 0.5) * scale
    distance = np.abs(np.arange(before) + 0.5 - centres[:, None]) / reach
    shares = (1 - distance).clip(0)
    weights: NDArray[np.float32] = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return weights
