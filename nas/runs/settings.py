"""The settings of a search as a tree of checked parts: what the run folder keeps.

Types and ranges are checked when a part is made, whatever its values come from. Nothing outside the
run's folder is needed to read them; what a search needs beside them, `check` looks at before it starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from controller.base import Controller, RewardLine
from controller.registry import CONTROLLERS, make_controller
from nas.benchmark.prior import Prior
from nas.data.place import absolute
from nas.latency.table import LATENCY, LatencyTable
from nas.runs.checked import check_types, from_mapping
from nas.runs.coarse_settings import CoarseSettings
from nas.runs.cost_settings import CostSettings, check_own_name, own_costs
from nas.runs.evaluator_settings import EvaluatorSettings
from nas.runs.evaluators import EVALUATORS
from nas.runs.named_prior import check_learns, named_prior, names_run
from nas.runs.named_targets import check_cost, resolve_targets
from nas.runs.space_settings import SpaceSettings
from nas.runs.train_settings import TrainSettings
from nas.search.convergence import Convergence
from nas.search.objective import make_objective
from nas.search.own_cost import OwnCost
from nas.search.reach import check_reach
from nas.search.reward import AUTO, Reward, check_measurable, reward_of
from search_spaces.document import check_fields, check_schema
from search_spaces.errors import InputError, shown, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

SCHEMA_VERSION = 2

UNTIL = ("trials", "converged")


@dataclass(frozen=True)
class ControllerSettings:
    """Who proposes; both as `make_controller` takes them."""

    name: str = "predictor"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_types(self)
        if self.name not in CONTROLLERS:
            raise unknown("controller", self.name, CONTROLLERS)


@dataclass(frozen=True)
class RewardSettings:
    """The reward.

    Attributes:
        form: one of `nas.search.reward.FORMS`.
        targets: by cost name, in the cost's own unit.
        exponent: None: -0.07; `auto`: measured before the search (`nas.studies.exponent`), which then keeps
            the number here.

    Raises:
        InputError: a value of another type or out of its range, or `auto` where there is no such w.
    """

    form: str = "soft"
    targets: dict[str, float] = field(default_factory=lambda: {"macs": 400e6})
    exponent: float | str | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.exponent, (int, float)) and math.isfinite(self.exponent)
        if self.exponent not in (None, AUTO) and not number:
            raise InputError(f"exponent {shown(self.exponent)}: expected a number, or {AUTO!r}")
        check_types(self)
        if self.exponent == AUTO:
            check_measurable(self.form, self.targets)
        self.make()

    def make(self) -> Reward:
        """The reward; with an exponent that is still to be measured, as if it were the usual one."""
        return reward_of(self.form, self.targets, None if isinstance(self.exponent, str) else self.exponent)


@dataclass(frozen=True)
class SearchSettings:
    """All that decides what a search does; where it runs (`nas.runs.placement`) is no part of it.

    Attributes:
        space, controller, evaluator, reward: the parts.
        own_costs: functions of the user's by the names of their costs.
        latency_table: path of a table by `nas latency`, which adds the cost `latency`; a run keeps a copy.
        trials: how many, at most.
        until: `trials`, or `converged`: stop when an improvement would cost more than `price` trials.
        price: trials that a worthwhile improvement may cost.
        seed: of everything random.
        prior: what the controller starts from: one of `EMBEDDED`, a benchmark by `nas benchmark`, or a run's
            folder or its copy in a storage, of which one is made (`nas.studies.prior`); a run keeps a copy.
            `none`: as None.
        coarse: a stage that comes first, on a part of the space.

    Raises:
        InputError: a value of another type, out of its range, or one that does nothing with the others.
    """

    space: SpaceSettings = field(default_factory=SpaceSettings)
    controller: ControllerSettings = ControllerSettings()
    evaluator: EvaluatorSettings = field(default_factory=TrainSettings)
    reward: RewardSettings = RewardSettings()
    latency_table: str | None = None
    trials: int = 24
    until: str = "trials"
    price: float = 100
    seed: int = 0
    own_costs: dict[str, CostSettings] = field(default_factory=dict)
    prior: str | None = None
    coarse: CoarseSettings | None = None

    def __post_init__(self) -> None:
        check_types(self)
        for name in self.own_costs:
            check_own_name(name)
        if self.latency_table is not None:
            object.__setattr__(self, "latency_table", absolute(self.latency_table))
        object.__setattr__(self, "prior", named_prior(self.prior))
        if self.prior is not None:
            check_learns(self.controller.name, self.prior)
        if self.trials < 1:
            raise InputError(f"trials {shown(self.trials)}: expected an integer of at least 1")
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed {self.seed!r}: expected an integer from 0 to 2^63 - 1")
        if self.until not in UNTIL:
            raise unknown("until", self.until, UNTIL)
        if self.until == "converged" and self.controller.name != "predictor":
            raise InputError(
                f"until 'converged': controller {self.controller.name!r} has no predictor to say so; "
                "use --controller predictor"
            )
        if self.evaluator.early_stopping == "predictor" and not CONTROLLERS[self.controller.name]().judges:
            raise InputError(
                f"scheduler 'predictor': controller {self.controller.name!r} can't judge trials; "
                "use --controller predictor"
            )
        Convergence(self.price)
        for name in self.reward.targets:
            check_cost(name, self.evaluator, self.latency_table is not None, self.own_costs)

    def check(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Raise `InputError` unless a search can start with these: all parts, and how they fit.

        `say` is told what takes long. A prior that is a run is looked at when it has been learned.
        """
        space, latency = self.make_space(), self.make_latency()
        if latency is not None:
            latency.check(space)
        self.evaluator.check(space, say)
        check_reach(space, self.make_reward(), self._costs(latency))
        self._controller(space, known=not (self.prior and names_run(self.prior)))

    def _costs(self, latency: LatencyTable | None) -> Callable[[NetworkSpec], dict[str, float]]:
        """The targeted costs that are no analytic ones."""
        names = set(self.reward.targets)
        scorer = self.evaluator.make() if names & set(self.evaluator.measured_costs) else None

        def costs(spec: NetworkSpec) -> dict[str, float]:
            measured = {} if scorer is None else scorer.costs(spec)
            measured |= {name: own(spec) for name, own in self.own.items()}
            return (
                measured if latency is None or LATENCY not in names else measured | {LATENCY: latency(spec)}
            )

        return costs

    @cached_property
    def own(self) -> dict[str, OwnCost]:
        """The own costs by name; raises `InputError` where one's function isn't there."""
        return {name: cost.make(name) for name, cost in self.own_costs.items()}

    def over(
        self,
        name: str,
        networks: Mapping[str, NetworkSpec],
        about: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> SearchSettings:
        """The training of each of these networks once: a space that lists them; the accuracy decides.

        `about` is what the space keeps of each, as `ListedSpace` takes it.
        """
        return replace(
            self,
            space=SpaceSettings(name, ListedSpace(name, networks, about).to_document()),
            controller=ControllerSettings("random"),
            trials=len(networks),
            reward=replace(self.reward, targets={}),
            prior=None,
            coarse=None,
        )

    @property
    def training(self) -> TrainSettings:
        """The evaluator's settings where it trains.

        Raises:
            InputError: it doesn't.
        """
        if not isinstance(self.evaluator, TrainSettings):
            raise InputError(f"evaluator {self.evaluator.kind!r}: it trains nothing")
        return self.evaluator

    def trained(self, **changes: Any) -> SearchSettings:
        """A copy with some settings of the training changed."""
        return replace(self, evaluator=replace(self.training, **changes))

    def make_space(self) -> StagedSpace | ListedSpace:
        """The space."""
        return self.space.make()

    def make_reward(self) -> Reward:
        """The reward."""
        return self.reward.make()

    def make_latency(self) -> LatencyTable | None:
        """The latency table, if there is one; raises `InputError` as `LatencyTable.read`."""
        return None if self.latency_table is None else LatencyTable.read(self.latency_table)

    def make_prior(self, space: StagedSpace | ListedSpace) -> Prior | None:
        """What the controller starts from, if there is anything; raises `InputError` as `Prior`."""
        return None if self.prior is None else Prior(self.prior, space, self.evaluator.cost_model())

    def make_controller(self) -> Controller:
        """The controller, told of the reward what can be known in advance."""
        space = self.make_space()
        costs = self.evaluator.cost_model()
        objective = make_objective(space, self.make_reward(), costs, self.make_latency(), self.own)
        exact = all(cost.exact for name, cost in self.own.items() if name in self.reward.targets)
        told = objective if exact else None  # else the reward itself is learned
        return self._controller(space, told)

    def _controller(
        self, space: StagedSpace | ListedSpace, told: RewardLine | None = None, known: bool = True
    ) -> Controller:
        """The controller; `known`: what it starts from can be read already."""
        name, options = self.controller.name, self.controller.options
        coarse = None if self.coarse is None else self.coarse.stage(space, self.trials)
        prior = self.make_prior(space) if known else None
        return make_controller(name, space, self.seed, options, told, prior, coarse)

    def to_document(self) -> dict[str, Any]:
        """As plain data, readable again by `from_document`."""
        document = {"schema": SCHEMA_VERSION, **asdict(self)}
        document["evaluator"] = {"kind": self.evaluator.kind, **document["evaluator"]}
        if not self.own_costs:
            del document["own_costs"]  # as earlier versions know it
        for name in ("prior", "coarse"):
            if getattr(self, name) is None:
                del document[name]
        return document

    @staticmethod
    def from_document(document: Mapping[str, Any], where: str) -> SearchSettings:
        """The settings in a document; `nas.runs.flat.read_settings` reads the first version's too.

        Targets may be texts, such as `400M` or a network's name.

        Raises:
            InputError: an unknown field or schema, or a value that breaks its rule.
        """
        check_schema(document, where, SCHEMA_VERSION)
        names = [part.name for part in fields(SearchSettings)]
        values = check_fields(document, where, ("schema",), names)
        del values["schema"]
        for name, part in (("space", SpaceSettings), ("controller", ControllerSettings)):
            if name in values:
                values[name] = from_mapping(part, values[name], f"{where}: {name}")
        if values.get("coarse") is not None:
            values["coarse"] = from_mapping(CoarseSettings, values["coarse"], f"{where}: coarse")
        if "evaluator" in values:
            given = dict(check_fields_of(values["evaluator"], f"{where}: evaluator"))
            kind = given.pop("kind", "train")
            if not isinstance(kind, str) or kind not in EVALUATORS:
                raise InputError(f"{where}: {unknown('evaluator', str(kind), EVALUATORS)}")
            values["evaluator"] = from_mapping(EVALUATORS[kind], given, f"{where}: evaluator")
        if "own_costs" in values:
            values["own_costs"] = {
                str(name): from_mapping(CostSettings, own, f"{where}: own_costs: {name}")
                for name, own in check_fields_of(values["own_costs"], f"{where}: own_costs").items()
            }
        if "reward" in values:
            given = dict(check_fields_of(values["reward"], f"{where}: reward"))
            if isinstance(given.get("targets"), Mapping):
                scorer = values.get("evaluator", TrainSettings())
                own, targets = own_costs(given["targets"], values.get("own_costs", {}))
                given["targets"] = resolve_targets(targets, scorer, values.get("latency_table"), own)
                values["own_costs"] = own
            values["reward"] = from_mapping(RewardSettings, given, f"{where}: reward")
        try:
            return SearchSettings(**values)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def check_fields_of(values: object, where: str) -> Mapping[str, Any]:
    """`values` if it is a mapping; raises `InputError` if not."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a mapping, found {shown(values)}")
    return values
