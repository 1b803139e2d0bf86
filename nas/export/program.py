"""A network as a program that PyTorch runs without this package: torch.export's, or TorchScript."""

from __future__ import annotations

import io
import json
import math
import warnings

import torch
from torch import nn

from nas.data.preparation import Preparation
from nas.export.exact import NotExpressibleError, border, check_finite
from nas.export.formats import Wanted, Written
from nas.export.probe import TOLERANCE, BlindError, Size, give_sight, images, largest_gap
from nas.network.builder import build
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

BATCHES = (1, 2, 3)
"""Batches at which a program is compared with the network."""

_SIGHT = 0.01

INPUT_FILE = "input.json"
"""In a program's archive: how its images are prepared, what its classes are called (`extra_files`)."""


def program_bytes(
    spec: NetworkSpec,
    model: nn.Module,
    form: str,
    dynamic: bool = False,
    preparation: Preparation | None = None,
) -> bytes:
    """The content of the file; any batch, at the network's resolution or at any.

    Both come from one graph that torch.export has captured: `exported` is loaded by
    `torch.export.load(path).module()`, `torchscript` by `torch.jit.load(path)`, C++ included.

    Args:
        spec: the network, for the input's size.
        model: with its weights; it is put in evaluation mode.
        form: `exported` or `torchscript`.
        dynamic: for images of any height and width.
        preparation: of its images, kept beside it (`INPUT_FILE`).

    Raises:
        InputError: the program's outputs differ from the model's, or PyTorch can't make it.
    """
    model = model.eval().cpu()
    check_finite(spec, model)
    try:
        content = _write(spec, model, form, dynamic, preparation)
    except InputError:
        stages = enumerate(spec.stages)
        pooled = [f"stage{index}" for index, each in stages if each.skip == "pooling" and each.stride > 1]
        if dynamic and pooled:
            raise InputError(
                f"{spec.name}: {pooled[0]}: --dynamic-size: {form} would fix how a pooling skip rounds "
                "to one remainder of the size; onnx takes any"
            ) from None
        raise
    check_program(spec, model, content, form, compared_sizes(spec, dynamic))
    return content


def _write(
    spec: NetworkSpec, model: nn.Module, form: str, dynamic: bool, preparation: Preparation | None
) -> bytes:
    stream, beside = io.BytesIO(), {}
    if preparation is not None:
        beside[INPUT_FILE] = json.dumps(preparation.to_document(), ensure_ascii=False)
    with warnings.catch_warnings(), torch.no_grad(), border(f"{spec.name}: export to {form}"):
        warnings.simplefilter("ignore")
        given = images(spec.in_channels, example_size(spec, dynamic), 2)
        program = torch.export.export(model, (given,), dynamic_shapes=(dynamic_axes(spec, dynamic),))
        if form == "exported":
            torch.export.save(program, stream, extra_files=beside)
        else:
            traced = torch.jit.trace(program.module(), given, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, stream, _extra_files=beside)  # type: ignore[no-untyped-call]
    return stream.getvalue()


def write_program(spec: NetworkSpec, model: nn.Module | None, wanted: Wanted) -> Written:
    """As `program_bytes`; without a model, with weights that the check can see by."""
    model = seeing(spec, model, wanted.dynamic)
    content = program_bytes(spec, model, wanted.form, wanted.dynamic, wanted.preparation)
    size = described_size(spec, wanted.dynamic)
    return Written(content, None, f"any batch, {size}, loaded again and compared")


def seeing(spec: NetworkSpec, model: nn.Module | None, dynamic: bool) -> nn.Module:
    """`model`; where there is none, one whose outputs depend on the images, or a check would see nothing."""
    if model is not None:
        return model
    return give_sight(build(spec, seed=0), spec.in_channels, sizes=compared_sizes(spec, dynamic))


def described_size(spec: NetworkSpec, dynamic: bool) -> str:
    """The sizes of images that a program takes, for people."""
    if dynamic:
        return f"any height and width from {smallest_side(spec)}"
    return f"{spec.resolution} px"


def check_program(
    spec: NetworkSpec, model: nn.Module, content: bytes, form: str, sizes: tuple[Size, ...]
) -> None:
    """Load a program and compare it with `model`, as it is and with weights that see.

    Raises:
        NotExpressibleError: the outputs, the weights' names or their values differ.
    """
    with warnings.catch_warnings(), border(f"{spec.name}: loading the {form} program"):
        warnings.simplefilter("ignore")
        loaded = _load(content, form)
        mine, theirs = model.state_dict(), loaded.state_dict()
        probe = give_sight(build(spec, seed=0), spec.in_channels, sizes=sizes)
        try:
            found = largest_gap(model, loaded, spec.in_channels, sizes, BATCHES, _SIGHT)
        except BlindError:
            same = mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
            found = 0.0 if same else float("inf")
        if found <= TOLERANCE and mine.keys() == theirs.keys():
            loaded.load_state_dict(probe.state_dict())
            found = max(found, largest_gap(probe, loaded, spec.in_channels, sizes, BATCHES, _SIGHT))
    if not found <= TOLERANCE:
        raise NotExpressibleError(
            f"{spec.name}: the {form} program's outputs differ by {found:.2g} of their spread"
        )


def smallest_side(spec: NetworkSpec) -> int:
    """The least height and width of a program of dynamic size: below it the last feature map is one pixel,
    which torch.export takes for a constant."""
    stem = spec.stem.stride * (2 if spec.stem.pool else 1)
    return stem * math.prod(stage.stride for stage in spec.stages) + 1


def example_size(spec: NetworkSpec, dynamic: bool) -> Size:
    """Height and width with which a program is captured."""
    side = max(spec.resolution, 2 * smallest_side(spec)) if dynamic else spec.resolution
    return side, side


def dynamic_axes(spec: NetworkSpec, dynamic: bool) -> dict[int, object]:
    """torch.export's description of the axes of the images that may change."""
    axes: dict[int, object] = {0: torch.export.Dim("batch")}
    if dynamic:
        least = smallest_side(spec)
        axes |= {2: torch.export.Dim("height", min=least), 3: torch.export.Dim("width", min=least)}
    return axes


def compared_sizes(spec: NetworkSpec, dynamic: bool) -> tuple[Size, ...]:
    """Sizes at which a program is compared: its own, and odd ones where it takes any."""
    own, least = spec.resolution, smallest_side(spec)
    if not dynamic:
        return ((own, own),)
    whole = least - 1
    odd = (
        (whole + 1, 2 * whole + 2),
        (3 * whole + 1, 3 * whole - 1),
    )  # for a stride of 32 in all: 33x66, 97x95
    return ((own, own), *odd) if own >= least else odd


def _load(content: bytes, form: str) -> nn.Module:
    if form == "exported":
        return torch.export.load(io.BytesIO(content)).module()
    loaded: nn.Module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return loaded
