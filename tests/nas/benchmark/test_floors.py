"""The free floors beside the surrogates: on the records that these didn't see."""

import numpy as np
import pytest

from nas.benchmark.floors import floors_line, free_floors, held_out_order
from nas.benchmark.records import DEVICES, BenchmarkRecords
from nas.benchmark.source import sources_of
from nas.network.cost import cost
from search_spaces import get_space
from search_spaces.architecture import Architecture

SPACE = get_space("accel-nasbench")


def records(count, top1):
    rng = np.random.default_rng(0)
    rows = rng.integers([len(d) for d in SPACE.decisions], size=(count, 28))
    costs = [cost(SPACE.decode(Architecture(row))) for row in rows.tolist()]
    macs, params = (np.array([getattr(c, name) for c in costs]) / 1e6 for name in ("macs", "params"))
    ones = np.ones(count)
    return BenchmarkRecords(rows, top1(params, rng), ones, macs, params, dict.fromkeys(DEVICES, ones), "x")


def test_the_floors_are_of_what_was_held_out():
    made = records(200, lambda params, rng: 60 + params)
    taus = free_floors(made, 0, 2, 0.2)
    assert taus["params alone"] == pytest.approx(1)
    assert taus["ridge on free features"] > 0.8
    # a ridge that saw what it ranks would rank even these
    drawn = free_floors(records(200, lambda params, rng: rng.normal(60, 1, 200)), 0, 2, 0.2)
    assert abs(drawn["ridge on free features"]) < 0.25
    held, rest = held_out_order(200, 3, 0.1)
    assert len(held) == 20
    assert sorted([*held, *rest]) == list(range(200))


def test_a_comparison_says_what_the_surrogates_are_worth():
    said = []
    sources_of(["mlp"], [], [], None, [], None, said.append)
    assert len(said) == 1
    assert said[0].startswith("mlp: held-out Kendall tau 0.930; for nothing: params alone 0.624")
    assert floors_line({"fidelity": {}}, "mlp") is None
    assert floors_line({"free": {"a": "b"}}, "mlp") is None
