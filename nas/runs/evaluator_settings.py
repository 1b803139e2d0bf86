"""What every evaluator's settings can do, whatever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

from nas.search.evaluator import Evaluator
from nas.search.objective import CostModel
from search_spaces.architecture import Architecture
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.space import NotInSpaceError


def missing_network(space: StagedSpace | ListedSpace, known: StagedSpace) -> str | None:
    """Why not all networks of `space` are in `known`; None: they are.

    They are if every single change of the first one is.
    """
    first = Architecture(0 for _ in space.decisions)
    for architecture in (first, *space.neighbours(first)):
        try:
            known.encode(space.decode(architecture))
        except NotInSpaceError as error:
            return str(error)
    return None


Settings = TypeVar("Settings", bound="EvaluatorSettings")


@dataclass(frozen=True)
class EvaluatorSettings(ABC):
    """How a search scores networks. A kind of it is a frozen dataclass of plain values, kept in the run.

    Attributes:
        kind: its name, as `--evaluator` takes it.
        instant: its evaluator is; what needs a cluster joins one while its data are read.
        measures: costs that its evaluator knows beside the analytic ones.
        flat_names: of fields whose name among all settings (`nas.runs.flat`) is another one.
    """

    kind: ClassVar[str]
    instant: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ()
    flat_names: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def make(self, download: bool = False, say: Callable[[str], None] = lambda text: None) -> Evaluator:
        """The evaluator.

        Args:
            download: fetch what is missing.
            say: told what a user should know, a line each.

        Raises:
            InputError: what it scores on is missing, damaged or another than the run was started with.
        """

    @abstractmethod
    def kept(self: Settings, digest: str | None) -> Settings:
        """With the digest of what it scores on; raises `InputError` if the run was started with another."""

    @property
    @abstractmethod
    def digest(self) -> str | None:
        """Of what it scores on, once the run has started."""

    @property
    @abstractmethod
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""

    @property
    def depends_on(self) -> dict[str, Any]:
        """What an accuracy depends on, as plain data: results of another value don't compare.

        All of the fields, unless a kind says which of its own decide nothing.
        """
        return asdict(self)

    @property
    def measured_costs(self) -> tuple[str, ...]:
        """Those of `measures` that it knows with these settings."""
        return self.measures

    @property
    def early_stopping(self) -> str:
        """The scheduler that ends poor trials early, as `nas.cluster` takes it."""
        return "none"

    def moved(self: Settings, data: str | None, data_root: str | None) -> Settings:
        """With the data where they lie now, if it reads any."""
        return self

    def check(self, space: StagedSpace | ListedSpace, say: Callable[[str], None] = lambda text: None) -> None:
        """Raise `InputError` unless networks of the space can be scored, as far as that is quickly seen."""

    def cost_model(self) -> CostModel | None:
        """What predicts `measures` for many architectures at once; None: nothing does."""
        return None
