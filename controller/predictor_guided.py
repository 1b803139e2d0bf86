"""The predictor-guided controller: proposes where a Gaussian process expects to improve on the best.

The cost of every architecture is known exactly before anything is trained, so the reward can be computed
from a predicted accuracy (`objective`). Where cost and accuracy rise together, it may be the reward itself
that is simple. Both are learned, and each is believed as far as it explains what was seen (`View`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import spearmanr
from threadpoolctl import ThreadpoolController

from controller.base import Controller, PriorAccuracy, Proposal, RewardLine
from controller.neighbourhood import Neighbourhood, Rows
from controller.posterior import LOG_SLACK, Leaders, Posterior, upper_bound
from controller.reward_model import RewardModel
from controller.row_factor import Floats
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace

_CLIMBS = 3
_DRAWS = 8
"""Attempts at a proposal by a climb that is a new one."""
_PATIENCE, _ELSEWHERE = 20, 0.5
"""After so many results without an improvement, a quarter of all at least, a part of proposals leads away."""
_QUARTER, _WHOLE = 75, 4
"""Percentile that one is to reach of the rewards after as much of an evaluation; until so many came to their
end it goes on then."""
_HOPE, _SURE = 0.3, 0.65
"""Later it does if it is the best with that chance, and with a higher one whatever it showed."""
_EARLY = 12
"""After so many in a row that ended early one goes on that reaches the percentile of those."""
_HALF, _SPARE = 0.5, 500
"""An accuracy that is nothing special, and random architectures that the first design is mended with."""
_STARTS = 4
_RANDOM = 150
_CHILDREN = 100
_WINDOW = 50


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The linear algebra libraries of this process; looking for them takes a while."""
    return ThreadpoolController()


class PredictorGuided(Controller):
    """Expected improvement over one architecture after the other, with steps of guided local search.

    After a balanced first design, of networks whose cost leaves them a chance, each proposal maximises the
    expected improvement (Jones et al. 1998) over random architectures, the neighbours and the offspring of
    the best, and a climb from those; one in `local` instead takes the most promising unseen neighbour of the
    three best, which keeps it good where the accuracy is rougher than the process believes. Where nothing
    better has come for long, half of the proposals are the most promising of those that share half of their
    choices with a random architecture: near the best, what matters under other choices looks as if it never
    did. The best is the highest posterior mean of what was evaluated, so that lucky noise is not chased.

    An evaluation that was ended early tells of its end as far as others, which showed as much and came to
    theirs, let expect (`FidelityPredictor`). Asked whether one should go on (`goes_on`), it says so of those
    that look good and may become the best, and of a few others, to learn what becomes of such.

    What is known from another task (`prior`) is one more input of the process, which finds out with the first
    results what it is worth here, and chooses every other architecture until then.

    Args:
        space: where to search.
        seed: of all randomness.
        objective: the reward as a line in the accuracy; without one only the reward itself is learned.
        initial: results before the predictor takes over.
        local: the part of proposals that are steps of local search.
        worthwhile: an improvement of the reward that is worth a trial, as a share of the best.
        prior: accuracies that were learned elsewhere.

    Attributes:
        metrics: `predictor/expected` (reward expected of the last proposal), `predictor/chance` (that it
            is a worthwhile improvement), `predictor/noise` (standard deviation of what was learned),
            `predictor/rank_correlation` (Spearman, of the last 50 predictions with what was seen).

    Raises:
        InputError: a setting out of its range.
    """

    judges = True

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        objective: RewardLine | None = None,
        initial: int = 10,
        local: float = 0.3,
        worthwhile: float = 0.001,
        prior: PriorAccuracy | None = None,
    ) -> None:
        super().__init__(space, seed)
        for name, value, low, high in (
            ("initial", initial, 3, 10_000),
            ("local", local, 0, 1),
            ("worthwhile", worthwhile, 0, 1),
        ):
            if not low <= value <= high:
                raise InputError(f"{name} {value:g}: expected {low:g} to {high:g}")
        self.objective, self.initial, self.local, self.worthwhile = objective, initial, local, worthwhile
        self._sizes = np.array([len(decision) for decision in space.decisions])
        self._nearby = Neighbourhood(space, self.rng)
        self._prior = prior
        self._design = self._within_reach(self._balanced(initial), seed)
        self._rewards = RewardModel(space, objective, prior)
        self._parts: dict[int, dict[float, float]] = {}  # by pending proposal, rewards by fidelity
        self._highest: float | None = None
        self._improved, self._fruitless = 0, 0.0
        self._asked_after: list[int] = []  # by id, the results until the last improvement then
        self._expected: dict[int, float] = {}
        self._compared: list[tuple[float, float]] = []
        self._forecast: float | None = None

    def incumbent(self) -> int | None:
        """The id of the evaluated proposal with the highest posterior mean of its reward.

        Of those whose evaluation came to its end, if any did.
        """
        if len(self._rewards.results) < self.initial and not self._rewards.results.early:
            return super().incumbent()
        with _blas().limit(limits=1):
            rows, model = self._model()
        return self._rewards.results.ids[int(rows[model.leader])]

    def goes_on(self, id: int, rewards: Mapping[float, float]) -> bool:
        """Whether it may become the best, or is one that something is learned from.

        As in asynchronous successive halving (Li et al. 2020) it is to be in the best quarter of those that
        came as far; and it is to have a chance, or such a one that it need not be.
        """
        super().goes_on(id, rewards)
        known, done = self._rewards.results.trainings, max(rewards)

        def high(among: Collection[int] | None = None) -> bool:
            others = self._rewards.rewards_at(done, among)
            return rewards[done] >= float(np.percentile([*others, rewards[done]], _QUARTER))

        if sum(map(known.whole, known.values)) < _WHOLE:
            return high()
        lately = known.ended_early
        if len(lately) >= _EARLY and high(lately):  # however good others were before
            return True
        with _blas().limit(limits=1):
            _, model = self._rewards.posterior_with(id, self._pending[id], rewards)
            found = model.leaders(model.seen[-1:], 1, upper_bound)
        chance = float(ndtr((float(model.means[-1]) - model.best) / found.deviations[0]))
        return chance >= _SURE or (chance >= _HOPE and high())

    def _propose(self) -> Architecture:
        # matrices this small lose time to threads, and one thread adds up the same in every process
        with _blas().limit(limits=1):
            return self._guided()

    def _guided(self) -> Architecture:
        self._forecast = None
        if len(self._rewards.results) < self.initial:
            if self._prior is not None and self._next_id % 2:
                return self._by_prior()
            if self._next_id < len(self._design):
                first = Architecture(self._design[self._next_id].tolist())
                if first not in self._proposed:
                    return first
            return self._fresh()
        _, model = self._model(fit=True)
        if self._stagnant and self.rng.random() < _ELSEWHERE:
            return self._noted(model, model.leaders(np.array([self._elsewhere(model)]), 1, upper_bound))
        stepping = self.rng.random() < self.local
        candidates = self._unseen(self._nearby.around(model.top(3)) if stepping else self._pool(model))
        if not len(candidates):
            candidates = self._unseen(self._pool(model))
        if not len(candidates):
            return self._fresh()
        found = model.leaders(candidates, 1, upper_bound) if stepping else self._climb(model, candidates)
        return self._noted(model, found)

    def _noted(self, model: Posterior, found: Leaders) -> Architecture:
        """The first of those, with what the model says of it as metrics."""
        self._forecast = float(found.means[0])
        goal = model.best + self.worthwhile * abs(model.best)
        chance = float(ndtr((found.means[0] - goal) / found.deviations[0]))
        self.metrics = {
            "predictor/expected": self._forecast,
            "predictor/chance": chance,
            "predictor/noise": math.sqrt(model.predictor.noise) * model.scale,
        }
        if len(self._compared) >= 5:
            predicted, seen = zip(*self._compared, strict=True)
            if len(set(predicted)) > 1 and len(set(seen)) > 1:
                self.metrics["predictor/rank_correlation"] = float(spearmanr(predicted, seen).statistic)
        return Architecture(found.rows[0].tolist())

    def _climb(self, model: Posterior, candidates: Rows) -> Leaders:
        """Go on from the best candidates to their neighbours while that raises the acquisition."""
        leaders = model.leaders(candidates, 3, model.log_improvement, LOG_SLACK)
        for _ in range(_CLIMBS):
            nearby = self._unseen(self._nearby.around(leaders.rows))
            if not len(nearby):
                break
            before = leaders.scores
            found = model.leaders(nearby, 3, model.log_improvement, LOG_SLACK, float(before[-1]))
            leaders = leaders.joined(found, 3)
            if leaders.scores[0] <= before[0]:
                break
        return leaders

    @property
    def _stagnant(self) -> bool:
        """Whether no worthwhile improvement has come for long, of what was proposed since the last one."""
        return self._fruitless >= max(_PATIENCE, len(self._rewards.results) / 4)

    def _elsewhere(self, model: Posterior) -> Architecture:
        """The most promising with half of its choices at random: from the best, a climb in the others."""
        return self._climbed(model.expected, 0.5, model.top(1)[0])

    def _pool(self, model: Posterior) -> Rows:
        """Random architectures, the best ones' neighbours, and their mutated crossovers."""
        width = len(self._sizes)
        best = model.top(10)
        pairs = self.rng.integers(len(best), size=(2, _CHILDREN))
        children = np.where(self.rng.random((_CHILDREN, width)) < 0.5, best[pairs[0]], best[pairs[1]])
        other = self.rng.integers(self._sizes, size=children.shape)
        children = np.where(self.rng.random(children.shape) < 1.5 / width, other, children)
        anywhere = self.rng.integers(self._sizes, size=(_RANDOM, width))
        return np.concatenate([anywhere, self._nearby.around(best[:_STARTS]), children])

    def _unseen(self, architectures: Rows) -> Rows:
        """Without repetitions, and without what was proposed before; canonical."""
        architectures = self.space.canonical_rows(architectures)
        keep, met = [], set()
        for index, row in enumerate(map(tuple, architectures.tolist())):
            if row not in self._proposed and row not in met:
                met.add(row)
                keep.append(index)
        return architectures[keep]

    def _by_prior(self) -> Architecture:
        """As good as the prior knows of those that share some choices with a random architecture.

        What is shared, up to half of the decisions, keeps such proposals apart from each other.
        """
        return self._climbed(self._rewards.by_prior, None, None)

    def _climbed(
        self, scores: Callable[[Rows], Floats], share: float | None, start: Rows | None
    ) -> Architecture:
        """Where a climb ends that keeps a part of a random architecture's choices.

        Args:
            scores: to climb by.
            share: of the choices that are kept; None: up to half.
            start: of the other choices, shape (decisions,); None: the same random architecture.
        """
        for _ in range(_DRAWS):
            place = self.rng.integers(self._sizes)
            kept = self.rng.random(len(place)) < (self.rng.uniform(0, 0.5) if share is None else share)
            place = place if start is None else np.where(kept, place, start)
            found = self._nearby.climb(place, kept, scores)
            wanted = self.space.canonical(Architecture(found.tolist()))
            if wanted not in self._proposed:
                return wanted
        return self._fresh()

    def _balanced(self, count: int) -> Rows:
        """A first design in which the choices of every decision are equally frequent."""
        columns = [self.rng.permutation(np.resize(self.rng.permutation(size), count)) for size in self._sizes]
        return self.space.canonical_rows(np.stack(columns, axis=1))

    def _within_reach(self, design: Rows, seed: int) -> Rows:
        """The design, with random architectures in place of those that can't be good at their cost.

        Such a one would have less with an accuracy of 1 than another has with `_HALF`: a soft reward rules
        out none, an absolute or a hard one much of a space.
        """
        if self.objective is None:
            return design
        rng = np.random.default_rng((seed, 1))  # where none is ruled out, all is as without it
        spare = self.space.canonical_rows(rng.integers(self._sizes, size=(_SPARE, len(self._sizes))))
        slope, offset = self.objective(spare)
        needed = float((slope * _HALF + offset).max())
        spare = spare[slope + offset >= needed]
        slope, offset = self.objective(design)
        places = np.flatnonzero(slope + offset < needed)[: len(spare)]
        design[places] = spare[: len(places)]
        return design

    def _model(self, fit: bool = False) -> tuple[Rows, Posterior]:
        """(the results that it is conditioned on, the rewards to expect); with `fit` as for a proposal."""
        return self._rewards.posterior(self._pending, self.rng if fit else None)

    def _observe_part(self, proposal: Proposal, reward: float, fidelity: float) -> None:
        self._parts.setdefault(proposal.id, {})[fidelity] = reward

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        fidelity = metrics.get("fidelity", 1.0)
        rewards = self._parts.pop(proposal.id, {}) | {fidelity: reward}
        self._rewards.add(proposal.id, proposal.architecture, rewards)
        if self._highest is None or reward > self._highest + self.worthwhile * abs(self._highest):
            self._highest, self._improved, self._fruitless = reward, len(self._rewards.results), 0.0
        elif self._asked_after[proposal.id] == self._improved:
            self._fruitless += fidelity
        expected = self._expected.pop(proposal.id, None)
        if expected is not None and fidelity == 1:  # a whole evaluation is what was expected
            self._compared = [*self._compared, (expected, reward)][-_WINDOW:]

    def _observe_failure(self, proposal: Proposal, reason: str) -> None:
        self._expected.pop(proposal.id, None)
        self._parts.pop(proposal.id, None)

    def _asked(self, proposal: Proposal) -> None:
        self._expected.pop(proposal.id, None)
        self._parts.pop(proposal.id, None)  # of another architecture in its place
        self._asked_after[proposal.id :] = [self._improved, *self._asked_after[proposal.id + 1 :]]
        if self._forecast is not None:
            self._expected[proposal.id] = self._forecast
            self._forecast = None

    def _state(self) -> dict[str, Any]:
        return {
            "design": self._design.tolist(),
            **self._rewards.state(),
            "parts": [[id, sorted(rewards.items())] for id, rewards in self._parts.items()],
            "improved": [self._highest, self._improved, self._fruitless],
            "asked_after": list(self._asked_after),
            "expected": [[id, value] for id, value in self._expected.items()],
            "compared": [list(pair) for pair in self._compared],
        }

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self._design = np.array(state["design"], dtype=np.int64)
        self._rewards.load_state(state)
        self._parts = {id: dict(rewards) for id, rewards in state["parts"]}
        self._highest, self._improved, self._fruitless = state["improved"]
        self._asked_after = list(state["asked_after"])
        self._expected = dict(state["expected"])
        self._compared = [(expected, seen) for expected, seen in state["compared"]]
