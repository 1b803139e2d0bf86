"""What decides a full training: the network, the recipe, the data, and where its weights come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from nas.data.place import absolute, absolute_data
from nas.training.distillation import teacher_digest
from nas.training.recipe import Recipe
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command
from search_spaces.spec import NetworkSpec


@dataclass(frozen=True)
class TrainingPlan:
    """All that decides a training. Paths are kept from the root: it may go on in another working directory.

    Attributes:
        spec: the network as it is trained.
        recipe: how.
        data: name, as `load_data` takes it.
        data_root: folder to look in first.
        subset: part of the training and held-out images.
        seed: of everything random.
        start: checkpoint whose weights it starts from; None: random ones.
        frozen: parts that keep them (`nas.training.trainer.freeze`).
        classifier: the start's is taken too, it is of the same classes.
        teacher: checkpoint whose outputs it learns from beside the labels; None: there is none.
        teacher_digest: of its file, filled in here.
    """

    spec: NetworkSpec
    recipe: Recipe
    data: str
    data_root: str | None = None
    subset: float = 1.0
    seed: int = 0
    start: str | None = None
    frozen: int = 0
    classifier: bool = False
    teacher: str | None = None
    teacher_digest: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", absolute_data(self.data))
        for name in ("data_root", "start", "teacher"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, absolute(path))
        if self.teacher is not None and self.teacher_digest is None:
            object.__setattr__(self, "teacher_digest", teacher_digest(self.teacher))

    def extended(self, epochs: int, where: object, done: int) -> TrainingPlan:
        """The same training over another number of epochs, where its first epochs are the same ones.

        That is so while the learning rate's schedule doesn't follow from the number of epochs.

        Args:
            epochs: in all.
            where: names the training in errors.
            done: epochs that are trained already.

        Raises:
            InputError: the epochs would not be those of such a training, or are fewer than there are.
        """
        recipe = self.recipe
        longer = replace(recipe, epochs=epochs)
        if longer == recipe:
            return self
        same_warmup = min(recipe.warmup, recipe.epochs / 2) == min(recipe.warmup, epochs / 2)
        if recipe.schedule == "cosine" or recipe.stages > 1 or not same_warmup:
            what = "stages of {} are" if recipe.stages > 1 else "learning rate of {} is"
            raise InputError(
                f"epochs {epochs}: the {what.format(where)} laid out over {recipe.epochs} epochs "
                f"({recipe.schedule}), over {epochs} it would have been another training; to train its "
                f"weights on: {shell_command('nas', 'train', '--from', where, '--epochs', epochs)}"
            )
        if epochs < done:
            raise InputError(f"epochs {epochs}: {done} are done already: expected at least as many")
        return replace(self, recipe=longer)

    def to_document(self) -> dict[str, Any]:
        """As plain data, the spec apart."""
        known = {name: value for name, value in vars(self).items() if name not in ("spec", "recipe")}
        if self.teacher is None:
            del known["teacher"], known["teacher_digest"]
        return known | {"recipe": self.recipe.to_document()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any], spec: NetworkSpec) -> TrainingPlan:
        """The inverse of `to_document`; raises KeyError or TypeError where the document is none."""
        names = [part.name for part in fields(cls) if part.name not in ("spec", "recipe")]
        return cls(
            spec=spec,
            recipe=Recipe.from_document(document["recipe"]),
            **{name: document[name] for name in names if name in document},
        )
