"""ONNX files in 8 bits: what they compute, what is said of them, and that the calibration decides it."""

import json

import numpy as np
import onnx
import pytest
import torch

from nas.data.load import load_data
from nas.data.preparation import Preparation
from nas.export.int8 import MARK, mark_quantised, quantise_onnx
from nas.export.onnx import load_onnx, onnx_bytes, onnx_runner
from nas.export.probe import give_sight
from nas.network.builder import build
from nas.studies.int8_export import quantise_trained
from nas.training.checkpoint import load_checkpoint
from search_spaces import InputError, NetworkSpec, StageSpec
from search_spaces.spec import StemSpec
from tests.command import good, nas
from tests.nas.training.test_full import trained

TINY = NetworkSpec(
    "tiny",
    (StageSpec("mbconv", 12, stride=2, expansion=2, se_ratio=0.25),),
    stem=StemSpec(8),
    head_channels=0,
    resolution=16,
    num_classes=5,
)


def kinds(content):
    return {tensor.data_type for tensor in onnx.load_from_string(content).graph.initializer}


def test_the_images_of_the_calibration_set_the_ranges():
    model = give_sight(build(TINY, 0), 3, sizes=((16, 16),)).eval()
    content = onnx_bytes(TINY, model)
    images = torch.randn(32, 3, 16, 16)
    batches = [images[:16].numpy(), images[16:].numpy()]
    expected = onnx_runner(content)(images)

    def off(made):
        return float((onnx_runner(made)(images) - expected).abs().mean() / expected.std())

    made = quantise_onnx(content, batches)
    assert 1e-4 < off(made) < 0.2
    assert onnx.TensorProto.INT8 in kinds(made) - kinds(content)
    assert off(quantise_onnx(content, [batch / 100 for batch in batches])) > 0.5
    with pytest.raises(InputError, match="no image"):
        quantise_onnx(content, iter(()))
    marked = onnx.load_from_string(mark_quantised(made, {"data": "x"}))
    assert json.loads({prop.key: prop.value for prop in marked.metadata_props}[MARK])["data"] == "x"


def test_a_checkpoint_in_8_bits(tmp_path):
    training = trained(tmp_path / "t.pt")
    row = load_checkpoint(tmp_path / "t.pt")[2]["rows"][-1]
    document = json.loads(
        good("export", "t.pt", "--to", "onnx", "--int8", "--out", "t.onnx", "--json", cwd=tmp_path)
    )
    scores = document["int8"]
    # before is what the training has measured on the same images
    assert scores["accuracy_before"] == pytest.approx(row["accuracy"])
    assert scores["scored_on"] == row["held_out_images"]
    assert scores["calibrated_on"] == 200
    assert abs(scores["accuracy_after"] - scores["accuracy_before"]) < 0.1
    content = (tmp_path / "t.onnx").read_bytes()
    kept = {prop.key: prop.value for prop in onnx.load_from_string(content).metadata_props}
    mark = json.loads(kept[MARK])
    assert mark.items() >= scores.items()
    assert mark["bits"] == 8
    run, preparation = load_onnx(tmp_path / "t.onnx")
    held_out = training.data.held_out
    images = torch.from_numpy(held_out.images) / 255
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (preparation.mean, preparation.std))
    right = run((images - mean) / std).argmax(1).numpy() == held_out.labels
    assert np.mean(right) == pytest.approx(scores["accuracy_after"], abs=0.02)
    flags = ["--to", "onnx", "--int8", "--data", "nosuch", "--out", "v.onnx"]
    # it is known as an ONNX model, which another may replace
    good("export", "t.pt", "--to", "onnx", "--out", "t.onnx", cwd=tmp_path)
    assert nas("export", "t.pt", *flags, cwd=tmp_path).returncode == 2
    assert not (tmp_path / "v.onnx").exists()
    other = Preparation(8, 1, (0.5,), (0.5,), 1.0, ("a", "b"))
    with pytest.raises(InputError, match="not those that the network was trained on"):
        quantise_trained(content, other, load_data("digits"))
