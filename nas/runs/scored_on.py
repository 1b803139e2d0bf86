"""What a run's accuracies can tell, as its evaluator knew when it began: `scored.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.runs.checked import check_types, from_mapping
from nas.runs.scoring import few_images
from nas.search.evaluator import Evaluator
from search_spaces.document import check_schema, read_document, write_document
from search_spaces.errors import InputError, shown

SCORED = "scored.yaml"
_SCHEMA = 1


@dataclass(frozen=True)
class ScoredOn:
    """On what networks were scored.

    Attributes:
        images: of all folds together; 0: not known.
        chance: accuracy up to which a network may have learned nothing but to guess; 0: not known.

    Raises:
        InputError: a value of another type, or out of its range.
    """

    images: int = 0
    chance: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        if self.images < 0:
            raise InputError(f"images {self.images}: expected 0 or more")
        if not 0 <= self.chance <= 1:
            raise InputError(f"chance {shown(self.chance)}: expected a fraction from 0 to 1")

    @classmethod
    def of(cls, evaluator: Evaluator) -> ScoredOn:
        """What an evaluator knows."""
        return cls(evaluator.scored, float(evaluator.chance))

    def only_guessed(self, accuracies: Sequence[float]) -> bool:
        """Whether half of the networks with these accuracies or more have learned nothing."""
        return 2 * self._guesses(accuracies) >= max(1, len(accuracies))

    def remarks(self, accuracies: Sequence[float]) -> list[str]:
        """What whoever reads these accuracies should know, a line each."""
        words = few_images(self.images) if self.images else None
        found = [] if words is None else [words]
        if self.only_guessed(accuracies):
            found.append(
                f"{self._guesses(accuracies)} of {len(accuracies)} trials are no better than guessing (an "
                f"accuracy up to {self.chance:.3g} here): their order says nothing; train longer, or on more "
                "images"
            )
        return found

    def keep(self, folder: Path) -> None:
        """Write it to a run's folder, where anything is known."""
        if self != ScoredOn():
            write_document(folder / SCORED, {"schema": _SCHEMA, **asdict(self)})

    def _guesses(self, accuracies: Sequence[float]) -> int:
        return sum(accuracy <= self.chance for accuracy in accuracies)


def read_scored(folder: Path) -> ScoredOn:
    """Of the run in a folder; nothing is known of one of an earlier version.

    Raises:
        InputError: a broken file.
    """
    path = folder / SCORED
    if not path.is_file():
        return ScoredOn()
    document = read_document(path)
    check_schema(document, str(path), _SCHEMA)
    return from_mapping(ScoredOn, {k: v for k, v in document.items() if k != "schema"}, str(path))
