"""A benchmark made of anybody's runs: a Gaussian process on their accuracies answers for the whole space.

The file is a JSON document of the trainings and of the fitted parameters, so that reading it fits nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.network.cost_table import CostTable
from search_spaces.document import check_fields, check_schema, read_document, write_atomically
from search_spaces.errors import InputError, shown
from search_spaces.mbconv import StagedSpace
from search_spaces.quoting import printable

if TYPE_CHECKING:  # with what of SciPy it needs; most commands have this module, and few such a benchmark
    from controller.predictor import Predictor

SCHEMA_VERSION = 1
FAMILY = "gp"
MOST, FEWEST_NETWORKS = 3000, 20
"""Networks that a process is conditioned on; fewer than these are no benchmark."""
_FIT_ON, _ITERATIONS = 300, 60
_PAIRS, _SHRUNK = 10, 0.02
"""Networks trained twice that tell how the errors of epochs go together; what is taken off of that."""


@dataclass(frozen=True)
class Trainings:
    """What was trained.

    Attributes:
        space: of the networks.
        rows: choice indices of different networks, shape (n, decisions).
        accuracies: of each network's trainings, fractions.
        curves: of each network's trainings the accuracy after every epoch, of all as many; None: unknown.
    """

    space: StagedSpace
    rows: NDArray[np.int64]
    accuracies: Sequence[Sequence[float]]
    curves: Sequence[Sequence[Sequence[float]]] | None = None

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """Mean accuracy of each network, shape (n,)."""
        return np.array([np.mean(values) for values in self.accuracies])

    @cached_property
    def noise(self) -> float | None:
        """Standard deviation between two trainings of one network, pooled; None: none was trained twice."""
        return _pooled(self.accuracies)

    @property
    def epochs(self) -> int:
        """How many accuracies are known of a training."""
        return 1 if self.curves is None else len(self.curves[0][0])

    def after(self, epoch: int) -> Sequence[Sequence[float]]:
        """The accuracies of each network's trainings after so many epochs."""
        if self.curves is None:
            return self.accuracies
        return [[curve[epoch - 1] for curve in curves] for curves in self.curves]

    def part(self, places: NDArray[np.int64]) -> Trainings:
        """Those of some networks."""
        curves = None if self.curves is None else [self.curves[place] for place in places]
        return Trainings(self.space, self.rows[places], [self.accuracies[place] for place in places], curves)


def _pooled(trainings: Sequence[Sequence[float]]) -> float | None:
    freedom = sum(len(values) - 1 for values in trainings)
    squares = sum(float(np.var(values)) * len(values) for values in trainings)
    return math.sqrt(squares / freedom) if freedom else None


class RunSurrogate:
    """Predicted accuracy of any architecture of a space, from trainings of some.

    Args:
        trainings: of which it is made.
        parameters: of the process, as `fit_parameters` gives them.
        about: where it comes from and how well it ranks, plain data.

    Attributes:
        space: of the trainings.
        families: `gp`.
    """

    families: tuple[str, ...] = (FAMILY,)

    def __init__(
        self, trainings: Trainings, parameters: NDArray[np.float64], about: Mapping[str, Any]
    ) -> None:
        self.trainings, self.space = trainings, trainings.space
        self.parameters, self.about = parameters, dict(about)
        self._inputs = _Inputs(trainings)
        self._predictor, self._shift, self._scale = self._conditioned(trainings.means)

    def _conditioned(self, means: NDArray[np.float64]) -> tuple[Predictor, float, float]:
        """A process on such accuracies of the networks, and what its targets were standardised by."""
        from controller.predictor import Points, standardised

        predictor = self._inputs.predictor(self.parameters)
        y, shift, scale = standardised(means)
        x, z = self._inputs(self.trainings.rows)
        predictor.condition(Points(range(len(z)), x, z), y)
        return predictor, shift, scale

    def top1(self, architectures: ArrayLike, family: str = FAMILY) -> NDArray[np.float64]:
        """Predicted accuracy in points (0 to 100), shape (n,), of choice indices (n, decisions)."""
        inputs = self._inputs(np.asarray(architectures, dtype=np.int64))
        mean: NDArray[np.float64] = 100 * (self._predictor.mean(*inputs) * self._scale + self._shift)
        return mean

    @property
    def epochs(self) -> int:
        """Of a training."""
        return self.trainings.epochs

    @cached_property
    def _earlier(self) -> list[tuple[Predictor, float, float]]:
        """The process of each epoch but the last."""
        epochs = [self.trainings.after(epoch) for epoch in range(1, self.epochs)]
        return [self._conditioned(np.array([np.mean(values) for values in each])) for each in epochs]

    def curve(self, architectures: ArrayLike) -> NDArray[np.float64]:
        """Predicted accuracy after every epoch, points, shape (n, epochs); the last is `top1`.

        Each epoch has a process of its own on what the trainings had then, by the same parameters.
        """
        inputs = self._inputs(np.asarray(architectures, dtype=np.int64))
        columns = [
            100 * (predictor.mean(*inputs) * scale + shift) for predictor, shift, scale in self._earlier
        ]
        return np.stack([*columns, self.top1(architectures)], axis=1)

    def draw_errors(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """What a training's accuracies are off by after every epoch, points, shape (epochs,).

        The epochs of a training err alike, as those of the networks that were trained twice do; the last
        one's error is drawn first. 0 where nothing was trained twice.
        """
        return self.curve_noise * (self._error_factor @ rng.normal(size=self.epochs))[::-1]

    @cached_property
    def _error_factor(self) -> NDArray[np.float64]:
        """Cholesky factor of the errors' correlations, from the last epoch to the first."""
        twice = [np.subtract(c[0], c[1]) for c in self.trainings.curves or () if len(c) > 1]
        alone = np.eye(self.epochs)
        if len(twice) < _PAIRS:
            return alone
        differences = np.array(twice)[:, ::-1]
        spread = np.sqrt(np.mean(differences**2, axis=0))
        scaled = np.divide(differences, spread, out=np.zeros_like(differences), where=spread > 0)
        correlations = scaled.T @ scaled / len(twice)
        np.fill_diagonal(correlations, 1.0)
        return np.asarray(np.linalg.cholesky((1 - _SHRUNK) * correlations + _SHRUNK * alone))

    @cached_property
    def curve_noise(self) -> NDArray[np.float64]:
        """As `Trainings.noise` after every epoch, points, shape (epochs,); 0 where that isn't known."""
        return np.array([100 * (_pooled(self.trainings.after(e)) or 0) for e in range(1, self.epochs + 1)])

    def top1_std(self, architectures: ArrayLike) -> NDArray[np.float64]:
        """Standard deviation of what is predicted, points, shape (n,)."""
        inputs = self._inputs(np.asarray(architectures, dtype=np.int64))
        deviation: NDArray[np.float64] = 100 * self._predictor.predict(*inputs)[1] * self._scale
        return deviation

    def measured(self, architectures: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """No costs but those that are computed; who asks for another one is told so."""
        return _NoOthers()

    @cached_property
    def digest(self) -> str:
        """16 hex digits of everything that decides its answers."""
        return hashlib.sha256(json.dumps(_decisive(self), sort_keys=True).encode()).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """The content of a file that `read_run_surrogate` reads."""
        document = {"schema": SCHEMA_VERSION, "benchmark": FAMILY, **_decisive(self), "about": self.about}
        return (json.dumps(document) + "\n").encode()

    def write(self, path: Path) -> None:
        """Into a file."""
        write_atomically(path, self.to_bytes())


def fit_parameters(trainings: Trainings) -> NDArray[np.float64]:
    """The most probable parameters of a process on the trainings, by at most 300 networks."""
    from controller.predictor import standardised

    inputs = _Inputs(trainings)
    order = np.random.default_rng(0).permutation(len(trainings.rows))[:_FIT_ON]
    x, z = inputs(trainings.rows[order])
    predictor = inputs.predictor(None)
    predictor.fit(x, z, standardised(trainings.means[order])[0], _ITERATIONS)
    found: NDArray[np.float64] = predictor.parameters
    return found


def read_run_surrogate(path: str | Path) -> RunSurrogate:
    """The benchmark in a file by `nas benchmark`.

    Raises:
        InputError: the file is missing, damaged, of another kind, or breaks a rule.
    """
    where = str(path)
    document = read_document(path)
    if document.get("benchmark") != FAMILY:
        raise InputError(f"{where}: no benchmark by `nas benchmark`")
    check_schema(document, where, SCHEMA_VERSION)
    names = ("space", "rows", "accuracies", "parameters")
    values = check_fields(document, where, ("schema", "benchmark", *names), ("about", "curves"))
    space = StagedSpace.from_document(values["space"], f"{where}: space")
    rows = _numbers(values["rows"], f"{where}: rows", (None, len(space.decisions)), whole=True)
    sizes = np.array([len(decision) for decision in space.decisions])
    if not FEWEST_NETWORKS <= len(rows) <= MOST:
        raise InputError(f"{where}: {len(rows)} networks, expected {FEWEST_NETWORKS} to {MOST}")
    if rows.min() < 0 or (rows >= sizes).any() or len(np.unique(rows, axis=0)) < len(rows):
        raise InputError(f"{where}: rows: expected different architectures of its space")
    lists = values["accuracies"]
    if not isinstance(lists, list) or len(lists) != len(rows):
        raise InputError(f"{where}: accuracies: expected a list for each of {len(rows)} rows")
    accuracies = [_numbers(part, f"{where}: accuracies", (None,)) for part in lists]
    if any(part.min() < 0 or part.max() > 1 for part in accuracies):
        raise InputError(f"{where}: accuracies: expected fractions")
    curves = _curves(values["curves"], accuracies, f"{where}: curves") if "curves" in values else None
    from controller.predictor import Predictor

    count = Predictor.parameter_count(len(sizes))
    parameters = _numbers(values["parameters"], f"{where}: parameters", (count,))
    if abs(parameters).max() > 50:
        raise InputError(f"{where}: parameters: expected logarithms from -50 to 50")
    about = values.get("about", {})
    if not isinstance(about, dict):
        raise InputError(f"{where}: about {shown(about)}: expected a mapping")
    noise, targets = about.get("noise"), about.get("targets", {})
    if noise not in (None, 0) and not _positive(noise):
        raise InputError(f"{where}: noise {shown(noise)}: expected a number from 0 on")
    if not isinstance(targets, dict) or not all(map(_positive, targets.values())):
        raise InputError(f"{where}: targets {shown(targets)}: expected numbers above 0 by cost")
    trainings = Trainings(space, rows.astype(np.int64), [part.tolist() for part in accuracies], curves)
    with np.errstate(all="ignore"):
        try:
            made = RunSurrogate(trainings, parameters, about)
            known = bool(np.isfinite(made.top1(trainings.rows[:FEWEST_NETWORKS])).all())
        except np.linalg.LinAlgError:
            known = False
    if not known:
        raise InputError(f"{where}: parameters: with these nothing can be predicted")
    return made


def describe_runs(about: Mapping[str, Any]) -> str:
    """What is known of a benchmark that was made of runs, in a line; the file is anybody's."""
    words = f"accuracy by a process on {about.get('networks')} networks of runs, held-out tau "
    taus, floor = about.get("held_out_tau"), about.get("floor")
    if isinstance(taus, list) and len(taus) == 3 and all(isinstance(tau, float) for tau in taus):
        words += f"{taus[0]:.2f} ({taus[1]:.2f} to {taus[2]:.2f})"
    else:
        words += "unknown"
    if isinstance(floor, list) and len(floor) == 2 and isinstance(floor[1], float):
        words += f"; {floor[0]} has {floor[1]:.2f}"
    return printable(words)


class _NoOthers(dict[str, NDArray[np.float64]]):
    def __missing__(self, name: str) -> NDArray[np.float64]:
        raise InputError(f"{name!r}: a benchmark that was made of runs knows accuracies and analytic costs")


class _Inputs:
    """Architectures as what the process learns from; MACs in units of their spread over the trained ones."""

    def __init__(self, trainings: Trainings) -> None:
        from controller.encoding import Encoding
        from controller.predictor import standardised

        self._encoding, self._costs = Encoding(trainings.space), CostTable(trainings.space)
        _, self._mean, self._scale = standardised(self._logs(trainings.rows))

    def _logs(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.log(self._costs(rows, "macs"))

    def __call__(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._encoding(rows), (self._logs(rows) - self._mean) / self._scale

    def predictor(self, parameters: NDArray[np.float64] | None) -> Predictor:
        """One with these parameters, or its first ones."""
        from controller.predictor import Predictor

        made = Predictor(self._encoding)
        if parameters is not None:
            made.parameters = np.asarray(parameters, dtype=np.float64)
        return made


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _decisive(surrogate: RunSurrogate) -> dict[str, Any]:
    trainings, curves = surrogate.trainings, surrogate.trainings.curves
    decisive = {
        "space": trainings.space.to_document(),
        "rows": trainings.rows.tolist(),
        "accuracies": [[round(value, 6) for value in values] for values in trainings.accuracies],
        "parameters": [round(value, 6) for value in surrogate.parameters.tolist()],
    }
    if curves is not None:
        decisive["curves"] = [[[round(a, 6) for a in curve] for curve in of_one] for of_one in curves]
    return decisive


def _curves(values: object, accuracies: list[NDArray[np.float64]], where: str) -> list[list[list[float]]]:
    """The curves of each network's trainings, which end with their accuracies."""
    if not isinstance(values, list) or len(values) != len(accuracies):
        raise InputError(f"{where}: expected a list for each of {len(accuracies)} networks")
    found = [
        _numbers(of_one, where, (len(ends), None)) for of_one, ends in zip(values, accuracies, strict=True)
    ]
    if len({of_one.shape[1] for of_one in found}) > 1:
        raise InputError(f"{where}: expected as many epochs of each training")
    for of_one, ends in zip(found, accuracies, strict=True):
        if of_one.min() < 0 or of_one.max() > 1:
            raise InputError(f"{where}: expected fractions")
        if not np.allclose(of_one[:, -1], ends, atol=2e-6):
            raise InputError(f"{where}: expected each to end with its training's accuracy")
    return [of_one.tolist() for of_one in found]


def _numbers(
    values: object, where: str, shape: tuple[int | None, ...], whole: bool = False
) -> NDArray[np.float64]:
    """Finite numbers of that shape, at least one; None in it: any number."""
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.array([])
    fits = found.ndim == len(shape) and all(w in (None, n) for n, w in zip(found.shape, shape, strict=True))
    if not fits or not found.size or not np.isfinite(found).all() or (whole and (found % 1).any()):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise InputError(f"{where}: expected {'whole ' * whole}numbers of shape ({wanted})")
    return found
