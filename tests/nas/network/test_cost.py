import json
import warnings
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from nas.network import known_networks, resolve_spec
from nas.network.builder import build
from nas.network.cost import cost
from search_spaces import SPACES, InputError, accel_nasbench, reference
from search_spaces.accel_nasbench import from_record

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "costs.json").read_text())


def count(spec, resolution):
    """(MACs by fvcore's conv and linear operators, parameters) of the built module."""
    model = build(spec, seed=0).eval()
    image = torch.zeros(1, spec.in_channels, resolution, resolution)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counter = FlopCountAnalysis(model, image)
        operators = counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return operators["conv"] + operators["linear"], sum(p.numel() for p in model.parameters())


def assert_equal_to_fvcore(spec, resolution):
    ours = cost(spec, resolution)
    assert (ours.macs, ours.params) == count(spec, resolution), spec


def test_known_figures_of_b0():
    b0 = cost(reference("efficientnet-b0"))
    assert b0.params == 5_288_548
    assert b0.macs == 385_814_752
    assert b0.stages[-1].macs - 320 * 1280 * 49 == 1_280_000  # the linear layer
    assert b0.benchmark_macs == 415_145_024


@pytest.mark.parametrize("name", known_networks())
def test_golden(name):
    counted = cost(resolve_spec(name))
    assert {field: getattr(counted, field) for field in GOLDEN[name]} == GOLDEN[name]


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet-b0",
        "efficientnetv2-b0",
        "mnasnet-a1",
        "mobilenet-v1",
        "mobilenet-v2",
        "mobilenetv3-large",
        "mobilenetv3-small",
        "mobilenetv4-conv-s",
        "mobilenetv4-conv-m",
        "regnety-200mf",
        "resnet50",
    ],
)
def test_references_equal_fvcore(name):
    assert_equal_to_fvcore(resolve_spec(name), 224)


@pytest.mark.parametrize("phi", [1, 4])
def test_scaled_members_equal_fvcore(phi):
    spec = resolve_spec(f"efficientnet-b{phi}")
    assert_equal_to_fvcore(spec, spec.resolution)


@pytest.mark.parametrize("space", SPACES)
def test_random_architectures_equal_fvcore(space, random_specs):
    # networks of the later spaces have five times as many blocks
    sizes = (33,) if space in ("efficientnet-v2", "mobilenet-v4") else (32, 33, 56, 75)
    for spec, resolution in zip(random_specs(space, len(sizes), seed=7), sizes, strict=True):
        assert_equal_to_fvcore(spec, resolution)


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_500_random_architectures_equal_fvcore(space, random_specs):
    count = 12 if space in ("efficientnet-v2", "mobilenet-v4") else 500
    for index, spec in enumerate(random_specs(space, count, seed=8)):
        assert_equal_to_fvcore(spec, (64, 224, 97)[index % 3])


@pytest.mark.parametrize("op", ["basic", "bottleneck", "dsa", "conv", "mbconv", "ds", "fused"])
@pytest.mark.parametrize("skip", ["none", "identity", "pooling", "projection"])
@pytest.mark.parametrize("se", [0, 0.25])
def test_every_op_and_skip_equals_fvcore(op, skip, se):
    from search_spaces import NetworkSpec, StageSpec

    expansion = {"bottleneck": 0.25, "mbconv": 3, "fused": 4}.get(op, 1)
    stages = [
        StageSpec(op, c, k, s, expansion, 2, se, skip) for c, k, s in ((12, 5, 2), (40, 3, 1), (8, 3, 2))
    ]
    spec = NetworkSpec("any", stages, resolution=37)
    assert_equal_to_fvcore(spec, 37)
    assert build(spec)(torch.zeros(2, 3, 37, 37)).shape == (2, 1000)


@pytest.mark.parametrize("group", [1, 2, 6, 0])
def test_grouped_bottlenecks_equal_fvcore(group):
    from search_spaces import NetworkSpec, StageSpec

    stages = [
        StageSpec("bottleneck", c, k, s, 0.5, 2, 0.25, "projection", group_width=group)
        for c, k, s in ((12, 5, 2), (48, 3, 1), (24, 3, 2))
    ]
    assert_equal_to_fvcore(NetworkSpec("any", stages, resolution=37), 37)


def test_the_benchmarks_convention_reproduces_all_records(benchmark_records):
    space = accel_nasbench()
    assert len(benchmark_records) == 5138
    for record in benchmark_records:
        counted = cost(space.decode(from_record(space, record["architecture"])))
        info = record["model_info"]
        assert round(counted.benchmark_macs) == round(info["macs"] * 1e6)
        assert round(counted.params) == round(info["params"] * 1e6)


@pytest.mark.parametrize("field", ["block3_k", "block0_e"])
def test_records_with_missing_or_foreign_fields(field):
    space = accel_nasbench()
    record = {f"block{i}_{f}": v for i in range(7) for f, v in (("e", 4), ("k", 3), ("l", 1), ("se", True))}
    from_record(space, record)
    with pytest.raises(InputError, match=field):
        from_record(space, {k: v for k, v in record.items() if k != field})
    with pytest.raises(InputError):
        from_record(space, {**record, field: 9})


@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet-v2", "resnet50", "mnasnet-a1"])
def test_training_memory_estimates_what_autograd_keeps(name):
    """The bytes of distinct storages that the backward pass holds, weights left out."""
    spec = resolve_spec(name).replace(stochastic_depth=0, dropout=0)
    model = build(spec, seed=0).train()
    weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(torch.randn(2, 3, 224, 224))
    assert output.requires_grad
    measured = sum(kept.values()) / 2
    estimate = sum(part.saved for part in cost(spec).stages) * 4
    assert estimate == pytest.approx(measured, rel=0.15)


def test_resolution_is_checked():
    with pytest.raises(InputError, match="resolution 0"):
        cost(reference("resnet50"), 0)


def test_small_inputs_never_collapse():
    spec = reference("efficientnet-b0").replace(resolution=1)
    assert all(part.resolution == 1 for part in cost(spec).stages)
