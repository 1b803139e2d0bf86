"""Exports are loaded by the library they are for: same parameters, same outputs, or refused with the reason."""

import importlib.util
import io
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from nas.data.load import load_data
from nas.export import to_text
from nas.export.exact import NotExpressibleError, check_exact
from nas.export.onnx import onnx_bytes
from nas.export.probe import give_sight
from nas.export.program import program_bytes
from nas.export.timm import build_timm, timm_arguments, timm_module
from nas.export.torchvision import build_torchvision, torchvision_arguments, torchvision_module
from nas.network import known_networks, resolve_spec, scale
from nas.network.builder import build
from nas.training.checkpoint import load_checkpoint
from search_spaces import SPACES, InputError, NetworkSpec, StageSpec, reference
from search_spaces.spec import StemSpec
from tests.command import good, nas

REASONS = re.compile(r"not expressible in (timm|torchvision): \w+")


def loaded(text, tmp_path):
    """The module as a user's program would import it."""
    (tmp_path / "exported.py").write_text(text)
    found = importlib.util.spec_from_file_location("exported", tmp_path / "exported.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def small(spec):
    return spec.replace(resolution=min(spec.resolution, 64), num_classes=10)


def shallow(spec):
    """With one block a stage, two in the last: a program's exporter takes most of a second for each block."""
    last = replace(spec.stages[-1], repeats=2)
    return small(spec).replace(stages=(*(replace(stage, repeats=1) for stage in spec.stages[:-1]), last))


def round_trip(spec, counts):
    """Either the other library makes the same network (checked inside), or it is refused for a reason."""
    for name, make in (("timm", build_timm), ("torchvision", build_torchvision)):
        try:
            make(spec)
        except NotExpressibleError as error:
            if not REASONS.search(str(error)):  # not a stated reason: the export itself is at fault
                raise
        else:
            counts[name] = counts.get(name, 0) + 1


LATER = ("efficientnet-v2", "mobilenet-v4")
"""Spaces whose networks have five times as many blocks."""


@pytest.mark.parametrize("space", SPACES)
def test_random_specs(space, random_specs):
    counts, number = {}, 1 if space in LATER else 2
    for spec in random_specs(space, number, seed=5):
        round_trip(shallow(spec), counts)
    if space != "mnasnet":  # there nearly every network has a pooling skip
        assert counts["timm"] == number


SPACE = """
schema: 1
space: small
stages:
- {op: [mbconv2, mbconv3], channels: [16, 24], stride: 2, kernel: [3, 5], se_ratio: [0, 0.25]}
- {op: [mbconv3, ds], channels: [24, 32], repeats: 2}
network: {stem: {channels: 16}, head_channels: 64}
"""


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_200_random_specs(space, random_specs):
    counts, number = {}, 10 if space in LATER else 200
    for spec in random_specs(space, number, seed=6):
        round_trip(small(spec), counts)
    print(space, counts)
    assert space == "mnasnet" or counts["timm"] >= 0.75 * number


LARGE = ("regnety-400mf", "regnety-800mf", "regnety-1.6gf", "efficientnet-b1", "efficientnet-b2", "efficientnetv2-b0", "mobilenetv3-large", "mobilenetv4-conv-m", "mobilenetv4-conv-l", *(f"efficientnet-lite{member}" for member in range(1, 5)), "efficientnetv2-s", "efficientnetv2-m", "efficientnetv2-l", "efficientnetv2-b1", "efficientnetv2-b2",
         "efficientnetv2-b3", "efficientnet-b3", "efficientnet-b4", "efficientnet-b5", "efficientnet-b6",
         "efficientnet-b7")  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in known_networks()],
)
def test_references(name):
    spec, counts = small(resolve_spec(name)), {}
    round_trip(spec, counts)
    expected = {
        "mnasnet-a1": {"timm"},
        "mnasnet-b1": {"timm"},
        "mobilenet-v2": {"timm"},
        "mobilenet-v1": {"timm"},
        "resnet50": set(),
        **{f"mobilenetv4-conv-{size}": {"timm"} for size in "sml"},
    }
    expected |= {f"efficientnet-lite{member}": {"timm"} for member in range(5)}
    assert set(counts) == expected.get(name, {"timm", "torchvision"})


@pytest.mark.parametrize("cut", [shallow, pytest.param(small, marks=pytest.mark.slow)])
def test_scaled_members_round_the_same(cut):
    counts = {}
    for phi in (0.5, 1, 2.3) if cut is small else (2.3,):
        round_trip(cut(scale(reference("efficientnet-b0"), phi)), counts)
    assert counts == dict.fromkeys(("timm", "torchvision"), 3 if cut is small else 1)


@pytest.mark.parametrize(
    ("stage", "timm", "torchvision"),
    [
        (
            StageSpec("mbconv", 24, expansion=6, stride=2, skip="pooling"),
            "stage0: .*pooling",
            "stage0: .*pooling",
        ),
        (StageSpec("conv", 24, se_ratio=0.25), "stage0: .*no SE", "stage0: .*fused MBConv has no SE"),
        (StageSpec("fused", 24, 3, 2, 4, 1, 0.25), None, "stage0: .*fused MBConv has no SE"),
        (StageSpec("fused", 32, expansion=1.1), None, "stage0: .*keeps the width.*no projection"),
        (StageSpec("basic", 24, stride=2), "stage0: .*no op 'basic'", "stage0: .*no op 'basic'"),
        (
            StageSpec("ds", 24, stride=3, se_ratio=0.25),
            "stage0: .*stride 1 or 2, not 3",
            "stage0: .*stride 1 or 2, not 3 .*MBConv1 k3 s3 SE",
        ),
        (StageSpec("dsa", 32), "stage0: .*dsa block has no skip", "stage0: .*no op 'dsa'"),
        (StageSpec("mbconv", 32, expansion=1.1), None, "stage0: .*expansion 1.1 keeps the width"),
        (StageSpec("ds", 32, se_ratio=0.25, skip="pooling"), None, None),  # it keeps the shape: an identity
    ],
)
def test_reasons_name_the_stage(stage, timm, torchvision):
    spec = small(reference("efficientnet-b0")).replace(stages=(stage,))
    for make, reason in ((timm_arguments, timm), (torchvision_arguments, torchvision)):
        if reason is None:
            make(spec)
        else:
            with pytest.raises(NotExpressibleError, match=reason):
                make(spec)


def test_a_wrong_network_is_found_out():
    spec = small(reference("efficientnet-b0"))
    with pytest.raises(NotExpressibleError, match="parameters"):
        check_exact(spec, build_timm(small(reference("mobilenet-v2"))), "timm")
    other = build(spec.replace(activation="relu"), seed=0)
    with pytest.raises(NotExpressibleError, match="outputs differ"):
        check_exact(spec, other, "ours")


@pytest.mark.parametrize(
    ("write", "name", "params", "maker"),
    [
        (timm_module, "efficientnet-b0", 5_288_548, "EfficientNet"),
        (torchvision_module, "efficientnet-b0", 5_288_548, "EfficientNet"),
        (torchvision_module, "mobilenetv3-small", 2_542_856, "MobileNetV3"),
        (timm_module, "regnety-200mf", 3_162_996, "RegNet"),
        (torchvision_module, "regnety-200mf", 3_162_996, "RegNet"),
    ],
)
def test_the_module_stands_alone(write, name, params, maker, tmp_path):
    text = write(reference(name))
    module = loaded(text, tmp_path)
    assert "nas" not in set(re.findall(r"^ *(?:from|import) (\w+)", text, re.M))
    model = module.build()
    assert (type(model).__name__, sum(p.numel() for p in model.parameters())) == (maker, params)
    assert module.build(num_classes=7)(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("mnasnet", "resnet50", "efficientnetv2-b0", "mobilenetv3-small", "mobilenetv4-conv-s")
    ],
)
def test_onnx_of_any_network(name, random_specs):
    spec = shallow(random_specs(name, 1)[0]) if name in SPACES else small(reference(name))
    model = give_sight(build(spec, seed=0), 3)
    session = onnxruntime.InferenceSession(onnx_bytes(spec, model))
    (logits,) = session.run(None, {"images": np.zeros((5, 3, 64, 64), np.float32)})
    assert logits.shape == (5, 10)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("space", SPACES)
def test_onnx_of_200_random_specs(space, random_specs):
    """Checked inside: ONNX Runtime's outputs within 2e-4 of their spread, for batches of 1, 2 and 3."""
    for spec in random_specs(space, 10 if space in LATER else 200, seed=7):
        onnx_bytes(small(spec), give_sight(build(small(spec), seed=0), 3))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("form", ["exported", "torchscript"])
@pytest.mark.parametrize("space", SPACES)
def test_programs_of_200_random_specs(space, form, random_specs):
    for spec in random_specs(space, 10 if space in LATER else 200, seed=8):
        program_bytes(small(spec), give_sight(build(small(spec), seed=0), 3), form)


@pytest.mark.parametrize(
    ("form", "name", "whole"),
    [
        ("exported", "mnasnet", False),
        ("torchscript", "resnet50", False),
        *(
            pytest.param(form, name, True, marks=pytest.mark.slow)
            for form in ("exported", "torchscript")
            for name in ("mnasnet", "resnet50")
        ),
    ],
)
def test_programs_run_without_this_package(form, name, whole, random_specs, tmp_path):
    spec = small(random_specs("mnasnet", 1, seed=2)[0] if name == "mnasnet" else reference(name))
    if not whole:
        spec = spec.replace(stages=tuple(replace(stage, repeats=1) for stage in spec.stages[:3]))
    model = build(spec, seed=3).eval()
    (tmp_path / "program").write_bytes(program_bytes(spec, model, form))
    code = (
        "import sys, torch; load = torch.export.load if sys.argv[2] == 'exported' else torch.jit.load;"
        "program = load(sys.argv[1]); program = program.module() if sys.argv[2] == 'exported' else program;"
        "torch.manual_seed(0); print(program(torch.randn(5, 3, 64, 64)).sum(1).tolist(), 'nas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "program"), form],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        expected = model(torch.randn(5, 3, 64, 64)).sum(1)
    text, imported = done.stdout.rsplit(" ", 1)
    assert imported.strip() == "False"
    assert np.allclose(json.loads(text), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_arguments_as_json(library, tmp_path):
    good("export", "efficientnet-b0", "--to", library, "--out", str(tmp_path / "b0.json"))
    make = timm_arguments if library == "timm" else torchvision_arguments
    written = json.loads((tmp_path / "b0.json").read_text())
    assert written == json.loads(json.dumps(make(reference("efficientnet-b0"))))


def test_the_whole_way_ends_with_the_same_accuracy(trainings, tmp_path):
    """Search, train, export, and the other libraries classify the test images alike."""
    (tmp_path / "space.yaml").write_text(SPACE)
    data = ["--data", "digits", "--set", "batch=64"]
    proxy = ["--epochs", "1", "--width", "0.5", "--subset", "0.2"]
    good("search", "--space", tmp_path / "space.yaml", *data, *proxy, "--trials", "2", "--target", "300k",
         "--out", tmp_path / "run")  # fmt: skip
    training = [*data, "--epochs", "4", "--stem-stride", "2", "--resolution", "16"]
    flags = ["--set", "ema=0.5", "--out", tmp_path / "w.pt", "--json"]
    trained = json.loads(good("train", tmp_path / "run" / "best.yaml", *training, *flags))
    assert trained["test_accuracy"] > 0.3
    good("export", tmp_path / "w.pt", "--to", "timm", "--out", tmp_path / "theirs.py")
    good("export", tmp_path / "w.pt", "--to", "onnx", "--out", tmp_path / "w.onnx")

    data = load_data("digits").at(16)
    mean, std = torch.tensor(data.mean).view(1, -1, 1, 1), torch.tensor(data.std).view(1, -1, 1, 1)
    images = (torch.tensor(data.test.images).float() / 255 - mean) / std
    model = loaded((tmp_path / "theirs.py").read_text(), tmp_path).build()
    model.load_state_dict(load_file(tmp_path / "theirs.safetensors"))
    with torch.no_grad():
        by_timm = model.eval()(images).argmax(1).numpy()
    session = onnxruntime.InferenceSession(tmp_path / "w.onnx")
    by_onnx = session.run(None, {"images": images.numpy()})[0].argmax(1)
    for predicted in (by_timm, by_onnx):
        assert (predicted == data.test.labels).mean() == pytest.approx(trained["test_accuracy"], abs=1e-9)
    spec, _, _ = load_checkpoint(tmp_path / "w.pt")
    assert spec.in_channels == 1


def test_another_resolution_and_any(tmp_path):
    """`--resolution` acts on every format, `--dynamic-size` on the programs; elsewhere it is refused."""
    spec = NetworkSpec(
        "tiny", (StageSpec("mbconv", 8, 3, 2, 2, 1, 0.25, "pooling"),), StemSpec(8), 16, 32, num_classes=5
    )
    (tmp_path / "tiny.yaml").write_text(to_text(spec, "yaml"))
    flags = ["--resolution", "48", "--out", tmp_path / "tiny.onnx"]
    assert "any batch, 48 px" in good("export", tmp_path / "tiny.yaml", "--to", "onnx", *flags)
    (images,) = onnxruntime.InferenceSession(tmp_path / "tiny.onnx").get_inputs()
    assert images.shape[1:] == [3, 48, 48]
    assert "resolution: 48" in good("export", tmp_path / "tiny.yaml", "--to", "yaml", "--resolution", "48")
    for form, word in (("timm", "takes images of any size"), ("yaml", "--dynamic-size")):
        done = nas("export", tmp_path / "tiny.yaml", "--to", form, "--dynamic-size", cwd=tmp_path)
        assert (done.returncode, word in done.stderr, done.stderr.count("\n")) == (2, True, 1)
    done = nas("export", tmp_path / "tiny.yaml", "--to", "onnx", "--resolution", "0", cwd=tmp_path)
    assert (done.returncode, "resolution 0: expected" in done.stderr) == (2, True)

    model = give_sight(build(spec, seed=0), 3)
    session = onnxruntime.InferenceSession(onnx_bytes(spec, model, dynamic=True))
    with pytest.raises(
        InputError, match="stage0: --dynamic-size: exported would fix how a pooling skip rounds"
    ):
        program_bytes(spec, model, "exported", dynamic=True)
    plain = spec.replace(stages=(StageSpec("mbconv", 8, 3, 2, 2, 1, 0.25),))
    same = give_sight(build(plain, seed=0), 3)
    program = torch.export.load(io.BytesIO(program_bytes(plain, same, "exported", dynamic=True))).module()
    given = torch.randn(2, 3, 37, 91)
    (logits,) = session.run(None, {"images": given.numpy()})
    with torch.no_grad():
        assert np.allclose(logits, model(given).numpy(), atol=1e-4)
        assert torch.allclose(program(given), same(given), atol=1e-6)


@pytest.mark.parametrize("total", [64, 128])
def test_more_strides_than_timm_takes_by_default(total):
    """Beyond a stride of 32 in all timm would dilate instead."""
    stages = tuple(StageSpec("mbconv", 16, stride=2, expansion=2) for _ in range(total.bit_length() - 2))
    spec = NetworkSpec("deep", stages, StemSpec(8), 16, 64, num_classes=5)
    assert all(c.dilation == (1, 1) for c in build_timm(spec).modules() if isinstance(c, torch.nn.Conv2d))


def test_a_librarys_own_exception_is_one_line(monkeypatch):
    import nas.export.torchvision as export

    monkeypatch.setattr(export, "BUILDER", "def build():\n    raise ValueError('first line\\nsecond')")
    spec = small(reference("efficientnet-b0"))
    with pytest.raises(InputError) as caught:
        build_torchvision(spec)
    assert str(caught.value) == "efficientnet-b0: torchvision fails: ValueError: first line second"


@pytest.mark.parametrize(
    ("package", "extra"), [("onnxscript", "onnx"), ("onnxruntime", "onnx"), ("timm", "timm")]
)
def test_a_missing_package_is_named(package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, module)
    spec = small(reference("efficientnet-b0"))
    with pytest.raises(
        InputError, match=rf"{package} is not installed; pip install 'baseline-nas\[{extra}\]'"
    ):
        build_timm(spec) if extra == "timm" else onnx_bytes(spec, build(spec, seed=0))


@pytest.mark.parametrize("resolution", [1, 2, 7])
def test_images_smaller_than_the_kernels(resolution):
    spec = NetworkSpec(
        "tiny",
        (StageSpec("mbconv", 8, 7, 2, 2), StageSpec("ds", 8, 31)),
        StemSpec(8),
        16,
        resolution,
        num_classes=5,
    )
    build_timm(spec)
    program_bytes(spec, build(spec, seed=0), "exported")


def test_bad_input(tmp_path):
    done = nas("export", "efficientnet-b0", "--to", "onx", cwd=tmp_path)
    assert (done.returncode, "did you mean 'onnx'" in done.stderr) == (2, True)
    done = nas("export", "resnet50", "--to", "timm", "--out", "x.py", cwd=tmp_path)
    assert (done.returncode, "not expressible in timm" in done.stderr) == (2, True)
    (tmp_path / "x.pt").write_text("no checkpoint")
    done = nas("export", "x.pt", "--to", "timm", cwd=tmp_path)
    assert (done.returncode, "no checkpoint" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]
