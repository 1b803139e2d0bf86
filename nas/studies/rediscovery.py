"""What a benchmark search found, beside EfficientNet-B0 and a random architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.benchmark.landmarks import true_rewards
from nas.network.cost import cost
from nas.runs.benchmark_settings import BenchmarkSettings
from nas.runs.folder import Run
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.errors import InputError
from search_spaces.notation import stage_words
from search_spaces.reference import efficientnet_b0
from search_spaces.spec import NetworkSpec


@dataclass(frozen=True)
class Candidate:
    """One side of the comparison.

    Attributes:
        name: `found` or `efficientnet-b0`.
        spec: the network.
        top1, top1_std: predicted ImageNet top-1 and its standard deviation, points.
        macs: multiply-adds (convolutions and linear layers); benchmark_macs by the benchmark's convention.
        params: learnable parameters.
        reward: without noise.
    """

    name: str
    spec: NetworkSpec
    top1: float
    top1_std: float
    macs: int
    benchmark_macs: int
    params: int
    reward: float


@dataclass(frozen=True)
class Rediscovery:
    """A search's winner beside B0, and what random architectures are like.

    Attributes:
        found, b0: the two.
        differing: decisions in which they differ, of `decisions`.
        trials: that the search took; `beyond_b0` is the first whose reward is above B0's (None: none).
        random_top1, random_reward: means over random architectures; `random_beyond`: the share of them
            with a higher reward than B0.
    """

    found: Candidate
    b0: Candidate
    differing: int
    decisions: int
    trials: int
    beyond_b0: int | None
    random_top1: float
    random_reward: float
    random_beyond: float

    def rows(self) -> list[tuple[str, str, str, bool]]:
        """(part, found and B0 in words, whether they are equal), stage by stage."""
        pairs = zip(self.found.spec.stages, self.b0.spec.stages, strict=True)
        return [
            (f"stage{index}", stage_words(mine), stage_words(theirs), mine == theirs)
            for index, (mine, theirs) in enumerate(pairs)
        ]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""

        def side(candidate: Candidate) -> dict[str, Any]:
            return vars(candidate) | {"spec": candidate.spec.to_document(), "digest": candidate.spec.digest}

        return vars(self) | {"found": side(self.found), "b0": side(self.b0)}

    def summary(self) -> str:
        """In words."""
        gain = self.found.top1 - self.b0.top1
        share = self.found.macs / self.b0.macs - 1
        sure = "more" if abs(gain) > 2 * np.hypot(self.found.top1_std, self.b0.top1_std) else "less"
        first = "never" if self.beyond_b0 is None else f"after {self.beyond_b0} trials"
        odds = f"1 in {1 / self.random_beyond:,.0f}" if self.random_beyond else "none of those drawn"
        return (
            f"beyond B0's reward {first}, {self.trials} trials in all; {self.differing} of {self.decisions} "
            f"decisions differ from B0.\nAgainst B0: {gain:+.2f} points of top-1 ({sure} than the "
            f"predictions' uncertainty), {100 * share:+.0f}% MACs, reward {self.found.reward:.4f} against "
            f"{self.b0.reward:.4f}.\nA random architecture: top-1 {self.random_top1:.1f}, reward "
            f"{self.random_reward:.4f}; {odds} is beyond B0."
        )


def trace_rediscovery(run: Run, random: int = 10_000) -> Rediscovery:
    """Compare a finished benchmark run's winner with B0 and `random` random architectures.

    Raises:
        InputError: the run is no benchmark search, or has no result.
    """
    if not isinstance(run.settings.evaluator, BenchmarkSettings):
        raise InputError(f"{run.folder}: not a search on the benchmark")
    records = run.records()
    winner = run.winner(run.results(records))
    if winner is None:
        raise InputError(f"{run.folder}: no trial gave a result")
    evaluator, space = run.settings.evaluator.make(), accel_nasbench()
    surrogate, family = evaluator.surrogate, evaluator.family
    truth = true_rewards(surrogate, family, run.settings.make_reward())

    def candidate(name: str, spec: NetworkSpec) -> Candidate:
        row = np.array([space.encode(spec)])
        counted = cost(spec)
        return Candidate(
            name,
            spec,
            float(surrogate.top1(row, family)[0]),
            float(surrogate.top1_std(row)[0]),
            counted.macs,
            counted.benchmark_macs,
            counted.params,
            float(truth(row)[0]),
        )

    found, b0 = candidate("found", run.spec(winner)), candidate("efficientnet-b0", efficientnet_b0())
    rng = np.random.default_rng(0)
    sizes = [len(decision) for decision in space.decisions]
    rows = rng.integers(sizes, size=(random, len(sizes)))
    rewards = truth(rows)
    beyond = (n for n, r in enumerate(records, start=1) if r.reward is not None and r.reward > b0.reward)
    return Rediscovery(
        found,
        b0,
        space.encode(found.spec).distance(space.encode(b0.spec)),
        len(sizes),
        len(records),
        next(beyond, None),
        float(surrogate.top1(rows, family).mean()),
        float(rewards.mean()),
        float((rewards > b0.reward).mean()),
    )
