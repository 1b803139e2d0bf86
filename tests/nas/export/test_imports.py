"""Imports are the inverse of exports: read as written, refused for the true reason, names answered briefly."""

import re
from pathlib import Path

import pytest
from torch import nn

from nas.export import from_model
from nas.export.from_model import import_spec, read_model, stochastic_depth
from nas.export.import_table import family_names, outcome, rows
from nas.export.library_model import LibraryModel, find_model
from nas.export.settings import Drop, drops
from nas.export.timm import build_timm, timm_module
from nas.export.torchvision import build_torchvision, torchvision_module
from nas.network import known_networks, resolve_spec, scale
from nas.network.builder import build
from search_spaces import SPACES, InputError, NetworkSpec, StageSpec, reference
from search_spaces.spec import StemSpec
from tests.command import good, nas

PAGE = Path(__file__).parents[3] / "docs" / "imports.md"

KNOWN = {
    "torchvision:efficientnet_b0": "efficientnet-b0",
    "torchvision:mobilenet_v2": "mobilenet-v2",
    "torchvision:resnet50": "resnet50",
    "timm:efficientnet_b0": "efficientnet-b0",
    "timm:efficientnetv2_s": "efficientnetv2-s",
    "torchvision:efficientnet_v2_s": "efficientnetv2-s",
    "torchvision:efficientnet_v2_m": "efficientnetv2-m",
    "timm:efficientnetv2_m": "efficientnetv2-m",
    "torchvision:efficientnet_v2_l": "efficientnetv2-l",
    "timm:efficientnetv2_l": "efficientnetv2-l",
    "torchvision:mobilenet_v3_large": "mobilenetv3-large",
    "timm:mobilenetv3_large_100": "mobilenetv3-large",
    "torchvision:mobilenet_v3_small": "mobilenetv3-small",
    "timm:mobilenetv3_small_100": "mobilenetv3-small",
    "timm:mobilenetv4_conv_small": "mobilenetv4-conv-s",
    "timm:mobilenetv4_conv_medium": "mobilenetv4-conv-m",
    "timm:mobilenetv4_conv_large": "mobilenetv4-conv-l",
    "timm:semnasnet_100": "mnasnet-a1",
    "timm:mnasnet_100": "mnasnet-b1",
    "timm:regnety_002": "regnety-200mf",
    "timm:regnety_004": "regnety-400mf",
    "timm:regnety_008": "regnety-800mf",
    "timm:regnety_016": "regnety-1.6gf",
    "torchvision:regnet_y_400mf": "regnety-400mf",
    "torchvision:regnet_y_1_6gf": "regnety-1.6gf",
    "torchvision:mnasnet1_0": "mnasnet-b1",
    **{f"timm:efficientnet_lite{member}": f"efficientnet-lite{member}" for member in range(5)},
}


LARGE = tuple(
    source
    for source in KNOWN
    if source.endswith(
        (
            "_b1",
            "_b2",
            "v2_s",
            "v2_m",
            "v2_l",
            "lite1",
            "lite2",
            "lite3",
            "lite4",
            "v3_large",
            "y_008",
            "y_016",
            "y_1_6gf",
            "conv_medium",
            "conv_large",
        )
    )
    or source == "timm:mobilenetv3_large_100"
)


@pytest.mark.parametrize(
    ("source", "name"),
    [pytest.param(*pair, marks=[pytest.mark.slow] if pair[0] in LARGE else []) for pair in KNOWN.items()],
)
def test_imports_are_the_known_networks(source, name):
    spec, known = import_spec(source), resolve_spec(name)
    assert spec.blocks() == known.blocks()
    for field in ("stem", "head_channels", "pooled_channels", "pooled_norm", "activation"):
        assert getattr(spec, field) == getattr(known, field)


def test_stochastic_depth_is_read_as_written():
    assert import_spec("torchvision:efficientnet_b0").stochastic_depth == 0.2
    stages = (StageSpec("ds", 16, se_ratio=0.25), StageSpec("mbconv", 24, 3, 2, 2, 5, 0.25))
    spec = NetworkSpec("small", stages, StemSpec(8), 16, num_classes=7)
    for rate in (0.2, 1 / 3, 0.1, 0.45, 0.0):
        for make in (build_timm, build_torchvision):
            model = make(spec.replace(stochastic_depth=rate))
            assert read_model(model, "b0").stochastic_depth == rate
            ours = [drop.rate for drop in drops(build(spec.replace(stochastic_depth=rate))) if drop.acts]
            assert ours == pytest.approx([drop.rate for drop in drops(model) if drop.acts], abs=1e-12)
    with pytest.raises(InputError, match="the same step"):
        stochastic_depth([Drop(0, True), Drop(0.1, True), Drop(0.15, True), Drop(0.3, True)])
    with pytest.raises(InputError, match="first block drops"):
        stochastic_depth([Drop(0.1, True)])


def returns(spec, count):
    """Exported and read again it is the same spec, from both libraries where they take it."""
    for library, make in (("timm", build_timm), ("torchvision", build_torchvision)):
        try:
            model = make(spec)
        except InputError:
            continue
        again = read_model(model, spec.name).replace(resolution=spec.resolution)
        assert again.digest == spec.digest, (library, spec, again)
        count[library] = count.get(library, 0) + 1


BOTH = ("efficientnet-b0", "efficientnetv2-b0", "mobilenetv3-small", "regnety-200mf")
"""Of those below, what both libraries have."""


@pytest.mark.parametrize(
    "name",
    [
        *(
            "efficientnet-b0",
            "mnasnet-a1",
            "mobilenet-v1",
            "mobilenet-v2",
            "mobilenetv3-small",
            "mobilenetv4-conv-s",
            "regnety-200mf",
        ),
        pytest.param("efficientnetv2-b0", marks=pytest.mark.slow),
    ],
)
def test_what_is_exported_comes_back(name):
    count = {}
    dropout = 0 if "regnet" in name else 0.3  # torchvision's has none
    returns(resolve_spec(name).replace(num_classes=10, dropout=dropout), count)
    assert count.keys() == ({"timm", "torchvision"} if name in BOTH else {"timm"})


def test_odd_networks_come_back():
    """Widths that are no multiples of 8, ratios that aren't whole, settings of another kind."""
    count = {}
    stages = (
        StageSpec("conv", 20, 5, 2),
        StageSpec("ds", 20, 3, 1, 1, 2, 0.5, "none"),
        StageSpec("mbconv", 28, 7, 2, 2.5, 3, 0.25),
        StageSpec("mbconv", 36, 3, 1, 4.5, 2, 0, "none"),
        StageSpec("fused", 44, 5, 2, 2.5, 3, 0.25),
    )
    spec = NetworkSpec("odd", stages, StemSpec(12, 5), 50, 64, 4, 7, "hard_swish", 0.03, 1e-4, 0.35, 0.13)
    returns(spec, count)
    assert count == {"timm": 1}


def test_odd_networks_of_mobilenet_v3s_kind_come_back():
    """Other widths, kernels, gates and heads than the published ones, in a network with their head."""
    hard = {"gate": "hard_sigmoid"}
    stages = (
        StageSpec("ds", 20, 5, 2, activation="relu"),
        StageSpec("mbconv", 28, 7, 2, 2.75, 3, 0.25, activation="relu", **hard),
        StageSpec("mbconv", 36, 3, 1, 4, 2, 0.5, "none", **hard),
        StageSpec("ds", 36, 3, 1, 1, 2),
    )
    spec = NetworkSpec(
        "odd", stages, StemSpec(12, 3, 1), 50, 64, 3, 7, "hard_swish", 0.03, 1e-4, 0.35, 0.13, 40
    )
    count = {}
    returns(spec, count)
    assert count == {"timm": 1, "torchvision": 1}


@pytest.mark.slow
def test_a_scaled_network_comes_back():
    count = {}
    returns(scale(reference("efficientnet-b0"), 1.3).replace(num_classes=3), count)
    assert count == {"timm": 1, "torchvision": 1}


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("space", SPACES)
def test_200_random_specs_come_back(space, random_specs):
    count = {}
    for spec in random_specs(space, 200, seed=11):
        returns(spec.replace(num_classes=10), count)
    assert space == "mnasnet" or count["timm"] >= 150


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_known_networks_come_back():
    for name in known_networks():
        returns(resolve_spec(name).replace(num_classes=10), {})


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (timm_module, "efficientnet-b0"),
        (torchvision_module, "efficientnet-b0"),
        (torchvision_module, "mobilenetv3-small"),
        (timm_module, "regnety-200mf"),
        (torchvision_module, "regnety-200mf"),
    ],
)
def test_what_nas_export_wrote_can_be_imported(write, name, tmp_path):
    spec = reference(name).replace(num_classes=10, resolution=160)
    library = write.__name__.partition("_")[0]
    (tmp_path / "b0.py").write_text(write(spec) + "\nraise SystemExit('this file is not run')\n")
    assert import_spec(f"{library}:{tmp_path / 'b0.py'}").digest == spec.digest
    (tmp_path / "odd.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="expected what `nas export"):
        import_spec(f"{library}:{tmp_path / 'odd.json'}")
    (tmp_path / "odd.json").write_text('{"resolution": 3, "x": 1}')
    with pytest.raises(InputError, match="its constructor fails: KeyError"):
        import_spec(f"{library}:{tmp_path / 'odd.json'}")


REFUSED = {
    "timm:tf_efficientnet_b0": "pads as TensorFlow does (SAME)",
    "timm:tf_efficientnet_lite0": "pads as TensorFlow does (SAME)",
    "timm:efficientnetv2_rw_s": "fused MBConv of expansion 1 with a projection",
    "timm:tf_efficientnetv2_b0": "pads as TensorFlow does (SAME)",
    "timm:efficientnet_blur_b0": "anti-aliasing",
    "timm:efficientnet_b0_gn": "normalises with GroupNorm",
    "timm:test_efficientnet_evos": "normalises with EvoNorm",
    "timm:efficientnet_cc_b0_4e": "CondConv",
    "timm:mixnet_s": "MixConv",
    "timm:efficientnet_x_b3": "moves space to depth",
    "timm:mobilenetv3_rw": "its SE has a hard sigmoid, and Hardswish where a spec has ReLU",
    "timm:mobilenetv4_hybrid_medium": "it has attention",
    "timm:fbnetc_100": "expansion 1 with an expansion convolution",
    "timm:seresnet50": "SE stands behind the block's last convolution",
    "timm:resnet18d": "its stem has 3 convolutions",
    "timm:resnetblur18": "anti-aliasing",
    "timm:resnet50_gn": "normalises with GroupNorm",
    "timm:ecaresnet26t": "a gate other than SE",
    "timm:mobilenet_edgetpu_v2_xs": "grouped convolutions outside of bottlenecks",
    "timm:regnetz_005": "no activation behind the sum",
    "torchvision:vit_b_16": "not built of MBConv, MobileNet or ResNet blocks",
    "torchvision:vgg11": "not built of MBConv, MobileNet or ResNet blocks",
}


@pytest.mark.parametrize(("source", "words"), REFUSED.items())
def test_reasons_are_true(source, words):
    with pytest.raises(InputError) as caught:
        import_spec(source)
    message = str(caught.value)
    assert message.startswith(f"from {source!r}: no spec describes it exactly: ")
    assert any(word in message for word in words.split("|")), message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:efficientnet_b00", "the nearest are efficientnet_b0, "),
        ("timm:EfficientNet_B0", "the nearest are efficientnet_b0, "),
        ("torchvision:resnet5", "the nearest are resnet50, "),
        ("timm:efficientnet_b0.ra_in2k", "the nearest are ra_in1k"),
        ("timm:hf-hub:timm/efficientnet_b0.ra_in1k", "nothing is downloaded"),
        ("timm:hf-hub/x", "unknown model of timm"),
        ("timm:" + "x" * 5000, "no name is near it"),
        ("timm:", "expected a name after the colon"),
        ("torchvision:../x", "unknown model of torchvision"),
        ("keras:b0", "expected timm:NAME or torchvision:NAME"),
        ("x" * 5000, "expected timm:NAME or torchvision:NAME"),
        ("timm:absent.json", "No such file"),
    ],
)
def test_names_are_answered_briefly(source, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        find_model(source)
    assert len(str(caught.value)) < 250


def test_a_tag_names_the_architecture():
    assert find_model("timm:efficientnet_b0.ra_in1k").resolution == 224


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (lambda m: setattr(m.bn1, "eps", 1e-3), "epsilon differs from layer to layer"),
        (lambda m: setattr(m.bn2, "momentum", 0.5), "momentum differs from layer to layer"),
        (lambda m: setattr(m.blocks[1][0].conv_dw, "padding", (0, 0)), "don't pad by half"),
        (lambda m: setattr(m.blocks[1][0].conv_dw, "dilation", (2, 2)), "dilated|don't pad"),
        (lambda m: setattr(m.blocks[2][0].bn1, "act", nn.ReLU()), "several activations"),
        (lambda m: setattr(m.global_pool, "pool_type", "max"), "global pooling is not the average"),
        (lambda m: setattr(m.blocks[3][1], "forward", m.blocks[3][2].forward), "differ by"),
        (lambda m: setattr(m.blocks[3][1].se, "forward", lambda x: x), "differ by"),
        (lambda m: m.blocks[2].register_forward_hook(lambda module, given, y: y * 1.001), "differ by"),
    ],
)
def test_a_model_that_is_another_network_is_refused(plant, words, monkeypatch):
    """Whatever the modules look like: what can't be read off them is seen in the outputs."""
    import timm

    def make():
        model = timm.create_model("efficientnet_b0", num_classes=10)
        plant(model)
        return model

    monkeypatch.setattr(from_model, "find_model", lambda source: LibraryModel(source, make, 224))
    with pytest.raises(InputError, match=words):
        import_spec("timm:planted")


def test_import_command(tmp_path):
    good("import", "--from", "torchvision:mobilenet_v2", "--out", tmp_path / "m.yaml")
    assert "num_classes: 1000" in (tmp_path / "m.yaml").read_text()
    done = nas("import", "--table", "--from", "timm:resnet18", cwd=tmp_path)
    assert (done.returncode, "expected one of --from and --table" in done.stderr) == (2, True)
    assert nas("import", cwd=tmp_path).returncode == 2


SAMPLE = (
    "timm:mobilenetv1_100",
    "torchvision:mnasnet0_5",
    "timm:tf_efficientnet_b0",
    "timm:mixnet_s",
    "timm:efficientnet_cc_b0_4e",
)


def test_the_page_of_imports_is_true():
    """A sample of its rows; the whole page is made again by a slow test."""
    page = PAGE.read_text()
    for source in SAMPLE:
        found = outcome(source)
        if isinstance(found, NetworkSpec):
            assert f"| {source} | `{found.digest}` |" in page
        else:
            library, _, name = source.partition(":")
            section = page.split(f"**{found}**", 1)[1].split("**", 1)[0]
            assert re.search(rf"- {library}: .*\b{name}\b", section)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_page_of_imports():
    import timm

    page = PAGE.read_text()
    if f"timm {timm.__version__}" not in page:
        pytest.skip(f"docs/imports.md is of another timm than {timm.__version__}")
    sources = [f"{library}:{name}" for library in ("timm", "torchvision") for name in family_names(library)]
    assert "\n".join(rows({source: outcome(source) for source in sources})) + "\n" == page
