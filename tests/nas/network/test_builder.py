from functools import partial

import pytest
import timm
import torch
import torchvision

from nas.export.exact import check_exact
from nas.export.probe import SIZES
from nas.network import cost, published, resolve_spec
from nas.network.blocks import PoolingSkip
from nas.network.builder import build, copy_weights
from search_spaces import InputError, NetworkSpec, StageSpec, reference


def _torchvision(name):
    return getattr(torchvision.models, name)()


def _timm(name):
    return timm.create_model(name)


OTHERS = {
    "torchvision efficientnet-b0": torchvision.models.efficientnet_b0,
    "timm efficientnet-b0": lambda: timm.create_model("efficientnet_b0"),
    "torchvision mobilenet-v2": torchvision.models.mobilenet_v2,
    "torchvision resnet50": torchvision.models.resnet50,
    "timm mnasnet-a1": lambda: timm.create_model("mnasnet_a1"),
    **{
        f"{library} efficientnet-b{index}": partial(make, name=f"efficientnet_b{index}")
        for index in (1, 2, 3)
        for library, make in (("torchvision", _torchvision), ("timm", _timm))
    },
}


def randomise(model):
    """BN statistics as after training: with fresh ones an error in them would not show."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.normal_(layer.running_mean, std=0.3)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)


@pytest.mark.parametrize("name", OTHERS)
def test_same_network_as_the_other_library(name):
    torch.manual_seed(0)
    theirs, spec = OTHERS[name](), resolve_spec(name.split()[1])
    randomise(theirs)
    ours = build(spec)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    copy_weights(theirs, ours)
    images = torch.randn(2, 3, spec.resolution, spec.resolution)
    with torch.no_grad():
        expected = theirs.eval()(images)
        torch.testing.assert_close(ours.eval()(images), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0.01  # not all outputs equal by accident


@pytest.mark.parametrize("make", [_torchvision, _timm])
@pytest.mark.parametrize("index", range(8))
def test_published_family_has_the_same_params(index, make):
    theirs = make(f"efficientnet_b{index}")
    assert cost(published(f"efficientnet-b{index}")).params == sum(p.numel() for p in theirs.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("make", [_torchvision, _timm])
@pytest.mark.parametrize(
    "name", [*(f"efficientnet_b{index}" for index in range(8)), "resnet50", "mobilenet_v2"]
)
def test_other_libraries_models_have_the_same_macs(name, make):
    from fvcore.nn import FlopCountAnalysis

    if name == "mobilenet_v2" and make is _timm:
        name, ours = "mobilenetv2_100", "mobilenet-v2"
    else:
        ours = name.replace("_", "-")
    spec = resolve_spec(ours)
    images = torch.zeros(1, 3, spec.resolution, spec.resolution)
    counter = FlopCountAnalysis(make(name).eval(), images)
    found = counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    assert cost(spec).macs == found["conv"] + found["linear"]


@pytest.mark.parametrize(
    "member", ["b0", *(pytest.param(member, marks=pytest.mark.slow) for member in ("b1", "b2", "b3"))]
)
def test_efficientnet_v2s_small_members_are_timms(member):
    """timm has them with TensorFlow's padding; but for that it is the same network."""
    spec = resolve_spec(f"efficientnetv2-{member}")
    settings = {"drop_rate": spec.dropout, "drop_path_rate": spec.stochastic_depth, "bn_momentum": 0.1}
    theirs = timm.create_model(f"tf_efficientnetv2_{member}", pad_type="", **settings)
    check_exact(spec, theirs, "timm", sizes=SIZES[1:2])


@pytest.mark.parametrize(("size", "billions"), [("s", 8.366), ("m", 24.582), ("l", 56.08)])
def test_efficientnet_v2s_macs_are_torchvisions(size, billions):
    """What torchvision's weights say of themselves (`_ops`)."""
    assert cost(resolve_spec(f"efficientnetv2-{size}")).macs == pytest.approx(billions * 1e9, rel=1e-4)


def test_bn_settings_as_published():
    norms = [m for m in build(reference("efficientnet-b0")).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 49
    assert {(m.momentum, m.eps) for m in norms} == {(0.01, 1e-3)}


def test_stochastic_depth_grows_linearly():
    model = build(reference("efficientnet-b0"))
    rates = [block.drop.p for stage in model.stages for block in stage if block.drop is not None]
    expected = [
        0.2 * i / 16
        for i, block in enumerate(reference("efficientnet-b0").blocks())
        if block.skip == "identity"
    ]
    assert rates == pytest.approx(expected)


def test_copying_refuses_another_network():
    with pytest.raises(InputError, match="tensors"):
        copy_weights(torchvision.models.resnet18(), build(reference("resnet50")))
    b0 = reference("efficientnet-b0")
    with pytest.raises(InputError, match="does not fit"):
        copy_weights(build(b0), build(b0.replace(num_classes=10)))


def test_pooling_skip():
    x = torch.arange(2 * 3 * 5 * 5.0).reshape(2, 3, 5, 5)
    wider = PoolingSkip(5, 2)(x)
    assert wider.shape == (2, 5, 3, 3)
    assert torch.equal(wider[:, 3:], torch.zeros(2, 2, 3, 3))
    assert wider[0, 0, 0, 0] == x[0, 0, :2, :2].mean()
    assert wider[0, 0, 2, 2] == x[0, 0, 4, 4]  # the odd edge is its own mean
    assert torch.equal(PoolingSkip(2, 1)(x), x[:, :2])


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hard_swish"])
def test_activations_reach_the_blocks(activation):
    spec = NetworkSpec("any", (StageSpec("mbconv", 16, expansion=6, se_ratio=0.25),), activation=activation)
    names = {type(m).__name__ for m in build(spec).modules()}
    assert {"relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU", "hard_swish": "Hardswish"}[activation] in names


def test_seeded_build_leaves_torchs_state_alone():
    spec = resolve_spec("mobilenet-v2")
    state = torch.get_rng_state()
    first, second = build(spec, seed=3), build(spec, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
