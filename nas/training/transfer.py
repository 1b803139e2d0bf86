"""Starting a training from another one's weights: a new head, and a stem for other image channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.network.builder import Network
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec


def trained_weights(state: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of a trainer's state that were evaluated: the moving average where there is one."""
    ema = state.get("ema")
    if not ema:
        weights: dict[str, Tensor] = state["model"]
        return weights
    return {name.removeprefix("module."): value for name, value in ema.items() if name != "n_averaged"}


def same_features(spec: NetworkSpec, other: NetworkSpec) -> bool:
    """Whether two networks differ at most in what a transfer replaces: classes, channels, size, rates."""
    return (
        spec.blocks() == other.blocks()
        and spec.stem == other.stem
        and spec.head_channels == other.head_channels
        and spec.pooled_channels == other.pooled_channels
        and spec.pooled_norm == other.pooled_norm
        and spec.activation == other.activation
    )


def transfer(
    source: NetworkSpec, weights: dict[str, Tensor], model: Network, where: str, classifier: bool = False
) -> list[str]:
    """Give `model` the weights of a network with the same features; its classifier stays as it is.

    Where the images have other channels the stem's kernels are summed over them (three to one) or
    repeated and divided (one to three), so that a grey image gives the same activations.

    Args:
        source: of the weights.
        weights: by name.
        model: freshly made.
        where: names the source in errors.
        classifier: it is of the same classes, its weights are taken too.

    Returns:
        the names that were not taken over.

    Raises:
        InputError: another network, or channels that can't be adapted.
    """
    spec = model.spec
    if not same_features(source, spec):
        raise InputError(
            f"{where}: is of network {source.name!r} ({source.digest}), whose blocks are not those of "
            f"{spec.name!r} ({spec.digest})"
        )
    own = model.state_dict()
    fresh = [f"head.{len(model.head) - 1}.{name}" for name in ("weight", "bias")]
    # the classifier is the last layer; its number depends on whether there is dropout before it
    given_features, features = (list(tensors.items())[:-2] for tensors in (weights, own))
    if [name for name, _ in given_features] != [name for name, _ in features]:
        odd = sorted({name for name, _ in given_features} ^ {name for name, _ in features})
        raise InputError(f"{where}: its weights are not those of its spec, e.g. {odd[:1]}")
    with torch.no_grad():
        for (name, tensor), (_, given) in zip(features, given_features, strict=True):
            if name == "stem.0.0.weight" and given.shape != tensor.shape:
                given = _adapt(given, tensor.shape[1], where)
            if given.shape != tensor.shape:
                raise InputError(f"{where}: {name} is {tuple(given.shape)}, expected {tuple(tensor.shape)}")
            tensor.copy_(given)
        if classifier:
            for name, given in zip(fresh, list(weights.values())[-2:], strict=True):
                if given.shape != own[name].shape:
                    raise InputError(
                        f"{where}: {name} is {tuple(given.shape)}, expected {tuple(own[name].shape)}"
                    )
                own[name].copy_(given)
    return [] if classifier else fresh


def _adapt(kernels: Tensor, channels: int, where: str) -> Tensor:
    """Kernels (out, in, k, k) for images of so many channels."""
    if channels == 1:
        return kernels.sum(1, keepdim=True)
    if kernels.shape[1] == 1:
        return kernels.repeat(1, channels, 1, 1) / channels
    raise InputError(
        f"{where}: takes images of {kernels.shape[1]} channels, the data has {channels}: expected the same "
        "number, or one of them grey"
    )
