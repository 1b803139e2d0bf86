"""What `nas push` writes is what timm loads from such a folder."""

import json
import sys

import pytest
import timm
import torch
import yaml
from timm.data import create_transform, resolve_model_data_config

from nas.data.preparation import Preparation
from nas.export import hub
from nas.export.timm import build_timm
from nas.network.builder import build
from nas.report.hub_card import hub_card
from nas.training.checkpoint import save_checkpoint
from search_spaces import InputError, reference
from tests.command import good, nas

CLASSES = ("cat", "dog & <b>", "horse")


def own():
    """A network that timm has no name for."""
    spec = reference("mobilenet-v2").replace(name="mine", num_classes=3, resolution=48)
    return spec.replace(stages=spec.stages[:3], head_channels=64)


def preparation(spec, channels=3):
    return Preparation(spec.resolution, channels, (0.5,) * channels, (0.25,) * channels, 0.875, CLASSES)


@pytest.fixture
def checkpoint(tmp_path):
    spec, path = own(), tmp_path / "winner.pt"
    state = {"model": build(spec, seed=1).state_dict(), "ema": None}
    save_checkpoint(path, spec, state, {"input": preparation(spec).to_document()})
    return path


def opened(folder, monkeypatch):
    """The model as the README says."""
    monkeypatch.syspath_prepend(folder)
    if (folder / "modeling.py").exists():
        __import__("modeling")
        del sys.modules["modeling"]
    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()


def test_timm_loads_the_folder(checkpoint, tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "winner"
    done = json.loads(good("push", checkpoint, "--out", folder, "--json"))
    names = ["README.md", "config.json", "model.safetensors", "modeling.py"]
    assert done["files"] == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == names
    model = opened(folder, monkeypatch)
    x = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.allclose(model(x), build(own(), seed=1).eval()(x), atol=1e-5)
    config = resolve_model_data_config(model)
    assert (list(config["input_size"]), config["crop_pct"]) == ([3, 48, 48], 0.875)
    assert list(config["mean"]) == [0.5] * 3
    assert "CenterCrop" in str(create_transform(**config))
    assert list(model.pretrained_cfg["label_names"]) == list(CLASSES)
    # other classes, as for any model of timm
    again = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=7)
    assert again(x).shape == (2, 7)


def test_its_page_has_front_matter_and_the_training_s_card(checkpoint, tmp_path):
    (tmp_path / "winner").mkdir()
    card = "---\nlibrary_name: baseline-nas\ntags:\n- one\nmodel-index: []\n---\n\n# mine\n\nwith results\n"
    (tmp_path / "winner" / "MODEL_CARD.md").write_text(card)
    good("push", checkpoint, "--out", tmp_path / "out")
    _, matter, text = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_load(matter)
    assert (head["library_name"], head["pipeline_tag"]) == ("timm", "image-classification")
    assert head["model-index"] == []
    assert {"one", "timm"} <= set(head["tags"])
    assert "with results" in text
    assert "import modeling" in text


def test_a_known_network_goes_by_timms_name():
    spec = reference("mobilenetv3-small").replace(num_classes=3, resolution=64, in_channels=1)
    model = build(spec, seed=0)
    name = hub.timm_name(spec, model)
    assert name is None or timm.is_model(name)
    spec = reference("efficientnet-b0").replace(num_classes=3, resolution=64, in_channels=1)
    files = hub.hub_files(spec, build(spec, seed=0), preparation(spec, 1))
    assert sorted(files) == ["config.json", "model.safetensors"]
    config = json.loads(files["config.json"])
    assert config["architecture"] == "efficientnet_b0"
    assert config["pretrained_cfg"]["input_size"] == [1, 64, 64]
    page = hub_card(spec, preparation(spec, 1), module=False)
    assert "modeling" not in page
    assert "convert('L')" in page
    yaml.safe_load(page.split("---")[1])


def test_its_first_and_last_layers_go_by_timms_names():
    """By which timm replaces them for other classes and channels."""
    for name, first, last in (
        ("mobilenetv3-small", "conv_stem", "classifier"),
        ("regnety-200mf", "stem.conv", "head.fc"),
    ):
        spec = reference(name).replace(num_classes=3, resolution=64)
        config = hub.hub_config(spec, name, preparation(spec, 1), build_timm(spec))["pretrained_cfg"]
        assert (config["first_conv"], config["classifier"]) == (first, last)


def test_another_network_in_the_folder_is_seen(monkeypatch):
    spec = own()
    real = hub.write_atomically

    def swapped(path, content):
        real(path, content.replace(b"'act_layer': 'relu6'", b"'act_layer': 'silu'"))

    monkeypatch.setattr(hub, "write_atomically", swapped)
    monkeypatch.setattr(hub, "_REGISTRATION", hub._REGISTRATION.replace("{name}", "swapped_{name}"))
    config = hub.hub_config
    monkeypatch.setattr(
        hub, "hub_config", lambda s, name, p, made, settings: config(s, f"swapped_{name}", p, made, settings)
    )
    with pytest.raises(InputError, match="timm reads another network"):
        hub.hub_files(spec, build(spec, seed=1), preparation(spec))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["efficientnet-b0", "--out", "x"], "has no weights"),
        (["nothing.pt", "--out", "x"], "No such file"),
        (["winner.pt", "--out", "full"], "is not empty"),
        (["winner.pt", "--out", "winner.pt"], "no folder"),
        (["winner.pt"], "--out"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(words, message, checkpoint, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    done = nas("push", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
