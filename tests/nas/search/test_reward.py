import math

import pytest

from nas.errors import TrialFailedError
from nas.network import cost
from nas.search.reward import Objective, Reward, make_reward, parse_target
from search_spaces import InputError, reference


def test_soft_is_mnasnets_equation():
    reward = make_reward("soft", {"macs": "400M"})
    assert reward(0.75, {"macs": 400e6}) == pytest.approx(0.75)
    assert reward(0.75, {"macs": 800e6}) == pytest.approx(0.75 * 2**-0.07)
    assert reward(0.75, {"macs": 200e6}) == pytest.approx(0.75 * 0.5**-0.07)
    # the paper's reading of -0.07: twice the cost is worth 5% relative accuracy
    assert reward(0.75 * 1.05, {"macs": 800e6}) == pytest.approx(reward(0.75, {"macs": 400e6}), rel=0.001)


def test_hard_is_free_below_the_target():
    reward = make_reward("hard", {"macs": "400M"})
    assert reward(0.75, {"macs": 100e6}) == 0.75
    assert reward(0.75, {"macs": 800e6}) == pytest.approx(0.375)


def test_absolute_is_tunas():
    reward = make_reward("absolute", {"macs": "400M"}, exponent=-0.1)
    assert reward(0.75, {"macs": 400e6}) == 0.75
    assert reward(0.75, {"macs": 300e6}) == pytest.approx(0.75 - 0.025)
    assert reward(0.75, {"macs": 500e6}) == pytest.approx(0.75 - 0.025)


def test_several_costs_multiply():
    reward = make_reward("soft", {"macs": "400M", "params": "5M"})
    both = reward(0.8, {"macs": 800e6, "params": 10e6})
    assert both == pytest.approx(0.8 * 2**-0.14)
    assert Reward()(0.8, {}) == 0.8


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, -0.1, 1.1])
def test_no_fraction_is_a_failed_trial(accuracy):
    with pytest.raises(TrialFailedError, match="fraction"):
        make_reward("soft", {"macs": "400M"})(accuracy, {"macs": 1e6})


def test_targets():
    assert parse_target("400M") == parse_target("0.4G") == parse_target("4e8") == parse_target(".4b") == 4e8
    assert parse_target("efficientnet-b0") == cost(reference("efficientnet-b0")).macs
    assert parse_target("efficientnet-b1", "params") == 7_794_184


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "positive"),
        ("-400M", "positive"),
        ("4OOM", "400M"),
        ("400X", "400M"),
        ("efficientnet-b", "did you mean 'efficientnet-b"),
        ("none.yaml", "No such file"),
        ("1e400", "positive"),
    ],
)
def test_bad_targets(text, message):
    with pytest.raises(InputError, match=message):
        parse_target(text)


def test_bad_rewards():
    with pytest.raises(InputError, match="did you mean 'soft'"):
        make_reward("sofd", {})
    with pytest.raises(InputError, match="did you mean 'macs'"):
        make_reward("soft", {"mac": "4M"})
    with pytest.raises(InputError, match="hard reward has none"):
        make_reward("hard", {"macs": "4M"}, -0.1)
    with pytest.raises(InputError, match=r"exponent 0\.1"):
        make_reward("soft", {"macs": "4M"}, 0.1)
    with pytest.raises(InputError, match="target nan"):
        Objective("macs", math.nan)
    with pytest.raises(InputError, match="twice"):
        Reward((Objective("macs", 1), Objective("macs", 2)))
