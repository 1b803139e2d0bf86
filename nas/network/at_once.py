"""How many images a network may see at once without gradients: as many as its memory allows. No torch."""

from __future__ import annotations

from nas.network.cost import BYTES, cost
from search_spaces.spec import NetworkSpec

FORWARD_MEMORY = 1 << 30
"""Bytes that the activations of an evaluation may take at a time, whatever the network and the device: less
than a training step of the networks that come near it."""

MOST_IMAGES = 500
"""At once: more is no faster."""

_COPIES = 2.5
"""Of the live elements that `nas.network.cost` counts, a convolution's input and output: BN's output stands
beside the convolution's, a shortcut and the images wait. Measured: 1.5 to 2.5."""


def forward_memory(spec: NetworkSpec, resolution: int | None = None) -> int:
    """Bytes of the activations that are alive at once in an evaluation, for one image; an estimate.

    Args:
        spec: the network.
        resolution: of the image, pixels; None: the spec's.
    """
    live = max(part.live for part in cost(spec, resolution).stages)
    return round(BYTES * _COPIES * live)


def images_at_once(spec: NetworkSpec, resolution: int | None = None, most: int = MOST_IMAGES) -> int:
    """Images that an evaluation takes at once: at most `most`, within `FORWARD_MEMORY`, at least one."""
    return max(1, min(most, FORWARD_MEMORY // forward_memory(spec, resolution)))
