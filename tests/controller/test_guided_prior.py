"""What a predictor takes over from another task (`prior`), and what that costs where it misleads."""

import json

import numpy as np
import pytest

from controller import PredictorGuided, make_controller
from search_spaces import InputError
from tests.controller.landscape import SIZES, SPACE, cost, drive, objective, smooth


def rough(rows):
    """An accuracy without order or main effects to speak of: what has to be found out choice by choice."""
    tables = np.random.default_rng(5).normal(size=(len(SIZES), 4))
    pairs = np.random.default_rng(6).normal(size=(len(SIZES), 4, 4))
    rows = np.asarray(rows)
    ones = tables[np.arange(len(SIZES)), rows].sum(1)
    return 0.5 + 0.02 * (ones + pairs[np.arange(len(SIZES) - 1), rows[:, :-1], rows[:, 1:]].sum(1))


def unlike(rows):
    """What has nothing to do with it."""
    return rough(np.asarray(rows)[:, ::-1] % SIZES)


def climbed(prior, count=30, seeds=5):
    """The best accuracy after so many results, by seed."""
    best = []
    for seed in range(seeds):
        controller = PredictorGuided(SPACE, seed, prior=prior)
        for _ in range(count):
            proposal = controller.ask()
            controller.tell(proposal.id, rough([proposal.architecture])[0])
        best.append(controller._best[0])
    return np.array(best)


def test_a_prior_that_knows_helps_and_one_that_does_not_costs_little():
    alone = climbed(None).mean()
    half = climbed(lambda rows: 0.3 * rough(rows) + 0.2 * unlike(rows)).mean()
    other = climbed(unlike).mean()
    spread = np.std(rough(np.random.default_rng(0).integers(SIZES, size=(2000, len(SIZES)))))
    assert half > alone + 0.5 * spread
    assert other > alone - 0.5 * spread


def test_with_a_prior_every_other_first_proposal_is_as_good_as_it_knows():
    controller = PredictorGuided(SPACE, 0, prior=rough)
    first = [controller.ask().architecture for _ in range(40)]  # all of them before any result
    known = rough(np.random.default_rng(0).integers(SIZES, size=(4000, len(SIZES))))
    chosen = [rough([architecture])[0] for architecture in first[1::2]]
    assert min(chosen) > np.quantile(known, 0.9)
    assert np.median(chosen) > known.max()
    assert np.quantile(known, 0.2) < np.median([rough([a])[0] for a in first[::2]]) < np.quantile(known, 0.8)
    assert len(set(first)) == 40
    distances = [np.sum(np.array(a) != b) for a, b in zip(first[1::2], first[3::2], strict=False)]
    assert np.median(distances) >= 4


def test_a_prior_of_rewards_that_fall_with_the_cost_weighs_the_cost():
    steep = PredictorGuided(
        SPACE,
        0,
        objective=lambda rows: (cost(rows) ** -3.0, np.zeros(len(rows))),
        prior=lambda rows: smooth(rows),
    )
    flat = PredictorGuided(SPACE, 0, prior=lambda rows: smooth(rows))
    costs = [np.mean([cost([c.ask().architecture])[0] for _ in range(20)][1::2]) for c in (steep, flat)]
    assert costs[0] < 0.5 * costs[1]


def test_a_search_with_a_prior_resumes_exactly():
    made = lambda: PredictorGuided(SPACE, 3, objective, prior=rough)  # noqa: E731
    whole = made()
    rewards = drive(whole, 24)
    first = made()
    assert (drive(first, 13) == rewards[:13]).all()
    again = made()
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert (drive(again, 11) == rewards[13:]).all()
    assert again.state_dict() == whole.state_dict()


def test_a_prior_that_is_the_same_everywhere_is_no_harm():
    controller = PredictorGuided(SPACE, 0, objective, prior=lambda rows: np.full(len(rows), 0.5))
    assert np.isfinite(drive(controller, 20)).all()


def test_who_learns_from_no_prior_says_so():
    with pytest.raises(InputError, match="prior: controller 'evolution' learns from none"):
        make_controller("evolution", SPACE, prior=rough)
