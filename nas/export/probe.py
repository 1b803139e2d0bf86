"""A probe that can see: images and weights with which another network gives other outputs, and their gap.

With freshly drawn weights the outputs of a deep network hardly depend on the image, and any network passes
for any other. Here BN's statistics come from images, so the signal keeps its size from layer to layer; gates,
biases and BN's weights are drawn wide, so that a missing gate, another activation or a clipped one shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.network.at_once import images_at_once
from nas.network.blocks import Block
from nas.network.builder import Network
from search_spaces.errors import InputError

Size = tuple[int, int]

SIZES: tuple[Size, ...] = ((64, 64), (97, 130), (224, 224))
"""Heights and widths of the probe's images: even and odd, square and not."""

TOLERANCE = 1e-5
"""The most that two outputs may differ, relative to their spread over images."""

SIGHT = 1e-3
"""The least spread over images, relative to the outputs' size (1 at least), with which a probe sees."""

BATCH = 3


class BlindError(InputError):
    """The outputs hardly depend on the images: whatever is compared would look equal."""


def images(channels: int, size: Size, batch: int = BATCH, seed: int = 0) -> Tensor:
    """Images (batch, channels, height, width) with waves, an edge and noise: no two alike, none symmetric."""
    draw = torch.Generator().manual_seed(seed)
    height, width = size
    y = torch.linspace(0, 1, height).view(1, 1, height, 1)
    x = torch.linspace(0, 1, width).view(1, 1, 1, width)
    shape = (batch, channels, 1, 1)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(shape, generator=draw) * (high - low) + low

    waves = torch.sin(6.3 * (uniform(-4, 4) * y + uniform(-4, 4) * x + uniform(0, 1)))
    edge = (uniform(-1, 1) * y + uniform(-1, 1) * x > uniform(-0.5, 0.5)).float() * uniform(-2, 2)
    noise = torch.randn(batch, channels, height, width, generator=draw)
    return uniform(-1, 1) + uniform(0.3, 1.2) * waves + edge + 0.5 * noise


def give_sight(
    model: nn.Module, channels: int, seed: int = 1, sizes: tuple[Size, ...] = ((97, 130), (64, 64))
) -> nn.Module:
    """Draw the weights of one of our networks so that its outputs depend on the images; in place.

    Branches beside a shortcut are damped, or the network would amplify rounding errors from block to block.

    Args:
        model: of `nas.network.builder`; it is put in evaluation mode.
        channels: of its images.
        seed: of the weights.
        sizes: heights and widths at which it has to see; BN's statistics come from the first. At another
            one far away a deep network may be blind: padding is most of what it looks at.

    Returns:
        The model itself.
    """
    draw = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, std: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=draw) * std)

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=draw) * (high - low) + low)

    model.eval()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                gate = layer.bias is not None
                scale = 2.0 if gate else float(torch.empty(1).uniform_(0.2, 1, generator=draw))
                normal(layer.weight, scale / layer.weight[0].numel() ** 0.5)  # so that BN's epsilon counts
                if layer.bias is not None:
                    normal(layer.bias, 1)
            elif isinstance(layer, nn.Linear):
                normal(layer.weight, 1 / layer.in_features**0.5)
                normal(layer.bias, 0.1)
            elif isinstance(layer, nn.BatchNorm2d):
                uniform(layer.weight, 0.5, 3)  # wide: relu6 and hard_swish clip
                normal(layer.bias, 0.5)
        for block in model.modules():
            if isinstance(block, Block) and block.shortcut is not None:
                norms = [layer for layer in block.layers.modules() if isinstance(layer, nn.BatchNorm2d)]
                norms[-1].weight.mul_(0.15)
        first, *others = [images(channels, size, _at_once(model, size), seed) for size in sizes]
        with _statistics_from_data(model):
            outputs = [model(first)]
        _normalise_logits(model, outputs + [model(each) for each in others])
    return model


def _at_once(model: nn.Module, size: Size) -> int:
    """Images of that size for the statistics: eight, fewer of a large network, two at least."""
    return max(2, images_at_once(model.spec, max(size), most=8)) if isinstance(model, Network) else 8


def _normalise_logits(model: nn.Module, outputs: list[Tensor]) -> None:
    """Scale and shift the classifier: logits spread by 1 or more around 0: what all share says nothing."""
    classifier = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    narrow = min(map(spread, outputs))
    narrow = narrow if narrow > 0 else 1.0
    classifier.weight.div_(narrow)
    # the logits are the bias and what comes by the weights, which has shrunk
    classifier.bias.copy_((classifier.bias - outputs[0].mean(dim=0)) / narrow + 0.1)


@contextmanager
def _statistics_from_data(model: nn.Module) -> Iterator[None]:
    """What passes through each BN sets its statistics first; nothing is dropped, as in evaluation.

    (Training mode would drop branches, and refuses one value per channel.)
    """

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        layer.running_mean.copy_(mean)
        # a nearly constant channel stays one: it must not be blown up by another image
        layer.running_var.copy_(torch.maximum(variance, variance.mean()).clamp(min=1e-6))

    handles = [
        layer.register_forward_pre_hook(measure)
        for layer in model.modules()
        if isinstance(layer, nn.BatchNorm2d)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def spread(outputs: Tensor) -> float:
    """How far the outputs (N, classes) of different images differ: their standard deviation over images."""
    return float(outputs.detach().double().std(dim=0).square().mean().sqrt())


def sees(outputs: Tensor, sight: float = SIGHT) -> bool:
    """Whether the outputs depend on the images enough to tell two networks apart.

    Measured against 1 at least, the size of trained logits: where the signal vanishes on its way, all
    activations look linear, however much the outputs differ in their last digits.
    """
    size = max(1.0, float(outputs.double().square().mean().sqrt()))
    return bool(torch.isfinite(outputs).all()) and spread(outputs) > sight * size


def gap(expected: Tensor, found: Tensor, sight: float = SIGHT) -> float:
    """The largest difference of two outputs (N, classes), relative to the spread of `expected` over images.

    Raises:
        BlindError: the spread is too small to see, or a value isn't finite.
    """
    if not sees(expected, sight):
        raise BlindError(f"the outputs spread by {spread(expected):.2g} over images: too little to compare")
    if found.shape != expected.shape:
        return float("inf")
    difference = float((expected - found).detach().double().abs().max()) / spread(expected)
    return difference if difference == difference else float("inf")


Forward = Callable[[Tensor], Tensor]


def largest_gap(
    ours: Forward,
    theirs: Forward,
    channels: int,
    sizes: tuple[Size, ...] = SIZES,
    batches: tuple[int, ...] = (BATCH,),
    sight: float = SIGHT,
) -> float:
    """The largest gap of two networks over image sizes and batches; the spread is that of the largest batch.

    Raises:
        BlindError: as `gap`.
    """
    worst = 0.0
    for size in sizes:
        given = images(channels, size, max(BATCH, *batches))
        with torch.no_grad():
            whole = ours(given)
            for batch in batches:
                # kernels round otherwise for other batches; the spread is that of all images
                expected = whole if batch == len(given) else ours(given[:batch])
                found = theirs(given[:batch])
                if found.shape == expected.shape:
                    expected, found = (
                        torch.cat([part.to(whole), whole[batch:]]) for part in (expected, found)
                    )
                worst = max(worst, gap(expected, found, sight))
    return worst
