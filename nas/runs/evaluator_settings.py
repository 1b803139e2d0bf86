"""How a search scores networks: by training them, or by the benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from nas.benchmark.evaluator import BenchmarkEvaluator
from nas.benchmark.load import load_surrogate
from nas.benchmark.surrogate import FAMILIES
from nas.data.place import absolute, absolute_data
from nas.data.sources import proxy_defaults
from nas.runs.checked import check_types
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.space import NotInSpaceError

SCHEDULERS = ("none", "asha", "median")


@dataclass(frozen=True)
class TrainSettings:
    """Networks are trained, on Ray.

    Attributes:
        data: name, as `load_data` takes it; kept with its folder from the root.
        data_root: folder to look in first.
        data_digest: of the data set that the run was started with.
        recipe, recipe_changes: as `make_recipe` takes them; kept as values, not as text.
        resolution, width, stem_stride, subset: of the proxy task; None: the data set's defaults.
        baseline_resolution: if given, `resolution` is that of networks of so many pixels, and others are
            trained in proportion (a scaling study); else all are trained at `resolution`.
        final: full trainings: scored on the test split at their end, their weights kept.
        scheduler: one of `SCHEDULERS`: ends trials early.

    Raises:
        InputError: a value of another type, or out of its range.
    """

    kind: ClassVar[str] = "train"

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
    scheduler: str = "none"

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "data", absolute_data(self.data))
        if self.data_root is not None:
            object.__setattr__(self, "data_root", absolute(self.data_root))
        if self.subset is not None and not 0 < self.subset <= 1:
            raise InputError(f"subset {self.subset!r}: expected a fraction above 0 and up to 1")
        if self.baseline_resolution is not None and self.baseline_resolution < 1:
            raise InputError(f"baseline-resolution {self.baseline_resolution}: expected 1 or more")
        if self.scheduler not in SCHEDULERS:
            raise unknown("scheduler", self.scheduler, SCHEDULERS)
        recipe = self.make_recipe()
        object.__setattr__(
            self, "recipe_changes", {name: getattr(recipe, name) for name in self.recipe_changes}
        )
        self.make_proxy()

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

    @property
    def share(self) -> float:
        """The part of the images that trials use."""
        return proxy_defaults(self.data).subset if self.subset is None else self.subset

    @property
    def digest(self) -> str | None:
        """Of what it scores on, once the run has started."""
        return self.data_digest

    @property
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""
        task = "the full training" if self.final else "the proxy task"
        return f"of held-out images, after the last epoch of {task}"


@dataclass(frozen=True)
class BenchmarkSettings:
    """Accuracies come from a surrogate of ImageNet trainings.

    Attributes:
        records: path of Accel-NASBench's records; None: the embedded surrogate.
        surrogate: one of its families.
        surrogate_digest: of the surrogate that the run was started with.
        noise: whether it answers with the noise that its repeated trainings show.

    Raises:
        InputError: a value of another type, or out of its range.
    """

    kind: ClassVar[str] = "benchmark"

    records: str | None = None
    surrogate: str = "mlp"
    surrogate_digest: str | None = None
    noise: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.records is not None:
            object.__setattr__(self, "records", absolute(self.records))
        if self.surrogate not in FAMILIES:
            raise unknown("surrogate", self.surrogate, FAMILIES)

    def make(self) -> BenchmarkEvaluator:
        """The evaluator.

        Raises:
            InputError: the records, or the surrogate is another one than the run was started with.
        """
        surrogate = load_surrogate(self.records)
        if self.surrogate_digest not in (None, surrogate.digest):
            raise InputError(
                f"surrogate {surrogate.digest}: the run was started with {self.surrogate_digest}: "
                "its rewards would not compare"
            )
        noise = float(surrogate.about["noise"]) if self.noise else 0.0
        return BenchmarkEvaluator(surrogate, self.surrogate, noise)

    def check_space(self, space: StagedSpace | ListedSpace) -> None:
        """Raise `InputError` unless the benchmark knows every architecture of the space.

        It does if it knows every single change of the first one.
        """
        known = accel_nasbench()
        first = Architecture(0 for _ in space.decisions)
        for architecture in (first, *space.neighbours(first)):
            try:
                known.encode(space.decode(architecture))
            except NotInSpaceError as error:
                raise InputError(
                    f"space {space.name!r}: the benchmark knows only accel-nasbench: {error}"
                ) from None

    @property
    def digest(self) -> str | None:
        """Of what it scores on, once the run has started."""
        return self.surrogate_digest

    @property
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""
        return "predicted ImageNet top-1"


EVALUATORS: dict[str, type[TrainSettings] | type[BenchmarkSettings]] = {
    "train": TrainSettings,
    "benchmark": BenchmarkSettings,
}
"""The settings of an evaluator by its name."""
