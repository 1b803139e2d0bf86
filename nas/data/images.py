"""Image files to arrays: upright, as RGB, and only as many pixels decoded as the crop needs."""

from __future__ import annotations

import io
import math
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.pixels import (
    UnreadableImageError,
    UnsupportedImageError,
    check_kind,
    check_memory,
    formats,
    orientation,
    to_rgb,
    what_is_it,
)
from search_spaces.reading import open_regular

__all__ = [
    "CENTRE",
    "UnreadableImageError",
    "UnsupportedImageError",
    "check_decodes",
    "check_header",
    "encoded",
    "image_size",
    "read_image",
    "read_square",
]

_SCALE, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
CENTRE = 224 / 256
"""Share of the shorter side that evaluation sees, the usual one."""
_HEAD = 1 << 16
_SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)

Box = tuple[float, float, float, float]


def read_image(
    content: str | bytes, resolution: int, crops: random.Random | None = None, centre: float = CENTRE
) -> NDArray[np.uint8]:
    """An image as uint8 (3, resolution, resolution): a random resized crop, or the centre.

    The crop (Szegedy et al. 2015, section 6, as torchvision's RandomResizedCrop) is drawn first; a JPEG is
    then decoded at the smallest of its eighths that leaves the crop enough pixels, which is several times as
    fast for large photographs. The crop is of the image as it is shown (EXIF's orientation); what modes
    become is told in `nas.data.pixels`.

    Args:
        content: a path, or the file's bytes.
        resolution: pixels.
        crops: what a random crop is drawn from; None: the centre.
        centre: of it, the share of the shorter side that the square in the centre has.

    Raises:
        UnreadableImageError: missing, truncated, no image, or of a kind that isn't taken.
    """
    with _opened(content) as image:
        check_kind(image)
        shrinks = image.format in ("JPEG", "MPO")
        if not shrinks:
            check_memory(image)
            image.load()  # a TIFF turns itself while it loads
        turn = orientation(image)
        width, height = image.size
        shown = (height, width) if turn in _SIDEWAYS else (width, height)
        box = _stored(
            _centre_box(*shown, centre) if crops is None else _random_box(*shown, crops), turn, width, height
        )
        shrink = min(box[2] - box[0], box[3] - box[1]) / resolution
        if shrinks and shrink > 1:
            image.draft("RGB", (math.ceil(width / shrink), math.ceil(height / shrink)))
        check_memory(image)
        across, down = image.size[0] / width, image.size[1] / height
        box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        pixels = to_rgb(image).resize(
            (resolution, resolution), Image.Resampling.BILINEAR, box, reducing_gap=2.0
        )
        if turn is not None:
            pixels = pixels.transpose(turn)
    return _planes(pixels)


def read_square(content: str | bytes) -> NDArray[np.uint8]:
    """The largest square in an image's centre as it is, uint8 (3, side, side); errors as `read_image`."""
    with _opened(content) as image:
        check_kind(image)
        check_memory(image)
        image.load()
        turn = orientation(image)
        pixels = to_rgb(image)
        if turn is not None:
            pixels = pixels.transpose(turn)
        side = min(pixels.size)
        left, top = ((length - side) // 2 for length in pixels.size)
        pixels = pixels.crop((left, top, left + side, top + side))
    return _planes(pixels)


def _planes(pixels: Image.Image) -> NDArray[np.uint8]:
    planes: NDArray[np.uint8] = np.array(pixels).transpose(2, 0, 1)
    return planes


def check_header(content: str | bytes) -> None:
    """Open an image without decoding it; raises `UnreadableImageError` where that shows it can't be read."""
    with _opened(content) as image:
        check_kind(image)


def check_decodes(content: str | bytes) -> None:
    """Decode an image, at an eighth of its size where the format allows; errors as `read_image`."""
    with _opened(content) as image:
        check_kind(image)
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        check_memory(image)
        image.load()


def image_size(content: str | bytes) -> tuple[int, int]:
    """Width and height by the file's header; errors as `read_image`."""
    with _opened(content) as image:
        width, height = image.size
        return int(width), int(height)


@contextmanager
def _opened(content: str | bytes) -> Iterator[Any]:
    """The image, while Pillow's errors become ours and its warnings stay unsaid."""
    try:
        with warnings.catch_warnings():
            # of large images, odd EXIF or palettes: an image is read as told here, or it is an error
            warnings.simplefilter("ignore")
            source = io.BytesIO(content) if isinstance(content, bytes) else content
            with Image.open(source, formats=formats()) as image:
                yield image
    except (UnreadableImageError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableImageError(what_is_it(_head(content))) from None
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{error.strerror}: {error.filename}") from None
    except Exception as error:  # what strange bytes make Pillow's readers raise is no fixed list
        raise UnreadableImageError(str(error) or type(error).__name__) from None


def _head(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content[:_HEAD]
    with open_regular(content) as stream:
        return stream.read(_HEAD)


def _stored(box: Box, turn: Image.Transpose | None, width: int, height: int) -> Box:
    """The box of the stored image that a box of the shown one is; `width` and `height` are the stored."""
    left, top, right, bottom = box
    if turn in _SIDEWAYS:
        left, top, right, bottom = top, left, bottom, right
    kinds = Image.Transpose
    if turn in (kinds.FLIP_LEFT_RIGHT, kinds.ROTATE_180, kinds.TRANSVERSE, kinds.ROTATE_90):
        left, right = width - right, width - left
    if turn in (kinds.FLIP_TOP_BOTTOM, kinds.ROTATE_180, kinds.TRANSVERSE, kinds.ROTATE_270):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _random_box(width: int, height: int, crops: random.Random) -> Box:
    area = width * height
    for _ in range(10):
        target = area * crops.uniform(*_SCALE)
        ratio = math.exp(crops.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        w, h = math.sqrt(target * ratio), math.sqrt(target / ratio)
        if w <= width and h <= height:
            left, top = crops.uniform(0, width - w), crops.uniform(0, height - h)
            return left, top, left + w, top + h
    side_w, side_h = min(width, height * _RATIO[1]), min(height, width / _RATIO[0])
    left, top = (width - side_w) / 2, (height - side_h) / 2
    return left, top, left + side_w, top + side_h


def _centre_box(width: int, height: int, share: float) -> Box:
    side = min(width, height) * share
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def encoded(image: Any) -> str | bytes:
    """What Hugging Face's undecoded image column holds: bytes, or else a path.

    Raises:
        UnreadableImageError: neither.
    """
    content: str | bytes | None = image and (image["bytes"] or image["path"])
    if not content:
        raise UnreadableImageError("no image in this row")
    return content
