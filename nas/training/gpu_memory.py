"""How much of a GPU's memory a training takes: an estimate, before there is one. No torch."""

from __future__ import annotations

from nas.network.at_once import forward_memory, images_at_once
from nas.network.cost import cost, training_memory
from search_spaces.spec import NetworkSpec

CONTEXT = 1 << 29
"""Bytes that CUDA and its libraries take in each process, beside what tensors take: 0.4 to 0.5 GiB on recent
cards."""

IMAGES_SHARE = 0.25
"""Part of a trial's memory that the images of a split may take; else a batch is copied at a time."""

_MARGIN = 1.25
"""For what the estimate leaves out: the workspaces of convolutions, and gaps between tensors."""


def training_bytes(spec: NetworkSpec, batch: int) -> int:
    """Bytes of tensors while a network is trained and evaluated, the images apart.

    In single precision, of which mixed precision needs about half. Training's part stays while the network is
    evaluated, since recorded steps (CUDA graphs) keep their memory.

    Args:
        spec: the network as it is trained.
        batch: images of a step.
    """
    counted = cost(spec)
    training = training_memory(counted.params, batch * sum(part.saved for part in counted.stages))
    return training + images_at_once(spec) * forward_memory(spec)


def trial_bytes(trainings: int) -> int:
    """Bytes of a GPU that a trial needs whose trainings take so many: images, margin and context added."""
    return CONTEXT + round(_MARGIN * trainings / (1 - IMAGES_SHARE))
