"""What the predictor, local search and NSGA-II are for; the contract suite holds the rest."""

import json

import numpy as np
import pytest

from controller import NSGA2, ControllerError, Evolution, LocalSearch, PredictorGuided
from controller.encoding import Encoding, _contrasts
from controller.nsga2 import ranks
from controller.posterior import Posterior
from controller.predictor import _COMMON, Points, Predictor, standardised, without_tail
from controller.view import chances
from nas.benchmark.choice_space import ChoiceSpace
from search_spaces import InputError, get_space
from search_spaces.decision import Decision
from tests.controller.landscape import SIZES, SPACE, cost, drive, objective, smooth


@pytest.mark.parametrize("further", [0, 1])
def test_gradient_of_the_posterior_is_that_of_its_value(further):
    encoding = Encoding(SPACE)
    predictor = Predictor(encoding, further)
    rng = np.random.default_rng(0)
    rows = rng.integers(SIZES, size=(25, len(SIZES)))
    x, z = encoding(rows), np.stack([np.log(cost(rows)), rng.normal(size=len(rows))][: 1 + further], axis=1)
    y, _, _ = standardised(smooth(rows))
    at = predictor.parameters + 0.3 * rng.normal(size=len(predictor.parameters))
    _, gradient = predictor._loss(at, x, z, y)
    for index in range(len(at)):
        step = np.zeros(len(at))
        step[index] = 1e-5
        up, down = predictor._loss(at + step, x, z, y)[0], predictor._loss(at - step, x, z, y)[0]
        assert gradient[index] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-5)


def test_predictor_learns_and_knows_what_it_does_not():
    encoding = Encoding(SPACE)
    predictor = Predictor(encoding)
    rng = np.random.default_rng(1)
    rows = rng.integers(SIZES, size=(200, len(SIZES)))
    y, _, _ = standardised(smooth(rows))
    x, z = encoding(rows), np.zeros(len(rows))
    predictor.fit(x[:150], z[:150], y[:150])
    seen = Points(range(150), x[:150], z[:150])
    predictor.condition(seen, y[:150])
    mean, deviation = predictor.predict(x[150:], z[150:])
    assert np.corrcoef(mean, y[150:])[0, 1] > 0.95
    assert np.abs((mean - y[150:]) / deviation).mean() < 3  # it is about as unsure as it is wrong
    _, at_seen = predictor.predict(x[:150], z[:150])
    assert at_seen.mean() < deviation.mean() / 2
    assert predictor.seen_means == pytest.approx(predictor.predict(x[:150], z[:150])[0])
    # pending proposals change no mean, and leave less to be learned
    predictor.condition(seen, y[:150], Points(range(200), x, z))
    same, less = predictor.predict(x[150:], z[150:])
    assert same == pytest.approx(mean)
    assert (less < deviation).all()
    assert predictor.predict_from_seen(x[150:], z[150:])[1] == pytest.approx(deviation)


@pytest.mark.parametrize("choices", [1, 2, 3, 4, 7])
def test_contrasts_are_orthogonal_and_centred(choices):
    table = _contrasts(choices)
    assert table.shape == (choices, choices - 1)
    assert table.sum(0) == pytest.approx(0)
    gram = table.T @ table
    assert gram == pytest.approx(np.diag(np.diag(gram)))


def test_without_an_order_all_choices_are_equally_far_from_each_other():
    encoding = Encoding(get_space("accel-nasbench"))
    for order in (-9.0, 0.0, 2.0, 40.0):
        sizes, _ = encoding.sizes(np.full(len(SIZES), order))
        for decision, count in enumerate(SIZES):
            rows = np.zeros((count, len(SIZES)), np.int64)
            rows[:, decision] = np.arange(count)
            x = encoding(rows) * np.sqrt(sizes)
            distances = np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(count, 1)]
            if order > 30:
                assert distances == pytest.approx(distances[0])
            elif count > 3:
                assert distances.max() > 1.1 * distances.min()
            own = (x[:, encoding.decision == decision] ** 2).sum(1)
            assert own.mean() == pytest.approx(sum(0.36**j for j in range(count - 1)) / (count - 1))


@pytest.mark.parametrize("shuffled", [False, True])
def test_whether_choices_have_an_order_is_learned(shuffled):
    """Held-out predictions, beside those of a predictor that believes what isn't so."""
    space = ChoiceSpace("s", tuple(Decision(f"d{d}", tuple(range(9))) for d in range(5)))
    encoding, rng = Encoding(space), np.random.default_rng(3)
    labels = [rng.permutation(9) if shuffled else np.arange(9) for _ in range(5)]
    rows = rng.integers(9, size=(260, 5))
    y, _, _ = standardised(-sum((labels[d][rows[:, d]] / 8 - 0.2 * d) ** 2 for d in range(5)))
    x, z, errors = encoding(rows), np.zeros(len(rows)), {}
    for fixed in (None, -6.0, 9.0):
        predictor = Predictor(encoding)
        if fixed is not None:  # nothing can move it
            predictor.parameters[_COMMON], predictor._bounds[_COMMON] = fixed, (fixed, fixed)
            predictor._bounds[predictor._order] = 0.0
        predictor.fit(x[:60], z[:60], y[:60], 100)
        predictor.condition(Points(range(60), x[:60], z[:60]), y[:60])
        mean, _ = predictor.predict(x[60:], z[60:])
        errors[fixed] = np.sqrt(np.mean((mean - y[60:]) ** 2))
    right, wrong = (9.0, -6.0) if shuffled else (-6.0, 9.0)
    assert errors[right] < 0.8 * errors[wrong]  # else this asks nothing
    assert errors[None] < 1.1 * errors[right]


def test_a_lower_tail_is_drawn_in_and_all_else_stays():
    rng = np.random.default_rng(0)
    usual = 0.65 + 0.05 * rng.uniform(-1, 1, 201) ** 3
    assert without_tail(usual) == pytest.approx(usual, abs=0)
    tailed = np.concatenate([usual, [0.1, 0.0, 0.3]])
    drawn = without_tail(tailed)
    assert drawn[:201] == pytest.approx(usual, abs=0)
    assert (np.argsort(drawn) == np.argsort(tailed)).all()
    assert drawn.min() > 0.35
    for few in ([0.5], [0.5, 0.5], [0.1, 0.5, 0.5]):
        assert without_tail(few) == pytest.approx(few)


def test_no_fit_overflows(recwarn):
    """Wherever the line search goes: targets that no parameters explain."""
    encoding = Encoding(SPACE)
    rows = np.random.default_rng(0).integers(SIZES, size=(30, len(SIZES)))
    predictor = Predictor(encoding)
    for y in (np.eye(30)[0] * 5, np.zeros(30), np.resize([1.0, -1.0], 30)):
        predictor.fit(encoding(rows), np.zeros(30), y)
        assert np.isfinite(predictor.parameters).all()
    assert not recwarn.list


def test_predictor_beats_evolution_early():
    predictor, evolution = [], []
    for seed in range(3):
        predictor.append(drive(PredictorGuided(SPACE, seed, objective), 60).max())
        evolution.append(drive(Evolution(SPACE, seed), 60).max())
    assert np.mean(predictor) > np.mean(evolution) + 0.002


def test_it_learns_the_accuracy_and_computes_the_reward():
    controller = PredictorGuided(SPACE, 0, objective)
    drive(controller, 30)
    results = controller._rewards.results
    values = [results.trainings.values[id][0.0] for id in results.ids]
    assert np.array(values) == pytest.approx(smooth(np.array(results.seen)))


@pytest.mark.parametrize("sizes", [(1, 3, 1), (4, 1), (300, 2)])
def test_decisions_of_one_choice_and_of_very_many(sizes, recwarn):
    space = ChoiceSpace("s", tuple(Decision(f"d{d}", tuple(range(size))) for d, size in enumerate(sizes)))
    controller = PredictorGuided(space, 0, initial=3)
    for reward in np.linspace(0.5, 0.6, min(int(np.prod(sizes)), 16)):
        controller.tell(controller.ask().id, reward)
    parameters = controller._rewards._views[0].predictor.parameters
    assert len(parameters) == Predictor.parameter_count(len(sizes))
    assert not recwarn.list


@pytest.mark.parametrize("direct", [False, True])
def test_what_is_simple_is_learned_accuracy_or_reward(direct):
    """Of an accuracy with a cost in it that the reward takes out again, the reward is what varies simply."""

    def line(rows):
        return np.exp(0.4 * np.random.default_rng(list(map(int, rows[0]))).normal(size=1)), np.zeros(1)

    def lines(rows):  # a cost that follows from the choices as a hash does
        found = [line(row[None]) for row in np.asarray(rows)]
        return np.concatenate([slope for slope, _ in found]), np.zeros(len(rows))

    controller = PredictorGuided(SPACE, 0, lines)
    for _ in range(30):
        proposal = controller.ask()
        row = np.array([proposal.architecture])
        controller.tell(proposal.id, smooth(row)[0] * (1.0 if direct else lines(row)[0][0]))
    believed = chances(controller._rewards._views)[1]
    assert believed > 0.9 if direct else believed < 0.1


def test_without_an_objective_it_learns_the_reward():
    controller = PredictorGuided(SPACE, 0)
    rewards = drive(controller, 60)
    assert rewards[40:].mean() > rewards[:10].mean()


@pytest.mark.parametrize("seed", [1, 3])
def test_a_lucky_measurement_is_not_the_incumbent(seed):
    controller = PredictorGuided(SPACE, seed, objective)
    drive(controller, 80, noise=0.01)
    results = controller._rewards.results
    seen = np.array(results.seen)
    poor = int(np.argmin(smooth(seen[:10])))
    # as if a poor network had once been so lucky that it has the highest reward seen
    values = np.array([results.trainings.values[id][0.0] for id in results.ids])
    highest = (objective(seen)[0] * values).max()
    results.trainings.values[results.ids[poor]][0.0] = (highest + 1e-3) / objective(seen[[poor]])[0][0]
    assert controller.incumbent() != results.ids[poor]
    true = objective(seen)[0] * smooth(seen)
    assert true[results.ids.index(controller.incumbent())] > np.quantile(true, 0.8)


def test_the_first_design_is_balanced():
    controller = PredictorGuided(SPACE, 0, objective, initial=12)
    rows = np.array([controller.ask().architecture for _ in range(12)])
    for column, size in zip(rows.T, SIZES, strict=True):
        counts = np.bincount(column, minlength=size)
        assert counts.max() - counts.min() <= 1


def test_metrics_of_the_predictor():
    controller = PredictorGuided(SPACE, 0, objective)
    drive(controller, 40)
    assert 0 <= controller.metrics["predictor/chance"] <= 1
    assert -1 <= controller.metrics["predictor/rank_correlation"] <= 1
    assert controller.metrics["predictor/noise"] > 0


@pytest.fixture
def few(monkeypatch):
    """It conditions on fewer results than there are, and chooses them anew every few."""
    monkeypatch.setattr("controller.evaluated._MOST", 30)
    monkeypatch.setattr("controller.reward_model._FIT_ON", 20)
    monkeypatch.setattr("controller.evaluated._STEP", 8)


def test_more_results_than_it_conditions_on(few):
    rewards = drive(PredictorGuided(SPACE, 0, objective), 90)
    assert rewards[60:].mean() > rewards[:10].mean()


def crowded(controller, pending, count, rng):
    """Results in any order and failures, with that many pending; the proposals."""
    asked = []
    for _ in range(count):
        while len(controller.pending) < pending:
            asked.append(controller.ask())
        id, row = (p := controller.pending[int(rng.integers(pending))]).id, np.array([p.architecture])
        if rng.random() < 0.1:
            controller.fail(id, "lost")
        else:
            controller.tell(id, (objective(row)[0] * smooth(row))[0])
    return asked


def test_many_pending_are_resumed_to_the_bit(few):
    """The factor grew by rows here and is made as a whole there."""
    controller = PredictorGuided(SPACE, 0, objective)
    crowded(controller, 120, 70, np.random.default_rng(0))
    again = PredictorGuided(SPACE, 1, objective)
    again.load_state_dict(json.loads(json.dumps(controller.state_dict())))
    both = [crowded(c, 120, 12, np.random.default_rng(1)) for c in (controller, again)]
    assert both[0] == both[1]
    assert controller.state_dict() == again.state_dict()
    for view, same in zip(controller._rewards._views, again._rewards._views, strict=True):
        lower, other = view.predictor._whole_factor, same.predictor._whole_factor
        rows = min(len(lower), len(other))  # of the view that wasn't asked last fewer may be there
        assert np.array_equal(lower.dense()[:rows, :rows], other.dense()[:rows, :rows])
    assert rows > 100


def test_those_that_bounds_leave_out_are_none_of_the_best():
    controller, rng = PredictorGuided(SPACE, 0, objective), np.random.default_rng(3)
    crowded(controller, 60, 50, rng)
    _, model = controller._model()
    rows = np.concatenate(
        [rng.integers(SIZES, size=(200, len(SIZES))), controller._nearby.around(model.top(3))]
    )
    counted, deviation = [], Predictor.deviation
    model.predictor.deviation = lambda x, z: counted.append(len(x)) or deviation(model.predictor, x, z)
    found = model.leaders(rows, 3, model.log_improvement, 0.2)
    assert sum(counted) < len(rows) / 2
    x, z, slope, offset = model.describe(rows)
    mean, left = model.predictor.predict(x, z)
    scores = model.log_improvement(
        slope * (mean * model.scale + model.shift) + offset, slope * left * model.scale
    )
    assert found.scores == pytest.approx(np.sort(scores)[::-1][:3])
    assert np.array_equal(found.rows, rows[np.argsort(-scores, kind="stable")[:3]])
    assert isinstance(model, Posterior)
    beaten = model.leaders(rows, 3, model.log_improvement, 0.2, floor=float(found.scores[0]) + 1)
    assert (beaten.scores < found.scores[0] + 1).all()


@pytest.mark.parametrize("options", [{"initial": 2}, {"local": -0.1}, {"worthwhile": 2}])
def test_settings_out_of_range(options):
    (name,) = options
    with pytest.raises(InputError, match=name):
        PredictorGuided(SPACE, 0, **options)


def test_local_search_climbs_to_a_local_optimum():
    controller = LocalSearch(SPACE, 0, initial=5)
    drive(controller, 600, with_cost=False)
    peak = max(controller._proposed, key=lambda a: smooth([a])[0])
    assert smooth(np.array(list(SPACE.neighbours(peak)))).max() <= smooth([peak])[0] + 1e-12


def test_nsga2_finds_a_front_and_measures_it():
    controller = NSGA2(SPACE, 0, population=20)
    points, volumes = {}, []
    for _ in range(300):
        proposal = controller.ask()
        row = np.array([proposal.architecture])
        points[proposal.id] = (smooth(row)[0], -cost(row)[0])
        controller.tell(
            proposal.id, 0.0, {"accuracy": points[proposal.id][0], "macs": -points[proposal.id][1]}
        )
        volumes.append(controller.metrics.get("pareto/hypervolume", 0.0))
    front = [points[p.id] for p in controller.front]
    for a in points.values():  # nothing seen dominates what is on the front
        assert not any(a[0] >= b[0] and a[1] >= b[1] and a != b for b in front)
    assert volumes[19:] == sorted(volumes[19:])
    assert volumes[-1] > volumes[20] > 0
    with pytest.raises(ControllerError, match="'macs'"):
        controller.tell(controller.ask().id, 0.5, {"accuracy": 0.5})


def test_nsga2_ranks_of_known_points():
    #  two fronts; the ends of each are never crowded
    points = [(3.0, 0.0), (2.0, 2.0), (0.0, 3.0), (1.0, 1.0), (1.0, 1.0)]
    fronts = [front for front, _ in ranks(points)]
    assert fronts == [0, 0, 0, 1, 1]
    assert ranks(points)[0][1] == -float("inf")
    assert ranks(points)[1][1] == pytest.approx(-2.0)


def test_what_matters_under_other_choices_only_is_found():
    """Groups of three: the second counts under one choice of the first, the third under another."""
    space = ChoiceSpace("groups", tuple(Decision(f"d{i}", tuple(range(3 + (i % 3 > 0)))) for i in range(12)))
    rng = np.random.default_rng(5)
    firsts, seconds, thirds = (rng.normal(size=(4, size)) for size in (3, 4, 4))

    def score(architecture):
        groups = np.array(architecture).reshape(4, 3)
        return sum(
            firsts[g, a] + (seconds[g, b] if a == 0 else 0) + (thirds[g, c] if a == 1 else 0)
            for g, (a, b, c) in enumerate(groups.tolist())
        )

    best = sum(
        max(firsts[g, 0] + seconds[g].max(), firsts[g, 1] + thirds[g].max(), firsts[g, 2]) for g in range(4)
    )
    found = []
    for seed in range(4):
        controller = PredictorGuided(space, seed)
        for _ in range(200):
            proposal = controller.ask()
            controller.tell(proposal.id, score(proposal.architecture))
        found.append(controller._best[0])
    assert np.sum(np.array(found) > best - 1e-9) >= 3


def test_the_first_design_has_no_network_that_its_cost_rules_out():
    def miss(rows):
        return abs(cost(rows) / 2.7 - 1)

    def absolute(rows):  # TuNAS' form: a sixth beside the target is worth half of the accuracy
        return np.ones(len(rows)), -3 * miss(rows)

    def first(line, count=10):
        controller = PredictorGuided(SPACE, 5, line)
        return np.array([controller.ask().architecture for _ in range(count)])

    plain, soft, aimed = first(None), first(objective), first(absolute)
    assert (plain == soft).all()  # a soft reward rules out none
    ruled_out = miss(plain) > 0.17
    assert 3 <= ruled_out.sum() < 10
    assert (miss(aimed) <= 0.17).all()
    assert (aimed[~ruled_out] == plain[~ruled_out]).all()
