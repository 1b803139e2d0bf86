"""What a search is held to really exports: the rules, the spaces they leave, and the exporters agree."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from nas.export.exact import NotExpressibleError, check_expressible
from nas.export.exportable import default_exports, describe_space, exportable_space, parse_formats
from nas.export.expressible import RULES, find_obstacle
from nas.export.formats import EXPORTS
from nas.export.onnx import onnx_bytes
from nas.export.probe import give_sight
from nas.export.timm import build_timm, timm_arguments
from nas.export.torchvision import build_torchvision
from nas.network.builder import build
from nas.runs.flat import make_settings, read_settings
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.training.proxy import ProxyTask
from search_spaces import SPACES, InputError, StagedSpace, StageSpec, get_space, reference
from search_spaces.document import write_document
from search_spaces.spec import StemSpec
from tests.command import good, nas

DEFAULT = parse_formats(default_exports("mnasnet"))


def default_space():
    return exportable_space(get_space("mnasnet"), DEFAULT)


def drawn(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.decode(space.sample(rng)).replace(resolution=64, num_classes=10) for _ in range(count)]


def export_all(specs):
    """To timm and ONNX, each checked inside for equal parameters and outputs."""
    for spec in specs:
        build_timm(spec)
        onnx_bytes(spec, give_sight(build(spec, seed=0), 3))


def test_1000_networks_of_the_default_space_obey_the_rules():
    assert DEFAULT == ("timm", "onnx")
    for spec in drawn(default_space(), 1000):
        assert all(find_obstacle(form, spec) is None for form in DEFAULT)
        timm_arguments(spec)
    shapes = {(s.op, bool(s.se_ratio), s.skip) for spec in drawn(default_space(), 200) for s in spec.stages}
    assert len(shapes) == 3 * 2 * 2 - 2  # all but the plain convolution with SE, by its two skips


def test_networks_of_the_default_space_export():
    """To ONNX of one block a stage, which takes ten times as long as timm."""
    first, *others = drawn(default_space(), 2, seed=1)
    export_all([first.replace(stages=tuple(replace(stage, repeats=1) for stage in first.stages))])
    for spec in others:
        build_timm(spec)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_200_networks_of_the_default_space_export():
    export_all(drawn(default_space(), 200, seed=3))


IN_TORCHVISION = [name for name in SPACES if name != "mobilenet-v4"]


@pytest.mark.parametrize("space", IN_TORCHVISION)
def test_what_is_left_for_torchvision_builds_there(space):
    (spec,) = drawn(exportable_space(get_space(space), ("torchvision",)), 1, seed=4)
    stages = (replace(stage, repeats=min(stage.repeats, 2)) for stage in spec.stages)
    build_torchvision(spec.replace(stages=tuple(stages)))


def test_a_space_with_mobilenet_v3s_head_is_held_to_its_class():
    """Which class of torchvision says a network is told by what all of a space share: its head."""
    stage = {"op": ["mbconv3", "conv", "ds"], "channels": [16, 20], "stride": 2, "kernel": [3, 5]}
    stages = [stage, stage | {"se_ratio": [0, 0.25], "activation": ["relu", "hard_swish", "silu"]}]
    network = {"activation": "hard_swish", "pooled_channels": 24, "head_channels": 48}
    space = exportable_space(own(*stages, **network), ("torchvision",))
    assert space.stages[0].op == ("mbconv3", "ds")
    specs = drawn(space, 3)
    for spec in specs:
        build_torchvision(spec)
    assert {spec.pooled_channels for spec in specs} == {24}
    with pytest.raises(
        InputError, match=r"stem: nothing is left: .*MobileNetV3's stem is hard_swish, not relu"
    ):
        exportable_space(own(stage, **network | {"activation": "relu"}), ("torchvision",))


def test_a_space_of_bottlenecks_is_held_to_regnet():
    """By torchvision; timm's has four stages, which not all networks of a space need have."""
    stage = {"op": ["bottleneck0.5", "bottleneck1"], "channels": 16, "stride": 2, "skip": ["projection"]}
    rest = {"head_channels": 0, "dropout": 0, "stochastic_depth": 0, "activation": "relu"}
    space = own(stage, stage, stage, stage | {"op": ["bottleneck1", "basic"]}, **rest)
    left = exportable_space(space, ("torchvision",))
    assert (space.size, left.size) == (16, 8)
    build_torchvision(drawn(left, 1)[0])
    with pytest.raises(InputError, match="stage0: nothing is left: .*its RegNet four stages"):
        exportable_space(left, ("timm",))


def test_a_head_that_torchvision_lacks_leaves_nothing():
    with pytest.raises(InputError, match="mobilenet-v4.*head: nothing is left: .*between the pooling"):
        exportable_space(get_space("mobilenet-v4"), ("torchvision",))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("space", IN_TORCHVISION)
def test_100_networks_left_for_torchvision_build_there(space):
    count = 10 if space == "efficientnet-v2" else 100  # they have five times as many blocks
    for spec in drawn(exportable_space(get_space(space), ("torchvision",)), count, seed=5):
        build_torchvision(spec)


def test_a_rule_that_is_too_lax_is_caught(monkeypatch):
    """With the rule that plain convolutions have no SE left out, the same sample doesn't export."""
    strict = RULES["timm"]

    def lax(*given):
        reason = strict.stage(*given)
        return None if reason == "its plain convolution has no SE" else reason

    monkeypatch.setitem(RULES, "timm", strict._replace(stage=lax))
    with pytest.raises(InputError, match="timm"):
        for spec in drawn(default_space(), 6, seed=1):
            build_timm(spec)


def test_a_rule_that_is_too_strict_is_seen(random_specs):
    """What the rules refuse, timm's builder can't make: the refused stages have what it lacks."""
    for spec in random_specs("mnasnet", 200, seed=6):
        found = find_obstacle("timm", spec)
        bad = [s for s in spec.stages if s.skip == "pooling" or (s.op == "conv" and s.se_ratio)]
        assert (found is not None) == bool(bad)
        if found is not None:
            assert spec.stages[found.part] == bad[0]
            with pytest.raises(NotExpressibleError, match=rf"stage{found.part}: not expressible in timm"):
                check_expressible(spec, "timm")


def test_each_format_of_other_programs_has_rules():
    assert set(RULES) == {name for name, form in EXPORTS.items() if form.library or form.program}


@pytest.mark.slow
def test_se_of_any_rounding_and_stems_of_any_stride_export():
    """What timm would round otherwise is written as the ratio that it rounds right, block by block."""
    b0 = reference("efficientnet-b0").replace(resolution=64, num_classes=10)
    odd = b0.replace(
        stages=(
            StageSpec("ds", 18, repeats=2, se_ratio=0.25),
            StageSpec("mbconv", 30, 3, 2, 3, 3, 0.25),
            StageSpec("mbconv", 22, 5, 1, 2.5, 3, 0.3, "none"),
            StageSpec("mbconv", 50, 5, 1, 6, 2),
        )
    )
    assert len(timm_arguments(odd)["arch_def"][0]) == 2
    for spec in (odd, odd.replace(stem=StemSpec(32, 3, 3))):
        build_timm(spec)
        build_torchvision(spec)
    model = build_timm(odd.replace(stem=StemSpec(32, 3, 1)))
    assert [row["reduction"] for row in model.feature_info] == [1, 2]


@pytest.mark.slow
def test_what_is_trained_on_small_images_exports():
    """The digits' proxy of a deep network: the probe has to see at 16 pixels, where padding is most of it."""
    stages = [
        StageSpec("mbconv", 16, 5, 1, 3, 2, skip="none"), StageSpec("mbconv", 24, 3, 2, 6, 3, 0.25),
        StageSpec("ds", 32, 5, 2, 1, 3), StageSpec("mbconv", 80, 3, 2, 6, 5, skip="none"),
        StageSpec("ds", 72, 3, 1, 1, 4, skip="none"), StageSpec("ds", 160, 5, 2, 1, 2),
        StageSpec("mbconv", 320, 3, 1, 6, 2),
    ]  # fmt: skip
    spec = ProxyTask(16, 0.25, 1).apply(reference("efficientnet-b0").replace(stages=tuple(stages)), 10, 1)
    build_timm(spec)
    onnx_bytes(spec, build(spec, seed=0))  # weights by which nothing is seen: the probe's are needed


def test_the_space_says_what_is_left():
    text = "mnasnet, exportable to timm and onnx: 5.1e16 of 2.22e18 architectures (2.3%)"
    assert describe_space(default_space()) == text
    left = exportable_space(get_space("accel-nasbench"), ("timm", "torchvision", "onnx"))
    expected = "accel-nasbench, exportable to timm, torchvision and onnx: all of its 1.04e11 architectures"
    assert describe_space(left) == expected
    assert left.decisions == get_space("accel-nasbench").decisions
    assert exportable_space(left, ("timm",)) is left


def test_the_help_tells_the_true_share():
    text = " ".join(good("search", "--help").split())
    assert "Default: timm,onnx, which is 2.3% of mnasnet, all of the other spaces" in text
    shares = json.loads(good("space", "--json"))
    for name, row in shares.items():
        assert (row["exportable"]["torchvision"] > 0) == (name in IN_TORCHVISION)
        part = row["exportable"]["timm"] / row["size"]
        assert part == (pytest.approx(0.023, abs=0.0005) if name == "mnasnet" else 1)


RESNET = {"op": ["basic", "bottleneck0.25"], "channels": 64}


def own(*stages, **network):
    document = {"schema": 1, "space": "own", "stages": list(stages), "network": network}
    return StagedSpace.from_document(document)


@pytest.mark.parametrize(
    ("space", "formats", "message"),
    [
        (own(RESNET), "timm", "stage0: nothing is left: its EfficientNet builder has no op 'basic'"),
        (own({"op": ["ds", "conv"], "channels": 8}, RESNET), "torchvision,onnx", "stage1: nothing is left"),
        (own({"op": ["ds", "conv"], "channels": 8}, activation="relu"), "torchvision", "is silu, not relu"),
        (own({"op": ["ds", "conv"], "channels": 8}, stem={"pool": True}), "timm", "stem: nothing is left"),
    ],
)  # fmt: skip
def test_nothing_left_is_one_error(space, formats, message, tmp_path):
    write_document(tmp_path / "own.yaml", space.to_document())
    command = [
        "search",
        "--space",
        tmp_path / "own.yaml",
        "--exportable-to",
        formats,
        "--out",
        tmp_path / "x",
    ]
    done = nas(*command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.search(rf"exportable-to {formats.split(',')[0]}.*space 'own': .*{message}", done.stderr)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("formats", "message"),
    [("timn", "did you mean 'timm'"), ("yaml", "expected one of timm"), ("any,timm", "expected it alone"),
     ("", "unknown exportable-to ''")],
)  # fmt: skip
def test_odd_formats_are_refused(formats, message):
    with pytest.raises(InputError, match=message):
        make_settings(exportable_to=formats)


BENCHMARK = ["search", "--evaluator", "benchmark", "--controller", "random"]


def test_a_run_keeps_what_it_was_held_to(tmp_path):
    """In search.yaml, with the space itself: going on needs no rules, and changes nothing."""
    settings = make_settings(exportable_to="onnx,timm", trials=2)
    run = Run.create(tmp_path / "run", settings)
    document = {**settings.to_document()}
    document["space"]["document"] = run.space.to_document()
    again = read_settings(json.loads(json.dumps(document)), "there")
    assert again.make_space().to_document() == default_space().to_document()
    assert again.space.exportable_to == "onnx,timm"
    # of the first runs nothing says so: the whole space
    assert SearchSettings().make_space().size == get_space("mnasnet").size
    del document["space"]["exportable_to"], document["space"]["document"]
    assert read_settings(document, "there").make_space().to_document() == get_space("mnasnet").to_document()


def test_nas_search_holds_built_in_spaces_to_the_default(tmp_path):
    done = nas(*BENCHMARK, "--trials", "2", "--out", tmp_path / "a")
    assert "space accel-nasbench, exportable to timm and onnx: all of its 1.04e11 arch" in done.stderr
    assert Run.open(tmp_path / "a").settings.space.exportable_to == "timm,onnx"
    done = nas(*BENCHMARK, "--trials", "2", "--out", tmp_path / "b", "--exportable-to", "any")
    assert "space accel-nasbench: 1.04e11 architectures" in done.stderr
    # a run from before goes on by the same command, in its own space
    more = ["--trials", "3", "--out", tmp_path / "b", "--or-resume"]
    assert nas(*BENCHMARK, *more).returncode == 0
    done = nas(*BENCHMARK, *more, "--exportable-to", "timm")
    assert (done.returncode, "exportable-to 'timm': the run in" in done.stderr) == (2, True)


def test_a_space_of_ones_own_is_searched_as_written_unless_asked(tmp_path):
    write_document(tmp_path / "own.yaml", get_space("accel-nasbench").to_document() | {"space": "own"})
    flags = ["--space", tmp_path / "own.yaml", "--trials", "2"]
    done = nas(*BENCHMARK, *flags, "--out", tmp_path / "a")
    assert "space own: 1.04e11" in done.stderr
    done = nas(*BENCHMARK, *flags, "--out", tmp_path / "b", "--exportable-to", "timm")
    assert "space own, exportable to timm: all" in done.stderr
    # from a settings file it can be held to more, not to less
    config = ["--config", tmp_path / "b" / "search.yaml", "--exportable-to"]
    done = nas("search", *config, "timm,torchvision", "--trials", "2", "--out", tmp_path / "c")
    assert "space own, exportable to timm and torchvision: all" in done.stderr
    done = nas("search", *config, "any", "--out", tmp_path / "d")
    assert (done.returncode, "exported to timm; give --space" in done.stderr) == (2, True)
