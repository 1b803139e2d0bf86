"""Latency tables: their parts, their predictions, and searches that weigh them. No time is asserted."""

import json

import numpy as np
import pytest
import torch

from nas.export.exportable import exportable_space
from nas.latency.build_table import build_table, fidelity
from nas.latency.parts import grouped_parts, parts, space_parts
from nas.latency.runtimes import make_module, prepare
from nas.latency.setting import Setting
from nas.latency.table import LatencyTable
from nas.latency.timing import time_network
from nas.network.builder import build
from nas.network.cost import cost
from nas.search.journal import read_records
from nas.search.objective import make_objective
from nas.search.reward import make_reward
from search_spaces import InputError, StageChoices, StagedSpace, get_space, reference
from search_spaces.architecture import Architecture
from tests.command import good, refused

SPACES = ("mnasnet", "efficientnet", "efficientnet-v2", "mobilenet-v4", "accel-nasbench")


def made_up(space, *more):
    """A table whose entries are made up: each key has its own number."""
    keys = {part.key for part in space_parts(space)} | {p.key for spec in more for p in parts(spec)}
    rng = np.random.default_rng(0)
    entries = {key: float(rng.uniform(0.01, 2)) for key in sorted(keys)}
    return LatencyTable(Setting(), entries, 0.5, 1.1, -0.01, {"space": space.name})


@pytest.fixture
def small():
    stages = (
        StageChoices(op=("ds", "mbconv3"), channels=(8, 12), kernel=(3, 5), repeats=(1, 2), stride=2),
        StageChoices(op=("mbconv6",), channels=(16,), se_ratio=(0, 0.25), repeats=(1, 2)),
    )
    return StagedSpace("small", stages, reference("efficientnet-b0").replace(resolution=32, num_classes=10))


@pytest.mark.parametrize("name", SPACES)
def test_a_space_has_the_parts_of_all_its_networks(name, random_specs):
    known = {part.key for part in space_parts(get_space(name))}
    for spec in random_specs(name, 200):
        assert {part.key for part in parts(spec)} <= known


@pytest.mark.parametrize("name", SPACES)
def test_predictions_of_many_equal_single_ones(name):
    space = get_space(name)
    table = made_up(space)
    rng = np.random.default_rng(1)
    rows = np.array([space.sample(rng) for _ in range(300)])
    single = [table(space.decode(Architecture(row))) for row in rows.tolist()]
    for _ in range(2):  # the second time from what is kept
        assert table.predict(space, rows) == pytest.approx(single, rel=1e-12)


def test_a_constrained_space_has_its_own_parts_and_predictions():
    """The whole space's table serves it, in one process too; its own has no parts that it never needs."""
    whole = get_space("mnasnet")
    left = exportable_space(whole, ("timm",))
    known, needed = ({part.key for part in space_parts(space)} for space in (whole, left))
    assert needed < known
    table = made_up(whole)
    table.check(left)
    rng = np.random.default_rng(2)
    for space in (whole, left, whole):
        rows = np.array([space.sample(rng) for _ in range(100)])
        specs = [space.decode(Architecture(row)) for row in rows.tolist()]
        assert table.predict(space, rows) == pytest.approx([table(spec) for spec in specs], rel=1e-12)
        assert all(part.key in needed for spec in specs for part in parts(spec)) == (space is left)


def test_a_latency_is_the_line_of_the_sum():
    b0 = reference("efficientnet-b0")
    table = made_up(get_space("efficientnet"), b0)
    total = sum(table.entries[part.key] for part in parts(b0))
    assert table(b0) == pytest.approx(0.5 + 1.1 * total - 0.01 * 18)
    groups = grouped_parts(b0)
    assert [len(group) for group in groups] == [1, 1, 2, 2, 3, 3, 4, 1, 1]
    assert groups[2][0].key == "mbconv 16>24 e6 k3 s2 se0.25 silu @112"


def test_parts_in_a_row_are_the_network(random_specs):
    for spec in [reference("resnet50"), reference("mobilenet-v1"), *random_specs("mnasnet", 3)]:
        spec = spec.replace(resolution=64)
        images = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            for part in parts(spec):
                assert images.shape == (1, part.channels, part.size, part.size)
                images = make_module(part).eval()(images)
        assert images.shape == (1, 1000)
        count = sum(p.numel() for part in parts(spec) for p in make_module(part).parameters())
        assert count == sum(p.numel() for p in build(spec).parameters())


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_table_is_made_and_read_again(small, tmp_path, runtime):
    setting = prepare(Setting(runtime=runtime))
    assert setting.threads >= 1
    assert setting.hardware
    assert setting.version
    for attempt in range(4):  # a machine that is busy with other tests may be refused
        ticks = []
        try:
            table = build_table(small, setting, fitted=4 + 4 * attempt, checked=5, tick=ticks.append)
            break
        except InputError as error:
            if "too busy" not in str(error):
                raise
    assert sum(ticks) == 2 * (len(space_parts(small)) + 9 + 4 * attempt)
    assert set(table.entries) == {part.key for part in space_parts(small)}
    assert all(value > 0 for value in table.entries.values())
    assert table.about["checked"] == 5
    assert 0 < table.about["lowest"] <= table.about["highest"]
    path = tmp_path / "table.json"
    table.write(str(path))
    assert LatencyTable.read(str(path)) == table


def test_fidelity_by_hand():
    found = fidelity(np.array([1.0, 2.2, 2.7, 4.0]), np.array([1.0, 2.0, 3.0, 5.0]))
    assert found["rank_correlation"] == pytest.approx(1)
    assert found["median_error"] == pytest.approx(0.1)
    assert found["largest_error"] == pytest.approx(0.2)
    assert fidelity(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0]))["rank_correlation"] == -1


def test_timing_orders_what_it_says():
    timing = time_network(reference("mobilenet-v2").replace(resolution=32), prepare(Setting()), runs=9)
    assert 0 < timing.low <= timing.median <= timing.high
    assert timing.runs == 9


def test_the_objective_knows_the_latency():
    space = get_space("efficientnet")
    table = made_up(space)
    reward = make_reward("soft", {"latency": "20ms", "macs": "400M"}, None, {"latency": table})
    assert reward.objectives[0].target == 20
    rows = np.array([space.sample(np.random.default_rng(2)) for _ in range(5)])
    slope, offset = make_objective(space, reward, latency=table)(rows)
    for row, a, b in zip(rows.tolist(), slope, offset, strict=True):
        spec = space.decode(Architecture(row))
        expected = reward(0.6, {"latency": table(spec), "macs": cost(spec).macs})
        assert a * 0.6 + b == pytest.approx(expected)


def test_a_search_weighs_latency_and_keeps_its_table(tmp_path):
    space, b0 = get_space("accel-nasbench"), reference("efficientnet-b0")
    table = made_up(space, b0)
    path, folder = tmp_path / "cpu.json", tmp_path / "run"
    table.write(str(path))
    flags = ["--evaluator", "benchmark", "--latency-table", path, "--cost", "latency", "--trials", "30"]
    good("search", *flags, "--out", folder)  # the target is B0's latency
    path.unlink()
    document = json.loads(good("resume", folder, "--trials", "40", "--json"))
    assert document["trials"] == 40
    for record in read_records(folder):
        spec = space.decode(record.architecture)
        assert record.costs["latency"] == pytest.approx(table(spec))
        reward = record.accuracy * (record.costs["latency"] / table(b0)) ** -0.07
        assert record.reward == pytest.approx(reward)
    assert "latency" in good("show", folder)


def test_bad_tables_are_one_line(tmp_path, monkeypatch, capsys):
    def refuse(arguments, words):
        refused(arguments, words, monkeypatch, capsys, tmp_path)

    path = tmp_path / "table.json"
    search = ["search", "--evaluator", "benchmark", "--out", tmp_path / "run"]
    refuse([*search, "--cost", "latency"], "give --latency-table")
    refuse([*search, "--latency-table", path], "No such file")
    path.write_text("{")
    refuse([*search, "--latency-table", path], "malformed JSON")
    made_up(get_space("efficientnet")).write(str(path))
    refuse([*search, "--space", "mnasnet", "--evaluator", "train", "--latency-table", path], "not in it")
    document = json.loads(path.read_text())
    changes = [
        ({"slope": -1}, "expected a positive number"),
        ({"entries": {}}, "at least one part"),
        ({"entries": {"stem": "fast"}}, "expected a finite number"),
        ({"schema": 9}, "schema 9"),
        ({"setting": {"device": "tpu"}}, "device 'tpu'"),
    ]
    for change, words in changes:
        path.write_text(json.dumps(document | change))
        with pytest.raises(InputError, match=words):
            LatencyTable.read(str(path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give at least one network"),
        (["efficientnet-b0", "--device", "tpu"], "device 'tpu'"),
        (["efficientnet-b0", "--device", "cuda:7"], "CUDA devices"),
        (["efficientnet-b0", "--runtime", "tensorrt"], "runtime 'tensorrt'"),
        (["efficientnet-b0", "--batch", "0"], "batch 0"),
        (["efficientnet-b0", "--runs", "0"], "runs 0"),
        (["--space", "mnasnet"], "give --out"),
        (["--space", "mnasnet", "--out", "t.json", "--check", "1"], "checked 1"),
        (["efficientnet-b0", "--out", "t.json"], "only with --space"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    refused(["latency", *arguments], words, monkeypatch, capsys, tmp_path)


def test_the_command_measures(tmp_path):
    document = json.loads(good("latency", "mobilenet-v2", "--runs", "5", "--threads", "1", "--json"))
    (row,) = document["networks"]
    assert row["latency"] > 0
    assert row["images_per_second"] == pytest.approx(1000 / row["latency"])
    assert document["setting"]["threads"] == 1
