import math

import numpy as np
import pytest

from nas.errors import TrialFailedError
from nas.network import cost
from nas.runs.flat import make_settings
from nas.search.reward import FORMS, Objective, Reward, make_reward, parse_target
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["macs", "throughput_a100"])
def test_a_reward_is_a_finite_number_or_there_is_none(form, name):
    values = np.array([1e-6, 1.0, 4e8, 1e18])
    for target in (5e-324, 1e-300, 1e-30, 0.4, 4e8, 4e14, 1e30, 1e308):
        for exponent in (0.0, -1e-3, -0.07, -1.0, -100.0) if form != "hard" else (-1.0,):
            below = 0.0 if form == "hard" else exponent
            objectives = (Objective(name, target, below, exponent), Objective("params", 5e6, below, exponent))
            for reward in (Reward(objectives[:1], form), Reward(objectives, form)):
                slope, offset = reward.line({name: values, "params": np.full(4, 4e6)}.__getitem__)
                line = np.broadcast_to(0.75 * slope + offset, values.shape)
                assert np.isfinite(line).all()
                for value, predicted in zip(values, line, strict=True):
                    costs = {name: float(value), "params": 4e6}
                    if reward.beyond(costs) is None:
                        assert reward(0.75, costs) == pytest.approx(predicted, rel=1e-12)
                        assert reward(0.75, costs) != reward(0.7501, costs)
                        assert np.isfinite(np.float32(reward(0.75, costs)))
                    else:
                        with pytest.raises(TrialFailedError, match="expected a target nearer"):
                            reward(0.75, costs)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_cost_that_is_none_is_a_failed_trial(value):
    with pytest.raises(TrialFailedError, match="latency"):
        Reward((Objective("latency", 5.0),))(0.5, {"latency": value})


@pytest.mark.parametrize(
    ("form", "target", "exponent"),
    [
        ("soft", "400T", -100),
        ("soft", "1e-300", -0.5),
        ("hard", "1e-30", None),
        ("absolute", "1e-9", -100),
        ("absolute", "5e-324", None),
    ],
)
def test_a_search_that_no_network_could_win_is_refused(form, target, exponent):
    settings = make_settings(targets={"macs": target}, reward=form, exponent=exponent)
    with pytest.raises(InputError, match=r"target \S+ for macs: a network with .* has a reward beyond"):
        settings.check()


def test_measured_costs_are_looked_at_too():
    settings = make_settings(
        space="accel-nasbench", evaluator="benchmark", targets={"throughput_a100": "1e40"}, exponent=-1
    )
    with pytest.raises(InputError, match="for throughput_a100: a network with"):
        settings.check()
