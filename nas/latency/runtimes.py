"""Modules made ready to be timed, in PyTorch or in ONNX Runtime."""

from __future__ import annotations

import io
import platform
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.latency.parts import Part
from nas.latency.setting import Setting
from nas.network.blocks import ACTIVATION_LAYERS, Block, batch_norm
from nas.network.builder import Network
from search_spaces.errors import InputError

TimedRun = Callable[[], None]
"""One inference, waited for."""


def prepare(setting: Setting) -> Setting:
    """Check that a setting is possible here, make PyTorch follow it, and fill in what it left open.

    Raises:
        InputError: no such device, or ONNX Runtime is not installed or can't use it.
    """
    device = torch.device(setting.device)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(f"device {setting.device!r}: this machine has {count} CUDA devices")
        hardware = torch.cuda.get_device_name(device)
    else:
        hardware = _processor()
    if setting.threads:
        torch.set_num_threads(setting.threads)
    version = torch.__version__
    if setting.runtime == "onnxruntime":
        try:
            import onnxruntime
        except ImportError:
            raise InputError(
                "runtime 'onnxruntime': it is not installed; pip install 'baseline-nas[onnx]'"
            ) from None
        version = onnxruntime.__version__
        if device.type == "cuda" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise InputError(
                f"device {setting.device!r}: this onnxruntime has no CUDA; pip install onnxruntime-gpu"
            )
    return replace(setting, threads=torch.get_num_threads(), hardware=hardware, version=version)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        return name.partition(":")[2].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def make_module(part: Part) -> nn.Module:
    """A part of a network as a module, its weights random."""
    spec = part.spec
    if part.block is not None:
        norm = batch_norm(spec.bn_momentum, spec.bn_eps)
        return Block(part.block, norm, ACTIVATION_LAYERS[spec.activation])
    if part.is_stem:
        return Network(spec.replace(stages=spec.stages[:1])).stem
    last = spec.stages[-1]  # of any kind, as long as it hands the head its channels
    return Network(spec.replace(stages=(replace(last, channels=part.channels, repeats=1),))).head


def make_runner(module: nn.Module, channels: int, size: int, setting: Setting) -> TimedRun:
    """One inference of `module` on random images (batch, channels, size, size).

    Args:
        module: put in evaluation mode and moved to the device.
        channels, size: of its input; size in pixels.
        setting: as `prepare` gave it.
    """
    images = torch.randn(setting.batch, channels, size, size)
    if setting.runtime == "onnxruntime":
        return _onnx_runner(module.eval(), images, setting)
    device = torch.device(setting.device)
    module = module.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = images.to(device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> None:
        module(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def _onnx_runner(module: nn.Module, images: torch.Tensor, setting: Setting) -> TimedRun:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = setting.threads
    index = torch.device(setting.device).index or 0
    providers: list[Any] = ["CPUExecutionProvider"]
    if setting.device != "cpu":
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
    session = onnxruntime.InferenceSession(_onnx(module, images), options, providers=providers)
    inputs = {session.get_inputs()[0].name: images.numpy()}

    def run() -> None:
        session.run(None, inputs)

    return run


def _onnx(module: nn.Module, images: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # the older exporter takes a thirtieth of the newer one's time, and a table exports thousands of
        # blocks; ONNX Runtime makes the same of both graphs
        torch.onnx.export(  # type: ignore[call-overload,unused-ignore]
            module,
            (images,),
            stream,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=17,
        )
    return stream.getvalue()
