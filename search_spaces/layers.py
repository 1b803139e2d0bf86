"""The layers that blocks are made of, as data: what costs count, modules build and exports write."""

from __future__ import annotations

from typing import NamedTuple


class Conv(NamedTuple):
    """A k x k convolution without bias, padded by k // 2, then BN and the network's activation.

    Attributes:
        in_channels, out_channels: of the convolution.
        kernel: its size, odd.
        stride: of both directions.
        groups: 1, `in_channels` for a depthwise one, or a divisor of both widths.
        activation: whether one follows BN; without it the layer is linear.
    """

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    activation: bool = True


class Gate(NamedTuple):
    """Squeeze and excitation (Hu et al. 2018): pooled, two 1x1 convolutions with bias, sigmoid, times input.

    Attributes:
        channels: of its input and output.
        squeeze: channels between the two convolutions.
        hard: MobileNetV3's (Howard et al. 2019, section 5.3): relu between the two and a hard sigmoid behind
            them; else the block's activation and a sigmoid.
    """

    channels: int
    squeeze: int
    hard: bool = False


class Pool(NamedTuple):
    """Average pooling by the stride; channels are cut or zero-padded. No parameters.

    Attributes:
        in_channels, out_channels: of its input and output.
        stride: of both directions.
    """

    in_channels: int
    out_channels: int
    stride: int


Layer = Conv | Gate | Pool


def make_divisible(value: float, divisor: int = 8) -> int:
    """`value` rounded to the nearest multiple of `divisor`, but never below 90% of it.

    The rounding of MobileNet's and EfficientNet's released code (`_make_divisible`, `round_filters`).
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded
