"""The multi-objective reward of accuracy and costs: soft and hard as MnasNet's, or TuNAS' absolute form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import TrialFailedError
from nas.network.analytic import ROOFLINE, analytic_cost, is_analytic
from nas.network.cost import COSTS
from nas.network.resolve import known_networks, resolve_spec
from search_spaces.errors import InputError, shown, unknown
from search_spaces.spec import NetworkSpec

_SUFFIXES = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}

FORMS = ("soft", "hard", "absolute")
LARGEST = 1e30
"""What costs multiply an accuracy by, or divide it by, at most: pictures draw in single precision, and
predictors square."""
FARTHEST = 1e9
"""What costs take off an accuracy in the absolute form, at most: a double still tells accuracies apart."""
_LOG_RATIO = 690.0
AUTO = "auto"
"""For the exponent: measured on the data."""


@dataclass(frozen=True)
class Objective:
    """One cost that the reward weighs.

    A throughput (`throughput_...`) is better the higher it is: there the ratio is target / cost.

    Attributes:
        cost: an attribute of `nas.network.Cost`, e.g. `macs`, or one that the evaluator measures.
        target: the cost aimed at, in the cost's own unit.
        below: exponent w at or below the target (MnasNet's alpha).
        above: exponent w beyond it (MnasNet's beta).

    Raises:
        InputError: a target that is not positive and finite, an exponent above 0.
    """

    cost: str
    target: float
    below: float = -0.07
    above: float = -0.07

    def __post_init__(self) -> None:
        if not (self.target > 0 and math.isfinite(self.target)):
            raise InputError(f"target {self.target:g} for {self.cost}: expected a positive number")
        for exponent in (self.below, self.above):
            if not -100 <= exponent <= 0:
                raise InputError(f"exponent {exponent:g} for {self.cost}: expected a number from -100 to 0")

    def ratio(self, value: Any) -> Any:
        """How much the cost is of its target, above 1 where it is missed; of numbers or arrays."""
        return self.target / value if self.cost.startswith("throughput") else value / self.target

    def log_ratio(self, value: float) -> float:
        """The natural logarithm of `ratio`, which may be no number that a double holds."""
        log = math.log(value) - math.log(self.target)
        return -log if self.cost.startswith("throughput") else log


@dataclass(frozen=True)
class Reward:
    """accuracy x the product over the objectives of (cost / target)^w, or TuNAS' absolute form.

    - `soft`: MnasNet eq. 2 with both exponents the same; -0.07 is MnasNet's and EfficientNet's.
    - `hard`: exponents 0 and -1: free below the target, in proportion beyond it.
    - `absolute`: accuracy + sum of w x |cost / target - 1| (Bender et al. 2020, eq. 1), w = -0.07.

    With no objective the reward is the accuracy. Costs multiply or divide an accuracy by at most `LARGEST`
    and take off at most `FARTHEST`: a network beyond has no reward.

    Raises:
        InputError: an unknown form, or a cost named twice.
    """

    objectives: tuple[Objective, ...] = ()
    form: str = "soft"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise unknown("reward", self.form, FORMS)
        names = [objective.cost for objective in self.objectives]
        if len(set(names)) != len(names):
            raise InputError(f"reward: costs {', '.join(names)} name one twice")

    def __call__(self, accuracy: float, costs: Mapping[str, float]) -> float:
        """The reward of one measurement.

        Args:
            accuracy: a fraction.
            costs: the value of each objective's cost.

        Raises:
            TrialFailedError: the accuracy is NaN, infinite or no fraction, or `beyond`: a trial without a
                result.
        """
        if not 0 <= accuracy <= 1:
            raise TrialFailedError(f"accuracy {accuracy} is not a fraction")
        if (reason := self.beyond(costs)) is not None:
            raise TrialFailedError(reason)
        reward = accuracy
        for objective in self.objectives:
            ratio = objective.ratio(costs[objective.cost])
            exponent = objective.below if ratio <= 1 else objective.above
            if self.form == "absolute":
                reward += exponent * abs(ratio - 1)
            else:
                reward *= ratio**exponent
        return reward

    def beyond(self, costs: Mapping[str, float]) -> str | None:
        """Why a network of these costs has no reward; None: it has one."""
        size = 0.0  # of the factors' logarithms: none of them, nor any product of some, is beyond it
        for objective in self.objectives:
            value = costs[objective.cost]
            if not (value > 0 and math.isfinite(value)):
                return f"{objective.cost} {value:g}: expected a positive number"
            log = objective.log_ratio(value)
            exponent = objective.below if log <= 0 else objective.above
            size += abs(exponent * log)
            far = abs(log) > _LOG_RATIO or (
                abs(exponent) * math.expm1(log) > FARTHEST
                if self.form == "absolute"
                else size > math.log(LARGEST)
            )
            if far:
                limit = f"{-FARTHEST:g}" if self.form == "absolute" else f"{1 / LARGEST:g} to {LARGEST:g}"
                return (
                    f"target {objective.target:g} for {objective.cost}: a network with {value:.4g}, weighed "
                    f"by w = {exponent:g}, has a reward beyond {limit}; expected a target nearer to the "
                    "networks', or an exponent nearer to 0"
                )
        return None

    def line(self, costs: Callable[[str], NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
        """(slope, offset) with reward = slope x accuracy + offset, for many networks at once.

        Args:
            costs: the values of a cost by its name, shape (n,).

        Returns:
            two arrays of shape (n,), or of shape () if there is no objective; of networks without a reward
            (`beyond`) what is at the limit.
        """
        slope, offset = np.ones(()), np.zeros(())
        for objective in self.objectives:
            with np.errstate(over="ignore", divide="ignore"):
                ratio = np.clip(objective.ratio(costs(objective.cost)), 1e-300, 1e300)
                exponent = np.where(ratio <= 1, objective.below, objective.above)
                if self.form == "absolute":
                    offset = np.maximum(offset + exponent * abs(ratio - 1), -FARTHEST)
                else:
                    slope = np.clip(slope * ratio**exponent, 1 / LARGEST, LARGEST)
        return slope, offset


def reward_of(form: str, targets: Mapping[str, float], exponent: float | None = None) -> Reward:
    """The reward that weighs these costs.

    Args:
        form: one of `FORMS`.
        targets: by cost name, in the cost's own unit.
        exponent: w of the soft and the absolute form; -0.07 if None.

    Raises:
        InputError: as `Reward` and `Objective`; or an exponent for the hard form.
    """
    if form not in FORMS:
        raise unknown("reward", form, FORMS)
    if form == "hard":
        if exponent is not None:
            raise InputError(f"exponent {exponent:g}: the hard reward has none (it is 0 and -1)")
        below, above = 0.0, -1.0
    else:
        below = above = -0.07 if exponent is None else exponent
    return Reward(tuple(Objective(name, target, below, above) for name, target in targets.items()), form)


def check_measurable(form: str, targets: Mapping[str, float]) -> None:
    """Raise `InputError` where no exponent follows from what more cost brings."""
    if form == "hard":
        raise InputError(f"exponent {AUTO!r}: the hard reward has none (it is 0 and -1)")
    if form == "absolute":
        # TuNAS' w is accuracy for a miss in parts of the target, on either side: it holds the target if it is
        # large enough, whatever cost is worth (Bender et al. 2020)
        raise InputError(
            f"exponent {AUTO!r}: only for --reward soft; the absolute reward's w is no rate of exchange, it "
            "holds the target if it is large enough: give a number"
        )
    if not targets:
        raise InputError(f"exponent {AUTO!r}: there is no target whose cost it could weigh")


def make_reward(
    form: str,
    targets: Mapping[str, str],
    exponent: float | None = None,
    measured: Mapping[str, Callable[[NetworkSpec], float]] | None = None,
) -> Reward:
    """The reward from a user's words.

    Args:
        form: one of `FORMS`.
        targets: target by cost name, as `parse_target` reads it.
        exponent: w of the soft and the absolute form; -0.07 if None.
        measured: costs that the evaluator has beside the analytic ones, by name.

    Raises:
        InputError: as `reward_of` and `parse_target`; or an unknown cost.
    """
    measured = measured or {}
    for name in targets:
        if name not in measured and not is_analytic(name):
            raise unknown("cost", name, [*COSTS, ROOFLINE, *measured])
    numbers = {name: parse_target(target, name, measured.get(name)) for name, target in targets.items()}
    return reward_of(form, numbers, exponent)


def parse_number(text: str, what: str) -> float:
    """`400M`, `0.4G` or `1.5e9` as a number; raises `InputError` naming `what` for anything else."""
    match = re.fullmatch(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([KMGBT]?)\s*", str(text), re.I)
    if not match:
        raise InputError(f"{what} {shown(text)}: expected a number such as 400M or 0.4G")
    return float(match[1]) * _SUFFIXES[match[2].upper()]


def parse_target(
    text: str, cost_name: str = "macs", measure: Callable[[NetworkSpec], float] | None = None
) -> float:
    """A target as a number (`400M`, `0.4G`) or as the cost of a reference network or spec file.

    A latency is counted in milliseconds, with or without `ms` behind it.

    `measure` gives that cost of a network where it is no analytic one.

    Raises:
        InputError: neither; or the number is not positive.
    """
    text = str(text)
    if cost_name.startswith("latency"):
        text = re.sub(r"(?<=\d)\s*ms\s*$", "", text)  # which is what it is counted in
    if re.match(r"\s*[-+.\d]", text):
        value = parse_number(text, f"target for {cost_name}")
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"target {shown(text)} for {cost_name}: expected a positive number")
        return value
    try:
        spec = resolve_spec(text)
    except InputError as error:
        if text in known_networks() or "/" in text or "." in text:
            raise
        raise InputError(
            f"target {shown(text)} for {cost_name}: not a number such as 400M; {error}"
        ) from None
    return float(measure(spec) if measure else analytic_cost(spec, cost_name))
