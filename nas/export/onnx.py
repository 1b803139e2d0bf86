"""A network as an ONNX file: any batch, any size if wanted, compared in ONNX Runtime with PyTorch."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.data.preparation import Preparation
from nas.export.exact import NotExpressibleError, border, check_finite
from nas.export.formats import Wanted, Written
from nas.export.probe import BlindError, Size, give_sight, images, largest_gap
from nas.export.program import (
    BATCHES,
    compared_sizes,
    described_size,
    dynamic_axes,
    example_size,
    seeing,
)
from nas.network.builder import build
from search_spaces.errors import InputError
from search_spaces.parsing import parse_json
from search_spaces.reading import read_regular
from search_spaces.spec import NetworkSpec

OPSET = 18
TOLERANCE = 2e-4
"""The most that ONNX Runtime's outputs may differ from PyTorch's, relative to their spread over images.

It computes in fp32 with folded BN: true pairs of random networks differ by up to a fifth of this.
"""

_SIGHT = 0.01


def onnx_bytes(
    spec: NetworkSpec, model: nn.Module, dynamic: bool = False, preparation: Preparation | None = None
) -> bytes:
    """The content of an ONNX file; input `images` (batch, channels, height, width), output `logits`.

    Where the weights of `model` can't show a difference (freshly drawn ones can't), the network is written a
    second time with weights that can, and that file is compared, too.

    Args:
        spec: the network, for the input's size.
        model: with its weights; it is put in evaluation mode.
        dynamic: for images of any height and width.
        preparation: of its images; each of its fields stands in the metadata, as JSON, under its own name.

    Raises:
        InputError: a package isn't installed, the exporter fails, or the outputs differ.
    """
    model = model.eval().cpu()
    check_finite(spec, model)
    content = _write(spec, model, dynamic, preparation)
    try:
        check_onnx(spec, model, content, compared_sizes(spec, dynamic))
    except BlindError:
        sizes = compared_sizes(spec, dynamic)
        probe = give_sight(build(spec, seed=0), spec.in_channels, sizes=sizes)
        check_onnx(spec, probe, _write(spec, probe, dynamic), sizes)
        _check_blindly(spec, model, content)
    return content


def write_onnx(spec: NetworkSpec, model: nn.Module | None, wanted: Wanted) -> Written:
    """As `onnx_bytes`; without a model, with weights that the check can see by."""
    content = onnx_bytes(spec, seeing(spec, model, wanted.dynamic), wanted.dynamic, wanted.preparation)
    size = described_size(spec, wanted.dynamic)
    return Written(content, None, f"opset {OPSET}, any batch, {size}, checked in ONNX Runtime")


_LONGEST = 2 << 30
"""Bytes of an ONNX file: protobuf's own bound."""


def load_onnx(path: Path) -> tuple[Callable[[Tensor], Tensor], Preparation]:
    """What runs an ONNX file that `nas export` wrote of a checkpoint, and how its images are prepared.

    Raises:
        InputError: no such file, ONNX Runtime isn't installed or can't load it, or it says nothing of its
            images.
    """
    try:
        content = read_regular(path, _LONGEST, "ONNX model of ours")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            "predict with an ONNX model: onnxruntime is not installed; pip install 'baseline-nas[onnx]'"
        )
    with border(str(path)):
        session = _open(content)
    kept = session.get_modelmeta().custom_metadata_map
    document = {}
    for field in fields(Preparation):
        if field.name not in kept:
            raise InputError(
                f"{path}: says nothing of its {field.name}: expected a model that `nas export` wrote of a "
                "checkpoint"
            )
        document[field.name] = _json(kept[field.name], path)
    document["schema"] = _json(kept.get("schema", "null"), path)
    return _runs(session), Preparation.from_document(document, f"{path}: metadata")


def _json(text: str, path: Path) -> object:
    try:
        return parse_json(text, "metadata")
    except InputError:
        raise InputError(f"{path}: metadata {text[:60]!r}: expected JSON") from None


def check_onnx(spec: NetworkSpec, model: nn.Module, content: bytes, sizes: tuple[Size, ...]) -> None:
    """Run an ONNX file and compare it with `model`.

    Raises:
        NotExpressibleError: the outputs differ.
        BlindError: the weights can't show a difference.
    """
    with border(f"{spec.name}: ONNX Runtime"):
        run = onnx_runner(content)
        found = largest_gap(model, run, spec.in_channels, sizes, BATCHES, _SIGHT)
    if not found <= TOLERANCE:
        raise NotExpressibleError(
            f"{spec.name}: ONNX Runtime's outputs differ by {found:.2g} of their spread"
        )


def _check_blindly(spec: NetworkSpec, model: nn.Module, content: bytes) -> None:
    """For weights whose outputs hardly depend on the image: relative to the outputs' size."""
    with border(f"{spec.name}: ONNX Runtime"), torch.no_grad():
        given = images(spec.in_channels, (spec.resolution, spec.resolution))
        expected, found = model(given), onnx_runner(content)(given)
        difference = float((found - expected).abs().max()) / max(float(expected.abs().max()), 1e-12)
    if not difference <= TOLERANCE:
        raise NotExpressibleError(
            f"{spec.name}: ONNX Runtime's outputs differ by {difference:.2g} of their size"
        )


def _write(
    spec: NetworkSpec, model: nn.Module, dynamic: bool, preparation: Preparation | None = None
) -> bytes:
    try:
        import onnx
        import onnxruntime  # noqa: F401  the file is run before it is handed out
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise InputError(
            f"export to onnx: {error.name} is not installed; pip install 'baseline-nas[onnx]'"
        ) from None
    stream = io.BytesIO()
    with warnings.catch_warnings(), border(f"{spec.name}: export to onnx"):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model,
            (images(spec.in_channels, example_size(spec, dynamic), 2),),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"x": dynamic_axes(spec, dynamic)},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        written = program.model_proto
        if preparation is not None:
            for name, value in preparation.to_document().items():
                written.metadata_props.add(key=name, value=json.dumps(value, ensure_ascii=False))
        onnx.save_model(written, stream)
        onnx.checker.check_model(stream.getvalue(), full_check=True)
    return stream.getvalue()


def onnx_runner(content: bytes) -> Callable[[Tensor], Tensor]:
    """What runs the content of an ONNX file: inputs (N, channels, height, width) to logits (N, classes)."""
    return _runs(_open(content))


def _open(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _runs(session: Any) -> Callable[[Tensor], Tensor]:
    def run(given: Tensor) -> Tensor:
        (found,) = session.run(None, {"images": given.numpy()})
        return torch.from_numpy(found)

    return run
