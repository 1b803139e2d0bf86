"""The rewards to expect of a space's architectures, from what was told of some."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.base import PriorAccuracy, RewardLine
from controller.encoded import EncodedArchitectures
from controller.encoding import Encoding
from controller.evaluated import Evaluated
from controller.fidelity import FidelityPredictor
from controller.neighbourhood import Rows
from controller.posterior import Posterior
from controller.predictor import Points, Predictor, without_tail
from controller.row_factor import Floats
from controller.view import View, chances
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace

_FIT_ON = 300


class _Data(NamedTuple):
    """What a process is conditioned on: measurements, and which of them are the last of their evaluation."""

    points: Points
    seen: list[Architecture]
    rewards: Floats
    slope: Floats
    offset: Floats
    ends: Rows
    whole: NDArray[np.bool_]


class RewardModel:
    """Gaussian processes on the accuracy and on the reward, whichever explains more of what was told.

    While all evaluations come to their end, they alone are looked at; from the first on that is ended
    early, what all of them showed on their way is too.

    Args:
        space: of the architectures.
        objective: the reward as a line in the accuracy; None: only the reward itself is learned.
        prior: accuracies that were learned elsewhere.

    Attributes:
        results: all that was told.
    """

    def __init__(self, space: SearchSpace, objective: RewardLine | None, prior: PriorAccuracy | None) -> None:
        self._objective, self._prior = objective, prior
        self._encoding = Encoding(space)
        # the cost factor's logarithm in units of its spread over the space, the same in every process
        sizes = np.array([len(decision) for decision in space.decisions])
        sample = np.random.default_rng(0).integers(sizes, size=(512, len(sizes)))
        self._log_scale, self._log_shift = 1.0, 0.0
        logarithms = self._log_factor(self.line(sample)[0])
        self._log_shift, self._log_scale = float(logarithms.mean()), float(logarithms.std()) or 1.0
        lines = self.line(sample)
        expected = self._expectations(sample, *lines)
        self._shifts, self._scales = expected.mean(0), np.where(expected.std(0) > 0, expected.std(0), 1.0)
        self._encoded = EncodedArchitectures(self._describe)
        self._same = all(np.ptp(part) == 0 for part in lines)  # then the one is the other
        self._views, self._next_fit = self._make_views(Predictor), 0
        self._judging: tuple[int, list[View]] = (0, [])
        self.results = Evaluated()

    @property
    def fitted(self) -> bool:
        """Whether its processes' parameters have been set to anything that was seen."""
        return self._next_fit > 0

    def add(self, id: int, architecture: Architecture, rewards: Mapping[float, float]) -> None:
        """Take in a result.

        Args:
            id: of the proposal.
            architecture: that was evaluated.
            rewards: by the share of the evaluation that was done.
        """
        values = self._values(architecture, rewards)
        if 0.0 not in values and not self.results.early:
            self._views, self._next_fit = self._make_views(FidelityPredictor), 0
        self.results.add(id, architecture, values)

    def rewards_at(self, fidelity: float, among: Collection[int] | None = None) -> list[float]:
        """What was told of evaluations after that share of them.

        Args:
            fidelity: the share.
            among: ids of the proposals that count; None: all.
        """
        lack, results = _lack(fidelity), self.results
        of = [
            (architecture, results.trainings.values[id])
            for id, architecture in zip(results.ids, results.seen, strict=True)
            if among is None or id in among
        ]
        there = [(architecture, values[lack]) for architecture, values in of if lack in values]
        if not there:
            return []
        return list(self._rewards([a for a, _ in there], np.array([value for _, value in there])))

    def posterior(
        self, pending: Mapping[int, Architecture], rng: np.random.Generator | None = None
    ) -> tuple[Rows, Posterior]:
        """(the results that it is conditioned on, the rewards to expect).

        Args:
            pending: proposals without a result.
            rng: fit, if it is time to, and draw the view by its probability; None: take the likeliest.
        """
        base, rows = self.results.kept(self._rewards)
        data = self._data(self.results, rows)
        total = len(self.results)
        if rng is not None and total >= self._next_fit:
            self._fit(self._views, data, 60 if total < 40 else 25, rng)
            self._next_fit = max(total + 4, int(total * 1.15))
        odds = chances(self._views)
        chosen = int(np.argmax(odds)) if rng is None or len(odds) == 1 else int(rng.choice(len(odds), p=odds))
        whole = None
        if pending:
            if self.results.early:  # measurements have keys of their own, and what is pending comes last
                whole = data.points.joined(self._encoded(list(pending.values()))[0])
            else:
                whole = self._encoded(self.results.expected(base, rows, pending))[0]
        return rows, self._posterior(self._views[chosen], data, whole)

    def posterior_with(
        self, id: int, architecture: Architecture, rewards: Mapping[float, float]
    ) -> tuple[Rows, Posterior]:
        """(ids of the results, the rewards to expect) with one more evaluation, as `add` takes it.

        Nothing that later proposals depend on is changed.
        """
        _, rows = self.results.kept(self._rewards)
        results = Evaluated()
        for row in rows.tolist():
            known = self.results.ids[row]
            results.add(known, self.results.seen[row], self.results.trainings.values[known])
        results.add(id, architecture, self._values(architecture, rewards))
        results.early = True
        data, views = self._data(results, np.arange(len(results))), self._views
        if not self.results.early:
            views = self._judges()
        return np.array(results.ids), self._posterior(views[int(np.argmax(chances(views)))], data, None)

    def _judges(self) -> list[View]:
        """Views for parts of evaluations, while all came to their end; fitted as seldom as the others are."""
        due, views = self._judging
        total = len(self.results)
        if total >= due:
            views, whole = self._make_views(FidelityPredictor), Evaluated()
            for id, architecture in zip(self.results.ids, self.results.seen, strict=True):
                whole.add(id, architecture, self.results.trainings.values[id])
            whole.early = True
            _, rows = whole.kept(self._rewards)
            self._fit(views, self._data(whole, rows), 25, np.random.default_rng(0))
            self._judging = max(total + 4, int(total * 1.15)), views
        return views

    def line(self, architectures: Rows) -> tuple[Floats, Floats]:
        """(slope, offset) of the reward in what is learned, each of shape (n,)."""
        if self._objective is None:
            return np.ones(len(architectures)), np.zeros(len(architectures))
        slope, offset = self._objective(architectures)
        return np.asarray(slope, dtype=np.float64), np.asarray(offset, dtype=np.float64)

    def by_prior(self, architectures: Rows) -> Floats:
        """The rewards that the prior alone lets expect, shape (n,)."""
        return self._expectations(architectures, *self.line(architectures))[:, 1]

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "results": self.results.state(),
            "views": [[view.predictor.parameters.tolist(), view.evidence] for view in self._views],
            "next_fit": self._next_fit,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.results = Evaluated.of(state["results"])
        self._views = self._make_views(FidelityPredictor if self.results.early else Predictor)
        for view, (parameters, evidence) in zip(self._views, state["views"], strict=True):
            view.predictor.parameters, view.evidence = np.array(parameters), evidence
        self._next_fit = state["next_fit"]

    def _make_views(self, predictor: Callable[[Encoding, int], Predictor]) -> list[View]:
        last = [] if predictor is Predictor else [-2, -1]
        return [
            View(predictor(self._encoding, len(further)), direct, [0, *further, *last])
            for direct in ((True,) if self._same else (False, True))
            for further in ([], [1 + direct])[: 1 if self._prior is None else 2]
        ]

    def _data(self, results: Evaluated, rows: Rows) -> _Data:
        parts, ends = results.parts(rows)
        seen = results.architectures(parts)
        points, slope, offset = self._encoded(seen)
        if results.early:
            points.z[:, -2], points.z[:, -1] = (
                [part.lack for part in parts],
                [part.training for part in parts],
            )
            points = Points([part[:2] for part in parts], points.x, points.z)
        # of the reward and not of the accuracy: what is cheap may have a low accuracy and still be good
        rewards = without_tail(slope * np.array([part.value for part in parts]) + offset)
        whole = np.array([parts[end].lack == 0 for end in ends.tolist()])
        return _Data(points, seen, rewards, slope, offset, ends, whole)

    def _fit(self, views: Sequence[View], data: _Data, iterations: int, rng: np.random.Generator) -> None:
        some = np.arange(len(data.seen))
        if len(data.seen) > _FIT_ON:
            better = np.argsort(-data.rewards, kind="stable")
            rest = rng.choice(better[_FIT_ON // 2 :], _FIT_ON // 2, replace=False)
            some = np.sort(np.concatenate([better[: _FIT_ON // 2], rest]))
        for view in views:
            view.fit(data.points[some], data.rewards[some], data.slope[some], data.offset[some], iterations)

    def _posterior(self, view: View, data: _Data, whole: Points | None) -> Posterior:
        points, seen, rewards, slope, offset, ends, ended = data
        return view.posterior(points, seen, rewards, slope, offset, whole, self._describe, ends, ended)

    def _values(self, architecture: Architecture, rewards: Mapping[float, float]) -> dict[float, float]:
        """What is learned of rewards, by the share of the evaluation that was still to come."""
        slope, offset = self.line(np.array([architecture]))
        return {_lack(done): float((reward - offset[0]) / slope[0]) for done, reward in rewards.items()}

    def _rewards(self, architectures: Sequence[Architecture], values: Floats) -> Floats:
        slope, offset = self.line(np.array(architectures))
        return slope * values + offset

    def _log_factor(self, slope: Floats) -> Floats:
        return (np.log(np.maximum(slope, 1e-300)) - self._log_shift) / -self._log_scale

    def _expectations(self, architectures: Rows, slope: Floats, offset: Floats) -> Floats:
        """The prior's accuracies and rewards, shape (n, 2); without a prior (n, 0)."""
        if self._prior is None:
            return np.empty((len(architectures), 0))
        accuracies = np.asarray(self._prior(architectures), dtype=np.float64)
        return np.stack([accuracies, slope * accuracies + offset], axis=1)

    def _describe(self, architectures: Rows) -> tuple[Floats, Floats, Floats, Floats]:
        slope, offset = self.line(architectures)
        expected = (self._expectations(architectures, slope, offset) - self._shifts) / self._scales
        count = len(architectures)
        ends = np.zeros(count), -np.ones(count)  # of new trainings: see `FidelityPredictor`
        z = np.column_stack([self._log_factor(slope), expected, *ends])
        return self._encoding(architectures), z, slope, offset


def _lack(fidelity: float) -> float:
    """The share of an evaluation that is still to come."""
    return round(1.0 - fidelity, 9)
