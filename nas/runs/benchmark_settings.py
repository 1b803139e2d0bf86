"""The settings of the evaluator that asks the ImageNet benchmark, in the driver's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nas.benchmark.evaluator import MEASURED, BenchmarkEvaluator
from nas.benchmark.load import CURVES, is_run_benchmark, load_surrogate
from nas.benchmark.surrogate import FAMILIES
from nas.data.place import absolute
from nas.runs.checked import check_types
from nas.runs.evaluator_settings import EvaluatorSettings, missing_network
from nas.search.objective import CostModel
from search_spaces.errors import InputError, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace


@dataclass(frozen=True)
class BenchmarkSettings(EvaluatorSettings):
    """Accuracies come from a surrogate of ImageNet trainings.

    Attributes:
        records: path of Accel-NASBench's records, or of a benchmark of runs (`.json`), or `curves`, the
            embedded one of those; None: the embedded surrogate.
        surrogate: one of its families.
        surrogate_digest: of the surrogate that the run was started with.
        noise: whether it answers with the noise that its repeated trainings show.

    Raises:
        InputError: a value of another type, or out of its range.
    """

    kind: ClassVar[str] = "benchmark"
    instant: ClassVar[bool] = BenchmarkEvaluator.instant
    flat_names: ClassVar[dict[str, str]] = {"records": "benchmark_data"}
    measures: ClassVar[tuple[str, ...]] = MEASURED

    records: str | None = None
    surrogate: str = "mlp"
    surrogate_digest: str | None = None
    noise: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.records not in (None, CURVES):
            object.__setattr__(self, "records", absolute(str(self.records)))
        if self.surrogate not in FAMILIES:
            raise unknown("surrogate", self.surrogate, FAMILIES)

    def make(
        self, download: bool = False, say: Callable[[str], None] = lambda text: None
    ) -> BenchmarkEvaluator:
        """The evaluator, which needs no download."""
        surrogate = load_surrogate(self.records, say)
        self.kept(surrogate.digest)
        known = surrogate.about.get("noise")
        if self.noise and known is None:
            raise InputError(
                f"noise: {self.records} has one training of each network, which tells none: leave it out, "
                "or make it of runs with several seeds"
            )
        family = surrogate.families[0] if is_run_benchmark(self.records) else self.surrogate
        return BenchmarkEvaluator(surrogate, family, float(known or 0) if self.noise else 0.0)

    def kept(self, digest: str | None) -> BenchmarkSettings:
        """With the digest of the surrogate."""
        if self.surrogate_digest not in (None, digest):
            raise InputError(
                f"surrogate {digest}: the run was started with {self.surrogate_digest}: "
                "its rewards would not compare"
            )
        return replace(self, surrogate_digest=digest)

    def cost_model(self) -> CostModel:
        """The surrogate, which predicts `measures`."""
        return self.make().surrogate

    def check(self, space: StagedSpace | ListedSpace, say: Callable[[str], None] = lambda text: None) -> None:
        """Raise `InputError` unless the surrogate is there and knows every architecture of the space."""
        known = self.make(say=say).surrogate.space
        if (why := missing_network(space, known)) is not None:
            raise InputError(f"space {space.name!r}: the benchmark knows only {known.name}: {why}")

    @property
    def digest(self) -> str | None:
        """Of what it scores on, once the run has started."""
        return self.surrogate_digest

    @property
    def depends_on(self) -> dict[str, Any]:
        """The surrogate, wherever its records lie."""
        return {name: value for name, value in super().depends_on.items() if name != "records"}

    @property
    def measured_costs(self) -> tuple[str, ...]:
        """None of a benchmark that was made of runs."""
        return () if is_run_benchmark(self.records) else self.measures

    @property
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""
        if is_run_benchmark(self.records):
            return f"predicted by {self.records}"
        return "predicted ImageNet top-1"
