"""From an image file to a network's input, and from its outputs to names: what a model has to carry with it.

Without it a trained file is numbers: nobody else knows what its classes are called, or how its images were
cropped and normalised. Torch is loaded when an image is prepared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.dataset import ArraySplit, DataSet
from nas.data.images import CENTRE, read_image, read_square
from nas.data.resize import resize_squares
from search_spaces.document import check_fields, check_schema
from search_spaces.errors import InputError, shown
from search_spaces.quoting import printable

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Preparation:
    """How images become inputs, as in the evaluation of the training, and what the outputs mean.

    Attributes:
        resolution: height and width of the input, pixels.
        channels: 3 (RGB), or 1 (grey).
        mean, std: by channel, of values from 0 to 1; an input is (value - mean) / std.
        crop: share of the shorter side that the square in the image's centre has.
        classes: names of the outputs, in their order.

    Raises:
        InputError: a value out of its range.
    """

    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std, self.crop)
        if not (
            isinstance(self.resolution, int)
            and self.resolution > 0
            and self.channels in (1, 3)
            and len(self.mean) == len(self.std) == self.channels
            and all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers)
            and min(self.std) > 0
            and 0 < self.crop <= 1
            and len(self.classes) >= 2
            and all(isinstance(name, str) for name in self.classes)
        ):
            raise InputError(
                f"input {shown(asdict(self))}: expected sizes, colours and names of a classification"
            )

    @classmethod
    def of(cls, data: DataSet, resolution: int | None = None) -> Preparation:
        """As `data` are evaluated; at another resolution if one is given."""
        names = data.classes or tuple(str(index) for index in range(data.num_classes))
        # files that were decoded into memory are evaluated as files
        whole = isinstance(data.train, ArraySplit) and data.stored is None
        crop = 1.0 if whole else CENTRE
        return cls(
            resolution or data.resolution,
            data.in_channels,
            tuple(map(float, data.mean)),
            tuple(map(float, data.std)),
            crop,
            tuple(names),
        )

    def to_document(self) -> dict[str, Any]:
        """As plain data."""
        document = {"schema": SCHEMA_VERSION, **asdict(self)}
        return document | {name: list(document[name]) for name in ("mean", "std", "classes")}

    @staticmethod
    def from_document(document: object, where: str) -> Preparation:
        """Read back; raises `InputError` for what is none."""
        if not isinstance(document, Mapping):
            raise InputError(f"{where}: expected a mapping, found {shown(document)}")
        check_schema(document, where, SCHEMA_VERSION)
        names = ("resolution", "channels", "mean", "std", "crop", "classes")
        values = check_fields(document, where, ("schema", *names))
        del values["schema"]
        for name in ("mean", "std", "classes"):
            if not isinstance(values[name], list | tuple):
                raise InputError(f"{where}: {name} {shown(values[name])}: expected a list")
            values[name] = tuple(values[name])
        # as those of a data set are; a stranger's file may say anything
        values["classes"] = tuple(
            printable(name) if isinstance(name, str) else name for name in values["classes"]
        )
        try:
            return Preparation(**values)
        except (InputError, TypeError) as error:
            raise InputError(f"{where}: {error}") from None

    def image(self, content: str | bytes) -> Tensor:
        """An image file as an input, float (channels, resolution, resolution).

        Args:
            content: a path, or the file's bytes.

        Raises:
            UnreadableImageError: missing, truncated, no image, or of a kind that isn't taken.
        """
        import torch

        if self.crop == 1:  # of a set of arrays, which were resized whole
            pixels = read_square(content)
        else:
            pixels = read_image(content, self.resolution, centre=self.crop)
        if self.channels == 1:  # ITU-R 601, as Pillow's conversion to grey
            weights = np.array([0.299, 0.587, 0.114], np.float32).reshape(3, 1, 1)
            pixels = np.rint((pixels * weights).sum(0, keepdims=True)).astype(np.uint8)
        if pixels.shape[-1] != self.resolution:
            pixels = resize_squares(pixels[None], self.resolution)[0]
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        # in the order of `nas.training.augment.normalise`
        return torch.from_numpy(pixels) * (1 / (255 * std)) - mean / std
