"""The finalists of a search, retrained until it is known which is the best: a race over seeds.

Each round is a search over the list of those that are contested, with one seed for all of them, so that it
runs where searches run, is journaled, and goes on after a stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.runs.benchmark_settings import BenchmarkSettings
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.runs.train_settings import TrainSettings
from nas.search.racing import Race, Standing
from nas.search.results import Results
from nas.search.trial import Record, Scored
from search_spaces.errors import InputError

FINALISTS = "finalists"
"""Name of the space."""

Retrain = Callable[[str, SearchSettings], Sequence[Record]]
"""Runs a search to its end under a name, or takes up the one that is there; gives its records."""


@dataclass(frozen=True)
class FinalistsResult:
    """How the race ended.

    Attributes:
        standings: the leader first; names are `trial N`.
        certainty: probability that the leader is the best, or short of it by no more than the margin.
        decided: whether that is the wanted one.
        rounds, trainings: that it took.
        out: who had no result in a round.
        noise: standard deviation between two trainings, in units of the reward; None: nothing told it.
    """

    standings: list[Standing]
    certainty: float
    decided: bool
    rounds: int
    trainings: int
    out: list[str]
    noise: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def winner(self) -> str:
        """The leader's name."""
        return self.standings[0].name


class FinalistsRace:
    """The best networks of a run, which are trained again.

    Args:
        run: the search.
        records: its ended trials.
        top: how many different ones, by reward; the run's winner is among them.
        settings: how they are trained; their evaluator's other seeds.

    Attributes:
        finalists: by name.

    Raises:
        InputError: fewer than two different networks have finished, or an evaluator whose seeds all give the
            same answer.
    """

    def __init__(self, run: Run, records: Sequence[Record], top: int, settings: SearchSettings) -> None:
        if top < 2:
            raise InputError(f"top {top}: expected an integer of at least 2")
        if isinstance(settings.evaluator, BenchmarkSettings) and not settings.evaluator.noise:
            raise InputError(
                f"{run.folder}: its benchmark answers the same for each seed: there is nothing to retrain "
                "(a search with --noise has something)"
            )
        results = run.results(records)
        best: dict[str, Scored] = {}
        winner = run.winner(results)
        for record in [*([winner] if winner is not None else []), *results.ranked]:
            best.setdefault(record.digest, record)
        if len(best) < 2:
            raise InputError(
                f"{run.folder}: {len(best)} different networks have finished, expected 2 at least"
            )
        self.run, self._settings, self._reward = run, settings, run.settings.make_reward()
        self.finalists = {f"trial {record.trial}": record for record in list(best.values())[:top]}

    def points(self, points: float) -> float:
        """Points of accuracy in units of the reward, at the finalists' average cost."""
        slopes = [self._value(record, 1.0) - self._value(record, 0.0) for record in self.finalists.values()]
        return points / 100 * sum(slopes) / len(slopes)

    def run_race(
        self, race: Race, retrain: Retrain, say: Callable[[str], None], most_rounds: int = 1000
    ) -> FinalistsResult:
        """Train until one is best with the race's probability, or nobody may be trained any more.

        Args:
            race: of the finalists' names, in units of the reward.
            retrain: called once a round, with a name fit for a folder.
            say: told who is trained next, and how sure it is.
            most_rounds: at most.
        """
        rounds = 0
        while rounds < most_rounds and (asked := race.ask()):
            rounds += 1
            say(f"round {rounds}: {', '.join(asked)}")
            records = retrain(f"round-{rounds}", self._round(asked, rounds))
            told = {str(r.choices["network"]): r.accuracy for r in Results(records).finished}
            if not told and not race.trainings:
                raise InputError(f"{self.run.folder}: no finalist's training gave a result")
            race.tell({name: self._value(self.finalists[name], told[name]) for name in asked if name in told})
            leader = race.standings[0]
            say(f"{leader.name} leads, the best with probability {leader.best:.2f}")
        spread = race.spread
        return FinalistsResult(
            race.standings,
            race.certainty,
            race.decided,
            rounds,
            race.trainings,
            race.out,
            None if spread is None else spread[0],
        )

    def _value(self, record: Scored, accuracy: float) -> float:
        """The reward of a finalist at an accuracy: the costs are those of the search."""
        return float(self._reward(accuracy, record.costs))

    def _round(self, asked: Sequence[str], number: int) -> SearchSettings:
        plain = replace(self._settings, reward=replace(self._settings.reward, exponent=None), until="trials")
        networks = {name: self.run.spec(self.finalists[name]) for name in asked}
        about = {name: {"trial": self.finalists[name].trial} for name in asked}
        listed = replace(plain.over(FINALISTS, networks, about), latency_table=None, seed=plain.seed + number)
        return listed.trained(final=True) if isinstance(listed.evaluator, TrainSettings) else listed
