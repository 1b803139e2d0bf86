"""An ONNX file in 8-bit integers: static quantisation, calibrated on images, marked as what it is."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.export.exact import border
from search_spaces.errors import InputError

MARK = "quantisation"
"""The metadata's field that says of a file that it is quantised, and how, as JSON."""


def quantise_onnx(content: bytes, images: Iterable[NDArray[np.float32]]) -> bytes:
    """The network of an ONNX file with weights and activations of 8 bits (Jacob et al. 2018, section 3).

    Weights are scaled by channel, activations by the range that they have on `images`; convolutions have BN
    folded in first. Its metadata stay. The outputs are no longer those of the network: it is for the caller
    to measure what that costs, and to say it (`mark_quantised`).

    Args:
        content: as `nas.export.onnx.onnx_bytes` writes it.
        images: inputs to calibrate on, each float32 (N, channels, height, width).

    Raises:
        InputError: a package isn't installed, no images, or the library fails.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise InputError(
            f"export to int8: {error.name} is not installed; pip install 'baseline-nas[onnx]'"
        ) from None

    batches = iter(images)
    begun = list(islice(batches, 1))
    if not begun:
        raise InputError("export to int8: no image to calibrate on can be read")

    class Reader(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.float32]] = chain(begun, batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), border("export to int8"):
        warnings.simplefilter("ignore")
        plain, prepared, done = (Path(folder) / name for name in ("plain", "prepared", "done"))
        plain.write_bytes(content)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(done),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        made = onnx.load(done)
    del made.metadata_props[:]
    source = onnx.load_from_string(content)
    made.producer_name, made.producer_version = source.producer_name, source.producer_version
    for kept in source.metadata_props:
        made.metadata_props.add(key=kept.key, value=kept.value)
    return bytes(made.SerializeToString())


def mark_quantised(content: bytes, about: Mapping[str, Any]) -> bytes:
    """The file with `MARK` in its metadata: the method, and `about`, plain data."""
    import onnx

    made = onnx.load_from_string(content)
    mark = {"bits": 8, "method": "static, weights by channel, QDQ", **about}
    made.metadata_props.add(key=MARK, value=json.dumps(mark, ensure_ascii=False))
    return bytes(made.SerializeToString())
