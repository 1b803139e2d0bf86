"""A roofline calibrated with a few networks: what it finds, and what it predicts. No time is asserted."""

import json

import numpy as np
import pytest

from nas.latency.build_table import fidelity
from nas.latency.calibrate import CalibratedRoofline, calibrate_table, part_work
from nas.latency.parts import parts
from nas.latency.setting import Setting
from nas.latency.table import LatencyTable
from nas.latency.timing import Timing, time_network
from nas.network.roofline import network_work
from search_spaces import InputError, get_space, reference
from search_spaces.document import write_document
from tests.command import good

DEVICE = CalibratedRoofline(scale=3e-8, ridge=1.2, depthwise=2.5, without=1.5, call=4e4)


def works(spec):
    return [work for part in network_work(spec) for work in part]


def test_parts_have_the_networks_work(random_specs):
    for spec in [reference("resnet50"), reference("mobilenetv3-small"), *random_specs("mobilenet-v4", 2)]:
        assert [work for part in parts(spec) for work in part_work(part)] == works(spec)


def test_milliseconds_by_hand():
    by_kind = {"conv": 3e-8 * (2e6 + 4e4), "depthwise": 3e-8 * (5e6 + 4e4), "pool": 3e-8 * (1.8e6 + 4e4)}
    for kind, expected in by_kind.items():
        work = (kind, 0 if kind == "pool" else 2_000_000, 1_000_000 if kind == "pool" else 1000)
        (layer,) = [type(works(reference("resnet50"))[0])(*work)]
        assert DEVICE([layer]) == pytest.approx(expected)


def test_ten_networks_say_what_a_device_is_like(random_specs):
    specs = random_specs("mnasnet", 40)
    latencies = np.array([DEVICE(works(spec)) for spec in specs])
    noisy = latencies * np.exp(np.random.default_rng(0).normal(0, 0.02, len(specs)))
    found = CalibratedRoofline.fitted(specs[:10], noisy[:10])
    said = fidelity(np.array([found(works(spec)) for spec in specs[10:]]), latencies[10:])
    assert said["rank_correlation"] > 0.99
    assert said["within_10"] > 0.9
    # the device is none of the usual ones, and the fit has moved towards it
    assert 0.5 < found.ridge < 3
    assert found.depthwise > 1.3


def test_without_networks_enough():
    specs = [reference("resnet50")] * 2
    with pytest.raises(InputError, match="at least 3"):
        CalibratedRoofline.fitted(specs, np.ones(2))


@pytest.fixture
def device(monkeypatch):
    """Networks take what `DEVICE` says, and are not run."""
    monkeypatch.setattr(
        "nas.latency.build_table.time_network",
        lambda spec, setting, runs: Timing(9e9, 0, 0, runs, least=DEVICE(works(spec))),
    )


def test_a_table_of_a_space(device, tmp_path, monkeypatch):
    space = get_space("efficientnet")
    ticks = []
    setting = Setting(threads=1, clock="cpu")
    table = calibrate_table(space, setting, [reference("resnet50")], 10, 5, tick=ticks.append)
    assert sum(ticks) == 2 * 15
    table.check(space)
    assert table(reference("resnet50")) > 0
    about = table.about
    assert about["calibrated"] == 10
    assert about["within_10"] == 1
    assert about["rank_correlation"] == pytest.approx(1)
    path = str(tmp_path / "table.json")
    table.write(path)
    assert LatencyTable.read(path) == table


def test_the_command(device, tmp_path):
    write_document(tmp_path / "space.yaml", get_space("efficientnet").to_document())
    flags = ["--space", "space.yaml", "--threads", "1", "--clock", "cpu", "--check", "4", "--out", "t.json"]
    said = good("latency", *flags, "--calibrate", "8", cwd=tmp_path)
    assert "calibrated with 8 networks" in said
    assert "within 10%" in said
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["setting"]["clock"] == "cpu"
    assert document["about"]["calibrated"] == 8


def test_cpu_time_is_of_one_thread_alone():
    for more in ({"threads": 2}, {}, {"device": "cuda", "threads": 1}):
        with pytest.raises(InputError, match="clock 'cpu'"):
            Setting(clock="cpu", **more)
    with pytest.raises(InputError, match="clock"):
        Setting(clock="sun")


def test_of_cpu_time_the_least_counts(monkeypatch):
    readings = iter(np.cumsum([0, 3, 0, 1, 0, 2]) / 1000)
    monkeypatch.setattr("nas.latency.timing.make_runner", lambda *given: lambda: None)
    monkeypatch.setattr("nas.latency.timing._WARM_UP", 0)
    monkeypatch.setattr("time.thread_time", lambda: next(readings))
    setting = Setting(threads=1, clock="cpu")
    timing = time_network(reference("mobilenet-v2").replace(resolution=32), setting, runs=3)
    assert timing.value(setting) == pytest.approx(1)
    assert timing.value(Setting()) == timing.median == pytest.approx(2)
