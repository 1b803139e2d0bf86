"""The evaluator that answers from the ImageNet benchmark: a surrogate's top-1, in microseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.benchmark.records import DEVICES
from nas.benchmark.run_surrogate import RunSurrogate, describe_runs
from nas.benchmark.truth import AccuracyModel
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.trial import Measurement
from search_spaces.errors import unknown
from search_spaces.spec import NetworkSpec


class BenchmarkEvaluator(Evaluator):
    """Predicted accuracy of networks in the space of a surrogate, that of ImageNet in `accel-nasbench`.

    Args:
        surrogate: to be asked.
        family: one of its families, `mlp` or `gb`; of a benchmark that was made of runs `gp`.
        noise: standard deviation, points of top-1, of what is added; the same network and seed give
            the same value. 0: the mean.

    Raises:
        InputError: an unknown family.
    """

    name = "benchmark"
    instant = True
    scores_any = False

    def __init__(self, surrogate: AccuracyModel, family: str = "mlp", noise: float = 0) -> None:
        if family not in surrogate.families:
            raise unknown("surrogate", family, surrogate.families)
        self.surrogate, self.family, self.noise = surrogate, family, noise
        self.noisy = noise > 0
        self.chance = 1 / surrogate.space.template.num_classes
        self.data_digest = surrogate.digest
        self.epochs = surrogate.epochs if isinstance(surrogate, RunSurrogate) else 1

    def start(self, spec: NetworkSpec, seed: int) -> Evaluation:
        """A measurement for each epoch that is known, of a network of the space.

        Raises:
            NotInSpaceError: the network is none of the space.
        """
        row = [self.surrogate.space.encode(spec)]
        rng = np.random.default_rng(seed)
        top1 = float(self.surrogate.top1(row, self.family)[0])
        answers = [top1 + (self.noise * float(rng.normal()) if self.noise else 0.0)]
        if isinstance(self.surrogate, RunSurrogate) and self.epochs > 1:
            earlier = self.surrogate.curve(row)[0, :-1]
            if self.noise:
                # from the same state: the last epoch's error, drawn first, is the one above
                earlier = earlier + self.surrogate.draw_errors(np.random.default_rng(seed))[:-1]
            answers = [*earlier.tolist(), *answers]
        return _Answer([min(max(top1 / 100, 0.0), 1.0) for top1 in answers])

    def costs(self, spec: NetworkSpec) -> dict[str, float]:
        """Predicted `DEVICES` and `train_time`."""
        row = [self.surrogate.space.encode(spec)]
        return {name: float(values[0]) for name, values in self.surrogate.measured(row).items()}

    def describe(self) -> str:
        """Which surrogate, and how good it is."""
        about = self.surrogate.about
        if "fidelity" not in about:
            return describe_runs(about) + (f", noise {self.noise:.2f} points" if self.noise else "")
        fidelity = about["fidelity"][self.family]
        noise = f", noise {self.noise:.2f} points" if self.noise else ""
        return (
            f"ImageNet top-1 by a surrogate ({self.family}, {about['records']} records, held-out R2 "
            f"{fidelity['r2']:.3f}, tau {fidelity['kendall_tau']:.3f}, MAE {fidelity['mae']:.2f}{noise})"
        )


MEASURED = (*DEVICES, "train_time")
"""The costs that this evaluator adds."""


class _Answer(Evaluation):
    def __init__(self, accuracies: Sequence[float]) -> None:
        self._accuracies, self._told = accuracies, 0

    def __next__(self) -> Measurement:
        if self.finished:
            raise StopIteration
        self._told += 1
        return {"epoch": self._told, "accuracy": self._accuracies[self._told - 1]}

    @property
    def finished(self) -> bool:
        return self._told == len(self._accuracies)
