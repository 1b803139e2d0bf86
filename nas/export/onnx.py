"""A network as an ONNX file: any batch, checked, and run once in ONNX Runtime against PyTorch."""

from __future__ import annotations

import io
import logging
import warnings

import torch
from torch import nn

from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

OPSET = 18
TOLERANCE = 1e-4
"""The most that ONNX Runtime's outputs may differ from PyTorch's, relative to their size, in fp32."""


def onnx_bytes(spec: NetworkSpec, model: nn.Module) -> bytes:
    """The content of an ONNX file; input `images` (batch, channels, height, width), output `logits`.

    Args:
        spec: the network, for the input's size.
        model: with its weights; it is put in evaluation mode.

    Raises:
        InputError: onnx, onnxscript or onnxruntime isn't installed, or the outputs differ.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise InputError(
            f"export to onnx: {error.name} is not installed; pip install 'baseline-nas[onnx]'"
        ) from None
    model = model.eval().cpu()
    images = torch.randn(2, spec.in_channels, spec.resolution, spec.resolution)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model,
            (images,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    stream = io.BytesIO()
    onnx.save_model(program.model_proto, stream)
    content = stream.getvalue()
    onnx.checker.check_model(content, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for batch in (2, 1):
        with torch.no_grad():
            expected = model(images[:batch]).numpy()
        (found,) = session.run(None, {"images": images[:batch].numpy()})
        gap = float(abs(found - expected).max() / max(1.0, abs(expected).max()))
        if found.shape != expected.shape or not gap <= TOLERANCE:
            raise InputError(f"{spec.name}: ONNX Runtime's outputs differ by {gap:.2g}")
    return content
