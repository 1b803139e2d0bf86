"""The settings of a search, as plain data: what the command line gathers and the run folder keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

from controller.base import Controller
from controller.registry import CONTROLLERS, make_controller
from nas.latency.table import LATENCY, LatencyTable
from nas.benchmark.load import load_surrogate
from nas.search.convergence import Convergence
from nas.benchmark.evaluator import MEASURED, BenchmarkEvaluator
from nas.search.objective import make_objective
from nas.search.reward import Reward, make_reward
from nas.training.place import absolute, absolute_data
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.architecture import Architecture
from search_spaces.document import check_fields, check_schema
from search_spaces.errors import InputError, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.registry import get_space
from search_spaces.space import NotInSpaceError
from search_spaces.spec import NetworkSpec

SCHEMA_VERSION = 1

EVALUATORS = ("train", "benchmark")
UNTIL = ("trials", "converged")


@dataclass(frozen=True)
class ProxyDefaults:
    """What the proxy task of a data set is where the user doesn't say."""

    resolution: int
    width: float
    stem_stride: int
    subset: float


_DEFAULTS = {
    "digits": ProxyDefaults(16, 0.25, 1, 1.0),
    "fashion-mnist": ProxyDefaults(28, 0.25, 1, 0.1),
    "cifar10": ProxyDefaults(32, 0.5, 1, 0.2),
    "cifar100": ProxyDefaults(32, 0.5, 1, 0.2),
    **dict.fromkeys(("imagefolder", "webdataset", "huggingface"), ProxyDefaults(128, 1.0, 2, 0.1)),
}


@dataclass(frozen=True)
class SearchSettings:
    """All that decides what a search does; where it runs is no part of it.

    Paths of data are kept from the root: a run may go on in another working directory.

    Attributes:
        space: name, or path of a space file.
        space_document: the space itself, so that a run doesn't depend on the file any more.
        controller, controller_options: as `make_controller` takes them.
        evaluator: `train`, or `benchmark`: ImageNet accuracies by a surrogate.
        benchmark_data: path of Accel-NASBench's records; None: the embedded surrogate.
        surrogate: `mlp` or `gb`.
        surrogate_digest: of the surrogate that the run was started with.
        latency_table: path of a table by `nas latency`, which adds the cost `latency`; a run keeps a copy.
        noise: whether the benchmark answers with the noise that its repeated trainings show.
        data: name, as `load_data` takes it.
        data_root: folder to look in first.
        data_digest: of the data set that the run was started with.
        recipe, recipe_changes: as `make_recipe` takes them.
        resolution, width, stem_stride, subset: of the proxy task; None: the data set's defaults.
        baseline_resolution: if given, `resolution` is that of networks of so many pixels, and others are
            trained in proportion (a scaling study); else all are trained at `resolution`.
        final: full trainings: scored on the test split at their end, their weights kept.
        trials: how many, at most.
        until: `trials`, or `converged`: stop when an improvement would cost more than `price` trials.
        price: trials that a worthwhile improvement may cost.
        reward: its form.
        targets: by cost name.
        exponent: of the reward; None: -0.07.
        scheduler: `none`, `asha` or `median`.
        cpus_per_trial, gpus_per_trial: what each trial gets.
        seed: of everything random.
    """

    space: str = "mnasnet"
    space_document: dict[str, Any] = field(default_factory=dict)
    controller: str = "predictor"
    controller_options: dict[str, Any] = field(default_factory=dict)
    evaluator: str = "train"
    benchmark_data: str | None = None
    surrogate: str = "mlp"
    surrogate_digest: str | None = None
    latency_table: str | None = None
    noise: bool = False
    data: str = "digits"
    data_root: str | None = None
    data_digest: str | None = None
    recipe: str = "adamw"
    recipe_changes: dict[str, Any] = field(default_factory=dict)
    resolution: int | None = None
    width: float | None = None
    stem_stride: int | None = None
    subset: float | None = None
    baseline_resolution: int | None = None
    final: bool = False
    trials: int = 24
    until: str = "trials"
    price: float = 100
    reward: str = "soft"
    targets: dict[str, str] = field(default_factory=lambda: {"macs": "400M"})
    exponent: float | None = None
    scheduler: str = "none"
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.data, str):
            object.__setattr__(self, "data", absolute_data(self.data))
        for name in ("data_root", "benchmark_data", "latency_table"):
            if isinstance(path := getattr(self, name), str):
                object.__setattr__(self, name, absolute(path))

    def check(self) -> None:
        """Raise `InputError` for the first setting that breaks its rule; loads and writes nothing."""
        if self.evaluator not in EVALUATORS:
            raise unknown("evaluator", self.evaluator, EVALUATORS)
        if self.controller not in CONTROLLERS:
            raise unknown("controller", self.controller, CONTROLLERS)
        if not isinstance(self.trials, int) or self.trials < 1:
            raise InputError(f"trials {self.trials!r}: expected an integer of at least 1")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed {self.seed!r}: expected an integer from 0 to 2^63 - 1")
        if self.subset is not None and not 0 < self.subset <= 1:
            raise InputError(f"subset {self.subset!r}: expected a fraction above 0 and up to 1")
        if self.until not in UNTIL:
            raise unknown("until", self.until, UNTIL)
        if self.until == "converged" and self.controller != "predictor":
            raise InputError(
                f"until 'converged': controller {self.controller!r} has no predictor to say so; "
                "use --controller predictor"
            )
        Convergence(self.price)
        if self.evaluator == "benchmark":
            self.make_benchmark()
            self._check_space()
        elif self.benchmark_data is not None:
            raise InputError(f"benchmark-data {self.benchmark_data!r}: only for --evaluator benchmark")
        elif self.noise:
            raise InputError("noise: only for --evaluator benchmark (a training has its own)")
        space, latency = self.make_space(), self.make_latency()
        if latency is not None:
            latency.check(space)
        make_controller(self.controller, space, self.seed, self.controller_options)
        self.make_reward()
        self.make_recipe()
        self.make_proxy()

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
            space=name,
            space_document=ListedSpace(name, networks, about).to_document(),
            controller="random",
            controller_options={},
            trials=len(networks),
            targets={},
        )

    def make_space(self) -> StagedSpace | ListedSpace:
        """The space."""
        if "networks" in self.space_document:
            return ListedSpace.from_document(self.space_document, "space")
        if self.space_document:
            return StagedSpace.from_document(self.space_document, "space")
        return get_space(self.space)

    def make_reward(self) -> Reward:
        """The reward."""
        measured: dict[str, Callable[[NetworkSpec], float]] = {}
        if self.evaluator == "benchmark":
            evaluator = self.make_benchmark()
            measured = {name: partial(_measured, evaluator, name) for name in MEASURED}
        elif name := next((name for name in self.targets if name in MEASURED), None):
            raise InputError(f"cost {name!r}: only the benchmark knows it (--evaluator benchmark)")
        if (latency := self.make_latency()) is not None:
            measured[LATENCY] = latency
        elif LATENCY in self.targets:
            raise InputError(f"cost {LATENCY!r}: give --latency-table, which `nas latency --space` makes")
        return make_reward(self.reward, self.targets, self.exponent, measured)

    def make_latency(self) -> LatencyTable | None:
        """The latency table, if there is one; raises `InputError` as `LatencyTable.read`."""
        return None if self.latency_table is None else LatencyTable.read(self.latency_table)

    def make_benchmark(self) -> BenchmarkEvaluator:
        """The benchmark's evaluator.

        Raises:
            InputError: the data, or the surrogate is another one than the run was started with.
        """
        surrogate = load_surrogate(self.benchmark_data)
        if self.surrogate_digest not in (None, surrogate.digest):
            raise InputError(
                f"surrogate {surrogate.digest}: the run was started with {self.surrogate_digest}: "
                "its rewards would not compare"
            )
        return BenchmarkEvaluator(
            surrogate, self.surrogate, float(surrogate.about["noise"]) if self.noise else 0.0
        )

    def make_controller(self) -> Controller:
        """The controller, told of the reward what can be known in advance."""
        space = self.make_space()
        surrogate = self.make_benchmark().surrogate if self.evaluator == "benchmark" else None
        objective = make_objective(space, self.make_reward(), surrogate, self.make_latency())
        return make_controller(self.controller, space, self.seed, self.controller_options, objective)

    def _check_space(self) -> None:
        """Every architecture is the benchmark's if every single change of the first one is."""
        space, known = self.make_space(), accel_nasbench()
        first = Architecture(0 for _ in space.decisions)
        for architecture in (first, *space.neighbours(first)):
            try:
                known.encode(space.decode(architecture))
            except NotInSpaceError as error:
                raise InputError(
                    f"space {self.space!r}: the benchmark knows only accel-nasbench: {error}"
                ) from None

    def make_recipe(self) -> Recipe:
        """The training recipe."""
        return make_recipe(self.recipe, self.recipe_changes)

    def make_proxy(self) -> ProxyTask:
        """The proxy task."""
        given = proxy_defaults(self.data)
        return ProxyTask(
            given.resolution if self.resolution is None else self.resolution,
            given.width if self.width is None else self.width,
            given.stem_stride if self.stem_stride is None else self.stem_stride,
        )

    def subset_share(self) -> float:
        """The part of the images that trials use."""
        return proxy_defaults(self.data).subset if self.subset is None else self.subset

    @property
    def accuracy_of(self) -> str:
        """What the accuracies of this search are of, for whoever reads them."""
        if self.evaluator == "benchmark":
            return "predicted ImageNet top-1"
        task = "the full training" if self.final else "the proxy task"
        return f"of held-out images, after the last epoch of {task}"

    def to_document(self) -> dict[str, Any]:
        """As plain data, readable again by `from_document`."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str) -> SearchSettings:
        """The settings in a document; raises `InputError` for an unknown field or schema."""
        check_schema(document, where, SCHEMA_VERSION)
        values = check_fields(document, where, ("schema",), [field.name for field in fields(cls)])
        del values["schema"]
        for name, kind in (("controller_options", dict), ("recipe_changes", dict), ("targets", dict)):
            if name in values and not isinstance(values[name], kind):
                raise InputError(f"{where}: {name} {values[name]!r}: expected a mapping")
        return cls(**values)


def _measured(evaluator: BenchmarkEvaluator, name: str, spec: NetworkSpec) -> float:
    return evaluator.costs(spec)[name]


def proxy_defaults(data: str) -> ProxyDefaults:
    """The defaults for a data set's name (of any kind: unknown names are refused when it is loaded)."""
    return _DEFAULTS.get(data.partition(":")[0], _DEFAULTS["digits"])
