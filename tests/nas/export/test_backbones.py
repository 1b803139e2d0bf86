"""Exported networks as features in timm, and our networks in torchvision's detectors and segmenters."""

import json

import pytest
import torch
from timm.models import FeatureListNet

import nas
from nas.data.preparation import Preparation
from nas.detection import make_detector, make_segmenter
from nas.export.features import FeatureLevels
from nas.export.probe import give_sight
from nas.export.timm import build_timm
from nas.network.builder import build
from nas.training.checkpoint import save_checkpoint
from search_spaces import InputError, NetworkSpec, StageSpec, reference
from search_spaces.spec import StemSpec

SMALL = NetworkSpec(
    "small",
    (
        StageSpec("ds", 8),
        StageSpec("mbconv", 12, stride=2, expansion=2),
        StageSpec("mbconv", 16, stride=2, expansion=2, se_ratio=0.25),
        StageSpec("mbconv", 20, expansion=2),
        StageSpec("mbconv", 24, stride=2, expansion=2),
    ),
    stem=StemSpec(8),
    head_channels=32,
    resolution=64,
    num_classes=5,
)


@pytest.mark.parametrize("name", ["small", "mobilenetv3-small"])
def test_timms_features_of_an_export_are_the_stages_of_ours(name):
    spec = SMALL if name == "small" else reference(name).replace(resolution=64, num_classes=10)
    ours = give_sight(build(spec, 0), 3, sizes=((64, 64),)).eval()
    theirs = build_timm(spec, ours).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = theirs.forward_intermediates(images, intermediates_only=True)
        levels = FeatureLevels(ours)(images)
        assert [info["num_chs"] for info in theirs.feature_info] == [one.shape[1] for one in maps]
        assert [info["reduction"] for info in theirs.feature_info] == [64 // one.shape[2] for one in maps]
        by_size = {one.shape[2]: one for one in maps}
        same = [by_size[one.shape[2]].shape == one.shape for one in levels.values()]
        assert same == (
            [True] * 3 if name == "small" else [True, True, True, False]
        )  # there it has the head's
        for one in [one for one, known in zip(levels.values(), same, strict=True) if known]:
            torch.testing.assert_close(one, by_size[one.shape[2]], rtol=1e-3, atol=1e-3)
        # as timm.create_model(..., features_only=True) makes it
        listed = FeatureListNet(theirs, out_indices=(1, 2, 3), flatten_sequential=True).eval()
        for one, other in zip(listed(images), maps[1:4], strict=True):
            torch.testing.assert_close(one, other)


def test_levels():
    model = build(SMALL, 0).eval()
    levels = FeatureLevels(model)
    assert (levels.strides, levels.channels) == ((4, 8, 16), (12, 20, 24))
    images = torch.randn(1, 3, 70, 50)
    with torch.no_grad():
        found = levels(images)
        assert list(found) == list(levels.names)
        assert [tuple(one.shape[1:]) for one in found.values()] == [(12, 18, 13), (20, 9, 7), (24, 5, 4)]
        assert torch.equal(found["level2"], model.stages(model.stem(images)))
    coarse = SMALL.replace(stages=SMALL.stages[:1], stem=StemSpec(8, stride=1))
    with pytest.raises(InputError, match="stride 1"):
        FeatureLevels(build(coarse))


def scene():
    """Two images with a bright square each, and where it is."""
    images = [torch.rand(3, 64, 64) * 0.2, torch.rand(3, 64, 80) * 0.2]
    boxes = torch.tensor([[10.0, 12, 40, 44]]), torch.tensor([[30.0, 8, 70, 50]])
    for image, ((x, y, right, bottom),) in zip(images, boxes, strict=True):
        image[:, int(y) : int(bottom), int(x) : int(right)] = 1
    return images, [{"boxes": box, "labels": torch.tensor([1])} for box in boxes]


def trained(model, loss_of, steps=6):
    """The losses over a few steps."""
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("head", ["faster-rcnn", "retinanet"])
def test_a_detector_learns(head):
    torch.manual_seed(0)
    model = make_detector(SMALL, 2, head, width=16, min_size=64, max_size=96)
    images, targets = scene()
    before = {name: weight.clone() for name, weight in model.backbone.levels.named_parameters()}
    losses = trained(model.train(), lambda: sum(model(images, targets).values()))
    assert losses[-1] < 0.9 * losses[0]
    assert any(not torch.equal(before[n], w) for n, w in model.backbone.levels.named_parameters())
    with torch.no_grad():
        found = model.eval()(images)
    assert len(found) == 2
    assert set(found[0]) == {"boxes", "labels", "scores"}


@pytest.mark.parametrize("head", ["fcn", "deeplab"])
def test_a_segmenter_learns(head):
    torch.manual_seed(0)
    model = make_segmenter(SMALL, 2, head).train()
    images, _ = scene()
    batch = torch.stack([image[:, :64, :64] for image in images])
    wanted = (batch.mean(1) > 0.5).long()
    losses = trained(model, lambda: torch.nn.functional.cross_entropy(model(batch)["out"], wanted))
    assert model.eval()(batch)["out"].shape == (2, 2, 64, 64)
    assert losses[-1] < 0.9 * losses[0]


def test_of_a_checkpoint_the_weights_and_the_normalisation_come(tmp_path):
    model = build(SMALL, 3)
    preparation = Preparation(64, 3, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 1.0, tuple("abcde"))
    state = {"model": model.state_dict(), "ema": None, "epoch": 1}
    save_checkpoint(tmp_path / "small.pt", SMALL, state, {"input": preparation.to_document()})
    made = nas.detector(tmp_path / "small.pt", 1, width=8)
    assert made.transform.image_mean == [0.1, 0.2, 0.3]
    assert made.transform.image_std == [0.5, 0.6, 0.7]
    for name, weight in made.backbone.levels.stages.state_dict().items():
        assert torch.equal(weight, model.stages.state_dict()[name])
    segmenter = nas.segmenter(tmp_path / "small.pt", 3)
    assert torch.equal(next(segmenter.backbone.parameters()), next(model.parameters()))


def test_of_a_spec_file(tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(SMALL.to_document()))
    assert make_segmenter(str(tmp_path / "spec.json"), 4).classifier[-1].out_channels == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nosuch", 2), "unknown network"),
        ((SMALL, 0), "classes 0"),
        ((SMALL, 2, "yolo"), "unknown head"),
        ((SMALL, 2, "retinanet", 0), "width 0"),
        ((SMALL.replace(in_channels=1), 2), "1 channels"),
    ],
)
def test_what_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        make_detector(*arguments)
