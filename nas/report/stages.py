"""What the two stages of a search found that went from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.runs.folder import Run
from nas.search.results import Results
from nas.search.trial import Record, Scored
from search_spaces.quoting import printable
from search_spaces.space import NotInSpaceError


@dataclass(frozen=True)
class StageResults:
    """The best of each stage.

    Attributes:
        trials: of the coarse stage.
        ended: how many of these have.
        varied: the fields in which stages differed in it.
        coarse: its best finished trial; None: it has none.
        tied: what that has of the fields that are alike in all stages; empty where its network is none of the
            coarse part.
        fine: the best of the later ones.
    """

    trials: int
    ended: int
    varied: tuple[str, ...]
    coarse: Scored | None
    tied: dict[str, Any]
    fine: Scored | None

    @property
    def line(self) -> str:
        """In words."""
        words = f"Coarse stage: {self.ended} of {self.trials} trials ended, {', '.join(self.varied)} varied"
        if self.coarse is None:
            return f"{words}; it found nothing."
        words += f"; best trial {self.coarse.trial}, reward {self.coarse.reward:.4f}"
        if self.tied:
            words += f" ({', '.join(f'{n} {v} in all stages' for n, v in self.tied.items())})"
        if self.fine is None:
            return printable(f"{words}. Fine stage: nothing yet.")
        more = self.fine.reward - self.coarse.reward
        found = f"trial {self.fine.trial}, reward {self.fine.reward:.4f} ({more:+.4f})"
        return printable(f"{words}. Fine stage: best {found}.")

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        best = {
            name: None if record is None else {"trial": record.trial, "reward": record.reward}
            for name, record in (("best", self.coarse), ("fine_best", self.fine))
        }
        return {
            "trials": self.trials,
            "ended": self.ended,
            "varied": list(self.varied),
            "tied": self.tied,
            **best,
        }


def stage_results(run: Run, records: Sequence[Record]) -> StageResults | None:
    """Of a run's ended trials; None: it has one stage."""
    settings = run.settings.coarse
    if settings is None or settings.trials is None:
        return None
    part = settings.space(run.space)
    count = settings.trials
    coarse, fine = (
        Results([record for record in records if (record.trial < count) is first]).best
        for first in (True, False)
    )
    tied: dict[str, Any] = {}
    if coarse is not None:
        try:
            found = part.choices(part.encode(run.space.decode(coarse.architecture)))
            tied = {name: found[f"all.{name}"] for name in part.tied}
        except NotInSpaceError:  # of a run that another version went on with
            pass
    ended = sum(record.trial < count for record in records)
    return StageResults(count, ended, part.varied, coarse, tied, fine)
