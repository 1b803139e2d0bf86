"""The settings of the evaluator that takes weights out of a trained supernet, in the driver's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nas.data.place import absolute, absolute_data
from nas.runs.checked import check_types
from nas.runs.evaluator_settings import EvaluatorSettings, missing_network
from nas.runs.supernet_data import load_trained, settings_of
from nas.search.evaluator import Evaluator
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.quoting import printable


@dataclass(frozen=True)
class SupernetSettings(EvaluatorSettings):
    """Networks are scored with the weights of a supernet, by `nas supernet`.

    Attributes:
        supernet: its file; kept with its folder from the root.
        data, data_root: where its data lie now; None: where they lay when it was trained.
        supernet_digest: of the supernet that the run was started with.

    Raises:
        InputError: a value of another type.
    """

    kind: ClassVar[str] = "supernet"
    instant: ClassVar[bool] = True

    supernet: str | None = None
    data: str | None = None
    data_root: str | None = None
    supernet_digest: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        for name, kept in (("supernet", absolute), ("data_root", absolute), ("data", absolute_data)):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, kept(value))

    @property
    def file(self) -> str:
        """The supernet's; raises `InputError` where none is given."""
        if self.supernet is None:
            raise InputError("evaluator 'supernet': give its file by --supernet, which `nas supernet` makes")
        return self.supernet

    def make(self, download: bool = False, say: Callable[[str], None] = lambda text: None) -> Evaluator:
        """The evaluator with the data that the supernet was trained on."""
        from nas.search.supernet_evaluator import SupernetEvaluator
        from nas.supernet.plan import read_supernet

        stored = read_supernet(self.file)
        if not stored.done:
            epochs = stored.plan.recipe.epochs
            say(printable(f"{self.file}: only {len(stored.rows)} of its {epochs} epochs are trained"))
        trained, _ = load_trained(settings_of(stored.plan, self.data, self.data_root), download, say)
        made = SupernetEvaluator(stored, trained.data)
        self.kept(made.data_digest)
        return made

    def kept(self, digest: str | None) -> SupernetSettings:
        """With the digest of the supernet."""
        if self.supernet_digest not in (None, digest):
            raise InputError(
                f"supernet {self.supernet!r}: its digest is {digest}, the run was started with "
                f"{self.supernet_digest}: the accuracies would not compare"
            )
        return replace(self, supernet_digest=digest)

    def moved(self, data: str | None, data_root: str | None) -> SupernetSettings:
        """With the data where they lie now."""
        return replace(self, data=data or self.data, data_root=data_root or self.data_root)

    def check(self, space: StagedSpace | ListedSpace, say: Callable[[str], None] = lambda text: None) -> None:
        """Raise `InputError` unless the supernet is there and has every network of the space."""
        from nas.supernet.plan import read_supernet

        known = read_supernet(self.file).plan.make_space()
        if (why := missing_network(space, known)) is not None:
            raise InputError(
                f"space {space.name!r}: not all of its networks are in supernet {self.file!r}: {why}"
            )

    @property
    def digest(self) -> str | None:
        """Of what it scores on, once the run has started."""
        return self.supernet_digest

    @property
    def depends_on(self) -> dict[str, Any]:
        """The supernet, wherever it and its data lie."""
        return {"supernet_digest": self.supernet_digest}

    @property
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""
        return "of held-out images, with the weights of a supernet"
