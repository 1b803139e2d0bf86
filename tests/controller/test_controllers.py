import numpy as np
import pytest
import torch

from controller import PPO, Evolution, dominates, hypervolume, make_controller, pareto_front
from controller.policy import FactorisedPolicy
from controller.rnn_policy import LSTMPolicy
from search_spaces import Architecture, InputError, StagedSpace, get_space


@pytest.fixture(scope="module")
def space():
    return get_space("accel-nasbench")


def landscape(space, seed):
    """An additive reward with interactions between neighbouring decisions, 0 to 1 or so."""
    rng = np.random.default_rng(seed)
    single = [rng.normal(size=len(d)) for d in space.decisions]
    pair = [
        0.3 * rng.normal(size=(len(a), len(b)))
        for a, b in zip(space.decisions, space.decisions[1:], strict=False)
    ]

    def value(architecture):
        total = sum(w[i] for w, i in zip(single, architecture, strict=True))
        total += sum(w[i, j] for w, i, j in zip(pair, architecture, architecture[1:], strict=False))
        return 0.5 + 0.01 * total

    return value


def run(controller, value, trials):
    rewards = []
    for _ in range(trials):
        proposal = controller.ask()
        rewards.append(value(proposal.architecture))
        controller.tell(proposal.id, rewards[-1])
    return np.array(rewards)


@pytest.mark.parametrize(
    ("name", "options", "trials"),
    [
        ("evolution", {}, 300),
        ("ppo", {}, 1000),
        pytest.param("ppo", {"policy": "lstm"}, 1000, marks=pytest.mark.slow),
    ],
)
def test_learning_beats_random_search(space, name, options, trials):
    gains = []
    for seed in range(3):
        value = landscape(space, seed)
        learned = run(make_controller(name, space, seed, options), value, trials)
        random = run(make_controller("random", space, seed), value, trials)
        gains.append(learned[-50:].mean() > np.quantile(random, 0.99) and learned.max() > random.max())
    assert all(gains)


def test_evolution_is_regularized(space):
    """The oldest dies, however good it is; parents are tournament winners; children are one step away."""
    controller = Evolution(space, 0, population=5, tournament=5)
    first = controller.ask()
    controller.tell(first.id, 1.0)
    for _ in range(4):
        controller.tell(controller.ask().id, 0.1)
    assert controller.population[0] == (first.architecture, 1.0)
    parents = {a for a, _ in controller.population}
    child = controller.ask()
    assert min(child.architecture.distance(parent) for parent in parents) == 1
    controller.tell(child.id, 0.2)
    assert first.architecture not in {a for a, _ in controller.population}
    assert len(controller.population) == 5


def test_tournaments_prefer_the_best(space):
    controller = Evolution(space, 1, population=20, tournament=10)
    best = None
    for index in range(20):
        proposal = controller.ask()
        controller.tell(proposal.id, float(index == 13))
        best = proposal.architecture if index == 13 else best
    children = [controller.ask().architecture for _ in range(60)]
    share = np.mean([child.distance(best) == 1 for child in children])
    assert share > 0.2  # 1 - .95^10 = .4 expected


@pytest.mark.parametrize("policy", [FactorisedPolicy, LSTMPolicy])
def test_policies_are_distributions(policy):
    stages = [{"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "repeats": [1, 2]}]
    tiny = StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})
    model = policy(tiny, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.5
        every = list(tiny.enumerate())
        taken, entropy = model.evaluate(torch.tensor(every))
    probabilities = taken.sum(1).exp()
    assert probabilities.sum().item() == pytest.approx(1)
    assert (entropy > 0).all()
    rng = np.random.default_rng(0)
    drawn = [model.sample(rng) for _ in range(4000)]
    for architecture, probability in zip(every, probabilities.tolist(), strict=True):
        error = 4 * (probability / 4000) ** 0.5 + 0.002
        assert drawn.count(architecture) / 4000 == pytest.approx(probability, abs=error)


def test_the_first_proposals_are_uniform(space):
    for policy in ("factorised", "lstm"):
        controller = PPO(space, 0, policy=policy)
        rows = controller.policy.log_probs(torch.zeros(1, len(space.decisions), dtype=torch.int64))[0]
        for row, decision in zip(rows.exp(), space.decisions, strict=True):
            assert row[: len(decision)].tolist() == pytest.approx([1 / len(decision)] * len(decision))


def test_importance_ratios_use_the_policy_that_proposed(space):
    """A late result is weighed against its own policy, not against the updated one."""
    controller = PPO(space, 0, batch=5)
    late = controller.ask()
    kept = list(controller._behaviour[late.id])
    for index in range(25):
        controller.tell(controller.ask().id, 0.5 + 0.01 * (index % 5))
    with torch.no_grad():
        now, _ = controller.policy.evaluate(torch.tensor([late.architecture]))
    assert controller._behaviour[late.id] == kept
    assert not np.allclose(now[0].numpy(), kept)
    for _ in range(4):
        controller.tell(controller.ask().id, 0.5)
    controller.tell(late.id, 0.9)
    assert controller.metrics["losses/approx_kl"] > 0


def test_a_good_architecture_becomes_likelier_and_clipping_bounds_it(space):
    controller = PPO(space, 0, batch=4, epochs=1, entropy=0)
    proposals = [controller.ask() for _ in range(4)]
    before = [sum(controller._behaviour[p.id]) for p in proposals]
    for proposal, reward in zip(proposals, (1, 0, 0, 0), strict=True):
        controller.tell(proposal.id, reward)
    with torch.no_grad():
        after = controller.policy.evaluate(torch.tensor([p.architecture for p in proposals]))[0].sum(1)
    assert after[0] > before[0]
    assert set(controller.metrics) == {
        "losses/policy",
        "losses/entropy",
        "losses/approx_kl",
        "losses/clipfrac",
    }


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("evolutoin", {}, "did you mean 'evolution'"),
        ("evolution", {"populaton": "3"}, "did you mean 'population'"),
        ("evolution", {"population": "many"}, "expected a value of type int"),
        ("evolution", {"population": "5", "tournament": "6"}, "tournament 6"),
        ("random", {"population": "5"}, "it has none"),
        ("ppo", {"policy": "lsmt"}, "did you mean 'lstm'"),
        ("ppo", {"clip": "0"}, "clip 0"),
        ("ppo", {"entropy": "nan"}, "entropy nan"),
    ],
)
def test_bad_options(space, name, options, message):
    with pytest.raises(InputError, match=message):
        make_controller(name, space, 0, options)


def test_options_may_be_text(space):
    assert make_controller("evolution", space, 0, {"population": "7", "tournament": "3"}).population_size == 7


def test_dominance():
    assert dominates((2, 1), (1, 1))
    assert not dominates((1, 1), (1, 1))
    assert not dominates((2, 0), (1, 1))


def test_fronts_agree_with_the_definition():
    rng = np.random.default_rng(0)
    for dimensions in (2, 3):
        for _ in range(30):
            points = [tuple(p) for p in rng.integers(0, 6, size=(25, dimensions)).tolist()]
            front = {points[i] for i in pareto_front(points)}
            expected = {p for p in points if not any(dominates(q, p) for q in points)}
            assert front == expected
            assert len(pareto_front(points)) == len(front)
    assert pareto_front([]) == []


def test_hypervolume_by_counting():
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.integers(0, 8, size=(6, 2)).tolist()
        cells = {(x, y) for a, b in points for x in range(a) for y in range(b)}
        assert hypervolume(points, (0, 0)) == len(cells)
    with pytest.raises(ValueError, match="two"):
        hypervolume([(1, 2, 3)], (0, 0, 0))


def test_distance():
    assert Architecture((1, 2, 3)).distance(Architecture((1, 0, 0))) == 2
