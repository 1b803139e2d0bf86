"""What a search would cost: GPU-hours to its goals, over seeds."""

import json
import math

import numpy as np
import pytest
from rich.console import Console

from nas.benchmark.plan import WorkerPlan
from nas.benchmark.price import GoalPrice, goal_prices, hours_to, training_hours
from nas.benchmark.surrogate_file import read_surrogate
from nas.report.price_table import price_lines, price_table
from tests.command import good, nas


def test_a_network_is_paid_for_once():
    surrogate, rng = read_surrogate(), np.random.default_rng(0)
    rows = rng.integers([len(d) for d in surrogate.space.decisions], size=(4, 28))
    rows[2] = rows[0]
    seconds = surrogate.measured(rows)["train_time"]
    hours = training_hours(surrogate, rows, speed=2)
    assert hours[1] == pytest.approx((seconds[0] + seconds[1]) / 7200)
    assert hours[2] == hours[1]
    assert hours[3] == pytest.approx((seconds[[0, 1, 3]].sum()) / 7200)
    assert hours_to(0.5, np.array([0.1, 0.2, 0.6, 0.7]), hours) == hours[2]
    assert hours_to(0.9, np.array([0.1, 0.2, 0.6, 0.7]), hours) == math.inf


def test_the_unlucky_seeds_count():
    found = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 40.0]
    (price,) = goal_prices("it", {"B0": found})
    assert (price.hours, price.most, price.seeds) == (6, 40, 10)
    (price,) = goal_prices("it", {"B0": [*found[:-1], math.inf]})
    assert (price.hours, price.most) == (6, None)
    (price,) = goal_prices("it", {"B0": [1, math.inf, math.inf]})
    assert (price.hours, price.most) == (None, None)


def test_what_is_paid_for_are_all_workers():
    plan = WorkerPlan(8, "batch", 7200, 1, 0.5, 0.7, [(900, 0.5), (3600, 0.6), (7000, 0.7)])
    assert plan.paid_to(0.55) == 8
    assert plan.paid_to(0.8) == math.inf


def test_the_table_fits_and_has_the_caveat():
    prices = [GoalPrice("64 workers, asynchronous", "B0", 1234.0, None, 5)]
    prices.append(GoalPrice("1 worker, asynchronous", "99%", 10.0, 20.0, 5))
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(price_table(prices, 2.5))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for part in ("1,234", "3,085", "50", "-"):
        assert part in text
    assert "another GPU" in price_lines(prices)[0]
    assert len(price_lines(prices)) == 1
    assert "--seeds" in price_lines([GoalPrice("it", "B0", 1.0, 1.0, 1)])[1]
    assert "isn't known" in price_lines([])[0]


@pytest.mark.slow
def test_a_rediscovery_says_what_it_would_cost(tmp_path):
    command = ["rediscover", "--controller", "local-search", "--trials", "60", "--gpu-hour", "2"]
    document = json.loads(good(*command, "--seeds", "2", "--out", tmp_path / "a", "--json"))
    first = {price["goal"]: price for price in document["price"]}
    assert set(first) == {"B0", "99%"}
    assert first["B0"]["seeds"] == 2
    text = good(*command, "--out", tmp_path / "b")
    assert "GPU-hours" in text
    refused = nas(*command[:-1], "-1", "--out", tmp_path / "c")
    assert refused.returncode == 2
    assert "gpu-hour -1" in refused.stderr
    assert "seeds 0" in nas(*command, "--seeds", "0", "--out", tmp_path / "c").stderr
    assert not (tmp_path / "c").exists()
