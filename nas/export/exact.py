"""An export is exact or refused: same parameters and, after copying the weights, the same outputs."""

from __future__ import annotations

import torch
from torch import nn

from nas.network.builder import build, copy_weights
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

TOLERANCE = 1e-5
"""The most that two outputs may differ, relative to their spread, in fp32."""


class NotExpressibleError(InputError):
    """The other library has no such network; the message names the stage and the reason."""


def check_exact(spec: NetworkSpec, theirs: nn.Module, library: str, weights: nn.Module | None = None) -> None:
    """Raise `NotExpressibleError` unless `theirs` is the network of `spec`.

    Args:
        spec: the network.
        theirs: the other library's module; it is left with the weights of ours, in evaluation mode.
        library: its name, for the message.
        weights: our module, whose weights are copied; a freshly built one if None.
    """
    ours = (weights if weights is not None else _disturbed(build(spec, seed=0))).eval()
    counts = [sum(p.numel() for p in module.parameters()) for module in (ours, theirs)]
    if counts[0] != counts[1]:
        raise NotExpressibleError(
            f"{spec.name}: {library} makes {counts[1]:,} parameters of it, expected {counts[0]:,}"
        )
    try:
        copy_weights(ours, theirs)
    except InputError as error:
        raise NotExpressibleError(f"{spec.name}: {library} orders it otherwise: {error}") from None
    size = min(spec.resolution, 64)
    images = torch.randn(2, spec.in_channels, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = ours(images), theirs.eval()(images)
    gap = float((expected - found).abs().max() / max(1.0, float(expected.abs().max())))
    if not gap <= TOLERANCE:
        raise NotExpressibleError(
            f"{spec.name}: {library}'s outputs differ by {gap:.2g} with the same weights"
        )


def _disturbed(model: nn.Module) -> nn.Module:
    """BN statistics as after training: with fresh ones an error in their order would not show."""
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            assert layer.running_var is not None
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
            layer.running_mean.normal_(0, 0.1, generator=generator)
    return model


def refuse(spec: NetworkSpec, library: str, stage: int | None, reason: str) -> NotExpressibleError:
    """The error for a part that the library can't express."""
    where = spec.name if stage is None else f"{spec.name}: stage{stage}"
    return NotExpressibleError(f"{where}: not expressible in {library}: {reason}")
