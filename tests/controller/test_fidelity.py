"""What a part of an evaluation tells: learned as a part, judged by what it lets expect, resumed exactly."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from controller import ControllerError, PredictorGuided
from controller.encoded import EncodedArchitectures
from controller.encoding import Encoding
from controller.fidelity import FidelityPredictor, PartialResults
from controller.predictor import Points, standardised
from search_spaces import get_space
from search_spaces.architecture import Architecture

SPACE = get_space("accel-nasbench")
SIZES = np.array([len(decision) for decision in SPACE.decisions])
EPOCHS = (0.125, 1.0)


def final(rows):
    """An accuracy at the end of a training: what is large is good."""
    return 0.4 + 0.4 * (np.asarray(rows) / (SIZES - 1)).mean(1)


def after(rows, done):
    """The same after a part of it, where what is large in its first half learns slowly."""
    slow = (np.asarray(rows) / (SIZES - 1))[:, : len(SIZES) // 2].mean(1)
    return final(rows) - (1 - done) * (0.1 + 0.5 * slow)


def tell(controller, proposal, done, rng, noise=0.002):
    """Its accuracies up to that part of its training."""
    row = np.array([proposal.architecture])
    for part in EPOCHS:
        value = float(after(row, part)[0]) + noise * rng.normal()
        if part >= done:
            controller.tell(proposal.id, value, {} if done == 1 else {"fidelity": done})
            return
        controller.report(proposal.id, value, part)


def learned(early, seed=0, whole=30, parts=30):
    """A controller that saw some trainings whole and many in part, of random architectures."""
    controller, rng = PredictorGuided(SPACE, seed, initial=whole + parts), np.random.default_rng(seed)
    for count in range(whole + parts):
        proposal = controller.ask()
        controller.amend(proposal.id, SPACE.sample(rng))
        (proposal,) = controller.pending
        if early or count < whole:
            tell(controller, proposal, 1.0 if count < whole else 0.125, rng)
        else:  # as if it were the end of it
            controller.tell(proposal.id, float(after(np.array([proposal.architecture]), 0.125)[0]))
    return controller


def test_gradient_of_the_posterior_is_that_of_its_value():
    encoding, rng = Encoding(SPACE), np.random.default_rng(0)
    predictor = FidelityPredictor(encoding, 1)
    rows = np.repeat(rng.integers(SIZES, size=(12, len(SIZES))), 2, axis=0)
    lack = np.tile([0.0, 0.5], 12)
    z = np.column_stack([rng.normal(size=(24, 2)), lack, np.repeat(np.arange(12), 2)])
    x, (y, _, _) = encoding(rows), standardised(after(rows, 1 - lack))
    at = predictor.parameters + 0.3 * rng.normal(size=len(predictor.parameters))
    _, gradient = predictor._loss(at, x, z, y)
    for index in range(len(at)):
        step = np.zeros(len(at))
        step[index] = 1e-5
        slope = (predictor._loss(at + step, x, z, y)[0] - predictor._loss(at - step, x, z, y)[0]) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_the_process_is_the_one_of_its_formula():
    """What is expected of new trainings' ends, by the kernel written out."""
    encoding, rng = Encoding(SPACE), np.random.default_rng(1)
    predictor = FidelityPredictor(encoding)
    rows = np.repeat(rng.integers(SIZES, size=(10, len(SIZES))), 2, axis=0)
    lack, training = np.tile([0.0, 0.75], 10), np.repeat(np.arange(10.0), 2)
    x, z = encoding(rows), np.column_stack([rng.normal(size=20), lack, training])
    y, _, _ = standardised(after(rows, 1 - lack))
    predictor.condition(Points(list(zip(training, lack, strict=True)), x, z), y)
    new = rng.integers(SIZES, size=(5, len(SIZES)))
    there, ends = encoding(new), np.column_stack([rng.normal(size=5), np.zeros(5), -np.ones(5)])

    values = np.exp(predictor.parameters)
    choices, level, cost, unsure, shared = values[predictor._added]
    linear, rough, nonlinear, by_cost = predictor._split(predictor.parameters)
    sizes, _ = encoding.sizes(predictor._orders(predictor.parameters))

    def kernel(xa, za, xb, zb):
        of_ends = 4.0 + by_cost[0] * np.outer(za[:, 0], zb[:, 0]) + (xa * linear) @ xb.T
        apart = ((xa[:, None] - xb[None]) ** 2 * rough).sum(-1)
        of_ends += nonlinear * np.exp(-0.5 * apart)
        difference = choices * (xa * sizes) @ xb.T + level + cost * np.outer(za[:, 0], zb[:, 0])
        same = (za[:, 2, None] == zb[None, :, 2]) & (za[:, 2, None] >= 0)
        return of_ends + np.outer(za[:, 1], zb[:, 1]) * difference + shared * same

    seen = kernel(x, z, x, z) + np.diag(predictor.noise + unsure * lack)
    cross, own = kernel(there, ends, x, z), np.diag(kernel(there, ends, there, ends))
    mean, deviation = predictor.predict(there, ends)
    assert mean == pytest.approx(cross @ np.linalg.solve(seen, y), rel=1e-7)
    left = own - np.einsum("ij,ji->i", cross, np.linalg.solve(seen, cross.T))
    assert deviation == pytest.approx(np.sqrt(left), rel=1e-6)


def test_a_part_of_a_training_is_not_taken_for_the_whole():
    """Half of the choices learn slowly: after an eighth of a training they look bad, and at the end are good."""
    rows = np.random.default_rng(9).integers(SIZES, size=(200, len(SIZES)))
    taus = []
    for early in (True, False):
        _, model = learned(early)._model(fit=True)
        taus.append(kendalltau(model.expected(rows), final(rows))[0])
    assert taus[0] > 0.6
    assert taus[1] < 0.4


def test_the_incumbent_came_to_its_end():
    controller = learned(True)
    assert controller.incumbent() in range(30)


def test_what_was_told_of_parts_is_resumed_to_the_bit():
    controller, rng = learned(True, whole=5, parts=25), np.random.default_rng(5)
    waiting = controller.ask()
    controller.report(waiting.id, 0.5, 0.125)
    again = PredictorGuided(SPACE, 7, initial=30)
    again.load_state_dict(json.loads(json.dumps(controller.state_dict())))
    both = []
    for one in (controller, again):
        rng = np.random.default_rng(5)
        tell(one, waiting, 1.0, rng)
        for done in (0.125, 1.0, 0.125, 0.125, 1.0, 0.125):
            tell(one, one.ask(), done, rng)
        both.append([one.ask() for _ in range(3)])
    assert both[0] == both[1]
    assert controller.state_dict() == again.state_dict()


def test_what_goes_on_is_what_may_be_the_best():
    controller = learned(True, whole=20, parts=10)
    poor, good = (SPACE.canonical(Architecture(row.tolist())) for row in (0 * SIZES, SIZES - 1))
    verdicts = {}
    for name, architecture in (("poor", poor), ("good", good)):
        proposal = controller.ask()
        controller.amend(proposal.id, architecture)
        before = json.dumps(controller.state_dict())
        row = np.array([architecture])
        verdicts[name] = controller.goes_on(proposal.id, {0.125: float(after(row, 0.125)[0])})
        assert json.dumps(controller.state_dict()) == before
        controller.fail(proposal.id, "only looked at")
    assert verdicts == {"poor": False, "good": True}
    with pytest.raises(ControllerError, match="already has a result"):
        controller.goes_on(proposal.id, {0.125: 0.5})


def test_the_first_goes_on_and_now_and_then_another():
    """Of those that look far worse than the first four, too: what becomes of such is to be known."""
    controller, rng = PredictorGuided(SPACE, 0, initial=40), np.random.default_rng(0)
    ended = []
    for count in range(40):
        proposal = controller.ask()
        level = 0.6 + count / 20 if count < 4 else 0.2
        part = 1.0
        for done in (0.125, 0.25, 0.5):
            reward = level + 0.01 * float(rng.normal())
            if not controller.goes_on(proposal.id, {done: reward}):
                part = done
                break
            controller.report(proposal.id, reward, done)
        controller.tell(proposal.id, level + 0.01 * float(rng.normal()), {"fidelity": part})
        ended.append(part)
    assert ended[:4] == [1.0] * 4
    assert 1 <= ended[4:].count(1.0) <= 6


def test_it_is_to_be_among_the_best_of_those_that_came_as_far():
    controller = PredictorGuided(SPACE, 0, initial=40)
    verdicts = []
    for reward in (0.3, 0.2, 0.1, 0.25, 0.4, 0.28):
        proposal = controller.ask()
        verdicts.append(controller.goes_on(proposal.id, {0.125: reward}))
        controller.tell(proposal.id, reward, {"fidelity": 0.125})
    assert verdicts == [True, False, False, False, True, False]


NONE = [(float("nan"), 0.5), (float("inf"), 0.5), (0.5, 0.0), (0.5, 1.0), (0.5, -1), (0.5, float("nan"))]


@pytest.mark.parametrize(("reward", "fidelity"), NONE)
def test_reports_that_are_none(reward, fidelity):
    controller = PredictorGuided(SPACE, 0)
    proposal = controller.ask()
    with pytest.raises(ControllerError, match="proposal 0"):
        controller.report(proposal.id, reward, fidelity)
    with pytest.raises(ControllerError, match="proposal 0"):
        controller.goes_on(proposal.id, {0.5: 0.5, fidelity: reward})
    with pytest.raises(ControllerError, match="proposal 0: no reward"):
        controller.goes_on(proposal.id, {})
    with pytest.raises(ControllerError, match="never asked"):
        controller.report(5, 0.5, 0.5)


@pytest.mark.parametrize("fidelity", [0.0, -1.0, 1.5, float("nan")])
def test_a_result_of_no_share_of_an_evaluation_is_refused(fidelity):
    controller = PredictorGuided(SPACE, 0)
    proposal = controller.ask()
    with pytest.raises(ControllerError, match="proposal 0: fidelity"):
        controller.tell(proposal.id, 0.5, {"fidelity": fidelity})
    assert controller.pending == (proposal,)


def test_what_was_reported_of_another_architecture_is_forgotten():
    controller = PredictorGuided(SPACE, 0)
    proposal = controller.ask()
    controller.report(proposal.id, 0.99, 0.125)
    controller.amend(proposal.id, SPACE.sample(np.random.default_rng(0)))
    controller.tell(proposal.id, 0.1)
    assert controller._rewards.results.trainings.values[0] == {0.0: 0.1}


def test_forecasts_are_compared_with_whole_evaluations():
    """Of the end of a training: its beginning is another thing, and would make them look wrong."""
    controller, rng = PredictorGuided(SPACE, 0), np.random.default_rng(0)
    for count in range(40):
        tell(controller, controller.ask(), 1.0 if count % 2 else 0.125, rng)
    assert len(controller._compared) == 15
    assert controller.metrics["predictor/rank_correlation"] > 0.3


def test_lines_bring_early_values_to_where_trainings_end():
    trainings = PartialResults()
    for training, end in enumerate((0.5, 0.6, 0.8)):
        trainings.values[training] = {0.5: 0.1 + end / 2, 0.0: end}
    trainings.values[3] = {0.75: 0.3, 0.5: 0.1 + 0.7 / 2}
    assert trainings.lines()[0.5] == pytest.approx((-0.2, 2.0))
    found = [(training, lack) for training, lack, _ in trainings.parts([0, 3])]
    assert found == [(0, 0.0), (0, 0.5), (3, 0.5)]
    assert next(value for training, _, value in trainings.parts([3])) == pytest.approx(0.7)
    assert trainings.ended_early == [3]


def test_an_architecture_that_is_listed_several_times_is_encoded_once():
    def describe(rows):
        return rows.astype(float), np.zeros((len(rows), 1)), np.ones(len(rows)), np.zeros(len(rows))

    encoded = EncodedArchitectures(describe)
    one, other = (1, 2), (3, 4)
    encoded([one, one, one])
    encoded([other, other])
    points, _, _ = encoded([one, other])
    assert points.x.tolist() == [[1, 2], [3, 4]]
