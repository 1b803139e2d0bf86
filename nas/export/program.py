"""A network as a program that PyTorch runs without this package: torch.export's, or TorchScript."""

from __future__ import annotations

import io
import warnings

import torch
from torch import nn

from nas.export.exact import TOLERANCE
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec


def program_bytes(spec: NetworkSpec, model: nn.Module, form: str) -> bytes:
    """The content of the file; any batch, at the network's resolution.

    Both come from one graph that torch.export has captured: `exported` is loaded by
    `torch.export.load(path).module()`, `torchscript` by `torch.jit.load(path)`, C++ included.

    Args:
        spec: the network, for the input's size.
        model: with its weights; it is put in evaluation mode.
        form: `exported` or `torchscript`.

    Raises:
        InputError: the program's outputs differ from the model's.
    """
    model = model.eval().cpu()
    images = torch.randn(
        2, spec.in_channels, spec.resolution, spec.resolution, generator=torch.Generator().manual_seed(0)
    )
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        if form == "exported":
            torch.export.save(program, stream)
        else:
            traced = torch.jit.trace(program.module(), images, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, stream)  # type: ignore[no-untyped-call]
        content = stream.getvalue()
        loaded = _load(content, form)
        for batch in (2, 1):
            expected, found = model(images[:batch]), loaded(images[:batch])
            gap = float((expected - found).abs().max() / max(1.0, float(expected.abs().max())))
            if expected.shape != found.shape or not gap <= TOLERANCE:
                raise InputError(f"{spec.name}: the {form} program's outputs differ by {gap:.2g}")
    return content


def _load(content: bytes, form: str) -> nn.Module:
    if form == "exported":
        return torch.export.load(io.BytesIO(content)).module()
    loaded: nn.Module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return loaded
