"""What a doubling of the cost brings, and the w that follows: a known one is found, odd data are survived."""

import math

import numpy as np
import pytest

from nas.search.exponent_fit import (
    LEAST,
    MOST,
    SizedAccuracy,
    change_of,
    doublings,
    fit_exponent,
    gain,
)
from nas.search.reward import Objective
from search_spaces.errors import InputError

SIZES = np.linspace(-2, 1, 6)


def trainings(slope, noise, own, rng, seeds=2):
    """Accuracies that grow by a power of the cost, with the noise of trainings and the networks' own."""
    return [
        SizedAccuracy(f"n{number}", size, 0.5 * 2 ** (slope * size + shift + rng.normal(0, noise)))
        for number, size in enumerate(SIZES)
        for shift in [rng.normal(0, own)]
        for _ in range(seeds)
    ]


@pytest.mark.parametrize(("noise", "own"), [(0.03, 0.0), (0.03, 0.03), (0.003, 0.03)])
def test_a_known_exponent_is_found_and_its_interval_holds_it(noise, own):
    rng = np.random.default_rng(1)
    fits = [fit_exponent(trainings(0.07, noise, own, rng)) for _ in range(1000)]
    assert np.mean([fit.slope for fit in fits]) == pytest.approx(0.07, abs=0.002)
    covered = np.mean([fit.low <= 0.07 <= fit.high for fit in fits])
    assert 0.93 <= covered <= 0.97
    # the same trainings as if each were a network of its own: with networks that differ it promises too much
    alone = []
    for _ in range(1000):
        points = trainings(0.07, noise, own, rng)
        fit = fit_exponent([SizedAccuracy(str(i), p.doublings, p.accuracy) for i, p in enumerate(points)])
        alone.append(fit.low <= 0.07 <= fit.high)
    assert own == 0 or np.mean(alone) < 0.91


def test_mnasnets_rule_by_hand():
    points = [SizedAccuracy(str(x), x, 0.6 * 1.05**x) for x in range(4)]
    fit = fit_exponent(points)
    assert fit.exponent == -0.0704  # -log2(1.05)
    assert gain(fit.slope) == pytest.approx(0.05)
    assert fit.remarks == []
    # the rewards are all the same, which is what the rule asks for
    rewards = [p.accuracy * 2 ** (p.doublings * -fit.slope) for p in points]
    assert max(rewards) == pytest.approx(min(rewards))


def test_mobilenets_published_multipliers_give_about_mnasnets_figure():
    """MobileNetV2 (Sandler et al. 2018, and its released checkpoints): ImageNet top-1 at 224 px by width."""
    published = {97: 65.4, 209: 69.8, 300: 71.8, 582: 75.0}
    points = [SizedAccuracy(str(m), math.log2(m / 300), a / 100) for m, a in published.items()]
    assert fit_exponent(points).exponent == pytest.approx(-0.075, abs=0.005)


@pytest.mark.parametrize("slope", [0.0, -0.2, 0.004])
def test_cost_that_brings_nothing_gets_the_least_weight(slope):
    fit = fit_exponent([SizedAccuracy(str(x), x, 0.9 * 2 ** (slope * x)) for x in SIZES])
    assert fit.exponent == -LEAST
    assert fit.slope == pytest.approx(slope)
    assert "more cost brings nothing here to speak of: w is -0.01" in fit.remarks[0]


def test_a_threshold_of_learning_is_no_rate_of_exchange():
    fit = fit_exponent([SizedAccuracy(str(x), x, 0.1 * 8**x) for x in (-2, -1, 0)])
    assert (fit.exponent, fit.slope) == (-MOST, pytest.approx(3))
    assert "w is held at -1" in fit.remarks[0]


def test_a_wide_interval_is_said():
    rng = np.random.default_rng(0)
    fit = next(
        fit for fit in (fit_exponent(trainings(0.03, 0.15, 0, rng)) for _ in range(99)) if fit.slope > LEAST
    )
    assert fit.low < 0 < fit.high
    assert fit.exponent == -round(fit.slope, 4)  # the most likely value all the same
    words = " ".join(fit.remarks)
    assert "the interval is wide" in words
    assert "the interval includes zero" in words
    assert "the interval is wide" not in " ".join(fit_exponent(trainings(0.07, 0.005, 0, rng)).remarks)


def test_networks_that_only_guess_are_left_out():
    good = [SizedAccuracy(f"n{x}", x, 0.8 * 1.05**x) for x in (-1, 0, 1)]
    guess = [SizedAccuracy("small", -2, accuracy) for accuracy in (0.10, 0.13)]
    fit = fit_exponent([*guess, *good], chance=0.13)
    assert fit.slope == pytest.approx(math.log2(1.05))
    assert (fit.guessing, fit.networks, fit.trainings) == (2, 3, 3)
    assert "2 trainings no better than guessing left out" in " ".join(fit.remarks)
    assert fit_exponent([*guess, *good]).slope > 0.5  # what they would have said
    with pytest.raises(InputError, match=r"exponent 'auto': 2 of 4 networks learned more than guessing"):
        fit_exponent([*guess, *good[:2], SizedAccuracy("n1", 1, 0.0)], chance=0.13)
    with pytest.raises(InputError, match="0 of 0 networks"):
        fit_exponent([])


def test_a_step_of_the_cost_in_words_and_numbers():
    macs, params = Objective("macs", 400e6), Objective("params", 5e6)
    speed = Objective("throughput_a100", 100)
    costs = {"macs": 800e6, "params": 20e6, "throughput_a100": 25}
    assert doublings([macs], costs) == 1
    assert doublings([macs, params], costs) == 3
    assert doublings([speed], costs) == 2  # a quarter of the speed
    assert change_of([macs]) == "a doubling of MACs"
    assert change_of([speed]) == "a halving of throughput_a100"
    assert change_of([macs, params]) == "a doubling of MACs x params, each in its target,"
