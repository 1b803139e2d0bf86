"""The proxy task: a network made small enough to be trained in seconds or minutes on small images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.network.scaling import scale_by
from search_spaces.errors import InputError, shown
from search_spaces.spec import NetworkSpec


@dataclass(frozen=True)
class ProxyTask:
    """What is trained in place of the full network. The reward's costs stay those of the full one.

    Attributes:
        resolution: of the images, pixels.
        width: multiplier of all widths; kept apart by rounding to whole channels only, so that
            different choices of width stay different networks.
        stem_stride: replaces the stem's; 1 keeps the detail of small images.

    Raises:
        InputError: a value out of its range.
    """

    resolution: int
    width: float = 1.0
    stem_stride: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.resolution, int) or not 4 <= self.resolution <= 4096:
            raise InputError(f"resolution {shown(self.resolution)}: expected an integer from 4 to 4096")
        if not 0.01 <= self.width <= 8:
            raise InputError(f"width {shown(self.width)}: expected a number from 0.01 to 8")
        if self.stem_stride not in (1, 2, 4):
            raise InputError(f"stem stride {shown(self.stem_stride)}: expected 1, 2 or 4")

    def apply(self, spec: NetworkSpec, num_classes: int, in_channels: int) -> NetworkSpec:
        """The network to train for a data set of so many classes and image channels."""
        small = scale_by(spec, width=self.width, resolution=self.resolution, divisor=1)
        return small.replace(
            stem=replace(small.stem, stride=self.stem_stride),
            num_classes=num_classes,
            in_channels=in_channels,
        )
