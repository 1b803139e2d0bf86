"""What ending trials early saves: true rewards by the epochs spent, on the recorded curves.

    python benchmarks/early_stopping.py [SEEDS] [FIRST SEED] [EPOCHS]

Searches of the benchmark `curves` (eight epochs a training) with the predictor, one trial after the other:
all trainings to their end; ended by asynchronous successive halving (Li et al. 2020, reduction 4, as Ray
Tune's ASHA) and by the predictor (`--scheduler predictor`). A training's accuracies have the noise that the
recorded trainings had, whose epochs err alike. Compared is the true reward of the network that a search
calls best, by the epochs spent; `same as` is how many epochs of whole trainings have the same mean reward.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import nas.benchmark
from controller.predictor_guided import PredictorGuided
from nas.benchmark.load import load_surrogate
from nas.benchmark.oracle import run_oracle
from nas.benchmark.run_surrogate import RunSurrogate
from nas.search.rungs import rungs
from search_spaces.architecture import Architecture

TARGET, REDUCTION = 400e6, 4
CURVES = str(Path(nas.benchmark.__file__).with_name("curves.json"))
Goes = Callable[[int, Mapping[float, float]], bool]


class Search:
    """A search of one trial at a time.

    Args:
        seed: of the controller and of the noise.
        early: `none`, `asha`, `asha-as-whole` (its results told as if they were whole) or `predictor`.
    """

    def __init__(self, seed: int, early: str) -> None:
        surrogate = load_surrogate("curves")
        assert isinstance(surrogate, RunSurrogate)
        self.surrogate, self.oracle = surrogate, run_oracle(CURVES, {"macs": TARGET})
        self.controller = PredictorGuided(self.oracle.space, seed, self.oracle.objective)
        self.seed, self.early = seed, early
        self.seen: dict[int, Architecture] = {}
        self.at_rung: dict[int, list[float]] = {epoch: [] for epoch in rungs(surrogate.epochs)}

    def run(self, epochs: int) -> list[tuple[int, float]]:
        """(epochs spent, true reward of the best) after every trial."""
        spent, found = 0, []
        while spent < epochs:
            proposal = self.controller.ask()
            self.seen[proposal.id] = proposal.architecture
            spent += self.train(proposal.id)
            best = self.controller.incumbent()
            assert best is not None
            found.append((spent, self.reward(self.seen[best], self.oracle.accuracy(self.seen[best]))))
        return found

    def train(self, id: int) -> int:
        """One trial; the epochs that it took."""
        total, rewards = self.surrogate.epochs, self.rewards(id)
        for epoch in rungs(total):
            done = {e / total: rewards[e - 1] for e in rungs(total) if e <= epoch}
            if not self.goes_on(id, epoch, done):
                self.end(id, done, as_whole=self.early == "asha-as-whole")
                return epoch
        whole = {e / total: rewards[e - 1] for e in (*rungs(total), total)}
        self.end(id, whole if self.early in ("asha", "predictor") else {1.0: rewards[-1]})
        return total

    def goes_on(self, id: int, epoch: int, done: Mapping[float, float]) -> bool:
        if self.early == "predictor":
            return self.controller.goes_on(id, done)
        if self.early == "none":
            return True
        rewards = self.at_rung[epoch]
        rewards.append(list(done.values())[-1])
        return rewards[-1] >= np.percentile(rewards, 100 * (1 - 1 / REDUCTION))

    def end(self, id: int, rewards: Mapping[float, float], as_whole: bool = False) -> None:
        *parts, (fidelity, last) = rewards.items()
        for done, reward in parts if not as_whole else ():
            self.controller.report(id, reward, done)
        self.controller.tell(id, last, {} if as_whole else {"fidelity": fidelity})

    def rewards(self, id: int) -> list[float]:
        """Of a network after every epoch, the same for the same network and seed."""
        architecture = self.seen[id]
        errors = self.surrogate.draw_errors(np.random.default_rng([self.seed, *architecture]))
        accuracies = np.clip((self.surrogate.curve([architecture])[0] + errors) / 100, 0, 1)
        return [self.reward(architecture, float(accuracy)) for accuracy in accuracies]

    def reward(self, architecture: Architecture, accuracy: float) -> float:
        return self.oracle.reward(accuracy, self.oracle.costs(architecture))


def main() -> None:
    """Print the table."""
    seeds, first, epochs = (
        int(text) for text in [*sys.argv[1:], *("10", "5000", "640")[len(sys.argv) - 1 :]]
    )
    whole = curve_of("none", range(first, first + seeds), epochs)
    places = [epochs // 6, epochs // 3, epochs // 2, epochs]
    print(f"mean true reward of the best after {places} epochs, {seeds} seeds from {first}")
    print("none", *(f"{whole[place]:.4f}" for place in places))
    for early in ("asha-as-whole", "asha", "predictor"):
        means = curve_of(early, range(first, first + seeds), epochs)
        same = [int(np.flatnonzero(whole >= means[place])[:1].sum()) or f">{epochs}" for place in places]
        print(early, *(f"{means[place]:.4f} (same as {n})" for place, n in zip(places, same, strict=True)))


def curve_of(early: str, seeds: range, epochs: int) -> np.ndarray:
    """Mean true reward of the best by epochs spent, shape (epochs + 1,); nothing is known at first."""
    means = np.zeros(epochs + 1)
    for seed in seeds:
        reached = np.zeros(epochs + 1)
        for spent, reward in Search(seed, early).run(epochs):
            reached[spent:] = reward
        means += reached / len(seeds)
    return means


if __name__ == "__main__":
    main()
