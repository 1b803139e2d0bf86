"""A controller under somebody else's Tuner: it maximises what Tune calls best, or is refused."""

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from ray import tune

from controller import ControllerError, make_controller
from nas.cluster.controller_search import ControllerSearch
from nas.errors import TrialFailedError
from nas.search.numeric import number, plain
from search_spaces import InputError, get_space

LOSS = {"metric": "loss", "mode": "min"}
# (what the constructor is told, what the TuneConfig, what is maximised; None: refused)
STATED = [
    (LOSS, {}, ("loss", "min")),
    ({}, LOSS, ("loss", "min")),
    (LOSS, LOSS, ("loss", "min")),
    ({"metric": "loss"}, {"metric": "loss", "mode": "min"}, ("loss", "min")),
    ({"metric": "score"}, {}, ("score", "max")),
    ({}, {}, ("reward", "max")),
    (LOSS, {"metric": "score", "mode": "max"}, None),
    (LOSS, {"metric": "loss", "mode": "max"}, None),
]


def made(name="evolution", **stated):
    return ControllerSearch(make_controller(name, get_space("efficientnet"), 0), **stated)


def as_tune_would(adapter, param_space, metric=None, mode=None):
    """A trial asked of it as Tune does: told of metric and mode only where there is a param_space."""
    from ray.tune import tune as tune_module

    if param_space:
        adapter.set_search_properties(metric, mode, param_space)
    scope = {"adapter": adapter}
    code = "def run(metric, mode):\n    return adapter.suggest('a')"
    exec(compile(code, "tune", "exec"), scope)
    before, tune_module.run = tune_module.run, scope["run"]
    try:
        return scope["run"](metric, mode)
    finally:
        tune_module.run = before


@pytest.mark.parametrize("param_space", [{}, {"lr": 0.1}], ids=["alone", "param_space"])
@pytest.mark.parametrize(("own", "tunes", "aim"), STATED)
def test_what_is_maximised_is_what_tune_calls_best(own, tunes, aim, param_space):
    adapter = made(**own)
    if aim is None:
        with pytest.raises(InputError, match="state it once"):
            as_tune_would(adapter, param_space, **tunes)
        return
    as_tune_would(adapter, param_space, **tunes)
    adapter.on_trial_complete("a", {"loss": 2.0, "score": 3.0, "reward": 5.0})
    expected = {"loss": -2.0, "score": 3.0, "reward": 5.0}[aim[0]]
    assert [reward for _, reward in adapter.controller.population] == [expected]


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="expected 'min' or 'max'"):
        made(mode="best")


def trainable(config):
    assert len(config["spec"]["stages"]) == 7
    assert config["choices"]["stage0.op"]
    tune.report({"loss": np.float32(sum(config["architecture"])), "score": -1.0})


@pytest.mark.parametrize(
    ("own", "tunes", "param_space"),
    [
        ({}, LOSS, {}),
        pytest.param({}, LOSS, {"more": 1}, marks=pytest.mark.slow),
        pytest.param(LOSS, {}, {}, marks=pytest.mark.slow),
        pytest.param(LOSS, LOSS, {"more": 1}, marks=pytest.mark.slow),
    ],
)
def test_under_a_tuner(own, tunes, param_space, cluster, tmp_path):
    """What the README shows: our controller, somebody else's trainable."""
    adapter = made(**own)
    tuner = tune.Tuner(
        trainable,
        param_space=param_space,
        tune_config=tune.TuneConfig(search_alg=adapter, num_samples=2, max_concurrent_trials=2, **tunes),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    )
    results = tuner.fit()
    assert len(results) == 2
    assert not results.errors
    assert adapter.controller.pending == ()
    best = results.get_best_result("loss", "min").config["architecture"]
    top = max(adapter.controller.population, key=lambda member: member[1])
    assert sum(top[0]) == sum(best)


NUMBERS = [
    2, 2.0, np.float32(2), np.float64(2), np.int64(2), np.float16(2), np.array(2.0), np.array(2), Fraction(2),
    torch.tensor(2.0), torch.tensor(2), torch.tensor(2.0, dtype=torch.bfloat16),
]  # fmt: skip
NONE = [
    None,
    "2",
    True,
    np.bool_(True),
    torch.tensor(True),
    [2.0],
    np.array([2.0]),
    torch.ones(1),
    {},
    10**400,
]


@pytest.mark.parametrize(
    "value", NUMBERS, ids=lambda v: f"{type(v).__module__}.{type(v).__name__}-{v!r}"[:60]
)
def test_numbers_of_any_kind_are_numbers(value):
    adapter = made(metric="score")
    adapter.suggest("a")
    adapter.on_trial_complete("a", {"score": value, "note": "text"})
    assert [reward for _, reward in adapter.controller.population] == [2.0]
    row = plain({"accuracy": value})
    assert json.loads(json.dumps(row)) == {"accuracy": 2}


@pytest.mark.parametrize("value", NONE, ids=repr)
def test_what_is_no_number_is_said_once(value):
    assert number(value) is None
    with pytest.raises(TrialFailedError, match=r"measurement 'accuracy': expected a number, found "):
        plain({"accuracy": value})
    adapter = made(metric="score")
    for name in "ab":
        adapter.suggest(name)
    with pytest.warns(UserWarning, match="trial a gave no usable 'score'"):
        adapter.on_trial_complete("a", {"score": value})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.on_trial_complete("b", {"score": float("nan")})
    assert adapter.controller.pending == ()
    assert not adapter.controller.population


def test_a_missing_metric_that_the_controller_needs_is_an_error_at_once():
    adapter = made("nsga2", metric="score")
    adapter.suggest("a")
    with pytest.raises(ControllerError, match="needs the metric 'accuracy'"):
        adapter.on_trial_complete("a", {"score": 0.5})


def test_failures_and_trials_started_again(tmp_path):
    """As `Tuner.restore(restart_errored=True)` has it: what had failed gets a result after all."""
    adapter = made(**LOSS)
    config = {name: adapter.suggest(name) for name in "abc"}
    adapter.on_trial_complete("a", error=True)
    adapter.on_trial_complete("b", {"loss": 0.25})
    assert [reward for _, reward in adapter.controller.population] == [-0.25]
    adapter.save(str(tmp_path / "state"))
    again = made()
    again.restore(str(tmp_path / "state"))
    assert again.controller.state_dict() == adapter.controller.state_dict()
    again.on_trial_complete("a", error=True)  # once more
    again.on_trial_complete("a", {"loss": 0.125})
    again.on_trial_complete("c", {"loss": 0.5})
    known = {tuple(architecture): reward for architecture, reward in again.controller.population}
    assert known[tuple(config["a"]["architecture"])] == -0.125
    assert len(known) == 3
    assert again.controller.pending == ()


def test_with_its_epochs_a_trial_that_ended_early_is_told_as_a_part():
    adapter = ControllerSearch(make_controller("random", get_space("efficientnet"), 0), "score", epochs=8)
    heard = []
    adapter.controller.report = lambda *given: heard.append(given)
    adapter.controller.tell = lambda id, reward, metrics: heard.append((id, reward, metrics.get("fidelity")))
    for trial, last in (("a", 4), ("b", 8)):
        adapter.suggest(trial)
        for epoch in range(1, last):
            adapter.on_trial_result(trial, {"score": epoch / 10, "training_iteration": epoch})
        adapter.on_trial_complete(trial, {"score": last / 10, "training_iteration": last})
    assert heard == [
        (0, 0.1, 1 / 8), (0, 0.2, 1 / 4), (0, 0.4, 1 / 2),
        (1, 0.1, 1 / 8), (1, 0.2, 1 / 4), (1, 0.4, 1 / 2), (1, 0.8, None),
    ]  # fmt: skip
    for epochs in (0, 2.5, float("nan"), True, "8"):
        with pytest.raises(InputError, match="epochs .*: expected a whole number"):
            made(epochs=epochs)


@pytest.mark.parametrize("epochs", [None, 8])
def test_a_trainables_own_fidelity_is_its_own_affair(epochs):
    adapter = ControllerSearch(
        make_controller("random", get_space("efficientnet"), 0), "score", epochs=epochs
    )
    told = []
    adapter.controller.tell = lambda id, reward, metrics: told.append(metrics)
    adapter.suggest("a")
    adapter.on_trial_complete("a", {"score": 0.5, "training_iteration": 8, "fidelity": 0.3})
    assert "fidelity" not in told[0]
