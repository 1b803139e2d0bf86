"""What a run can say of rankings: stage two of the search before it, and of its own trainings, had they
been shorter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.runs.folder import Run
from nas.runs.scored_on import read_scored
from nas.search.ranking import FEWEST, RankingSheet, rank_networks
from nas.search.results import Results
from nas.search.trial import Record, Scored
from nas.studies.entries import entry
from nas.studies.stage_two import STAGE_TWO
from search_spaces.listed import ListedSpace

ENOUGH = 8
"""Networks of which a sheet of shorter trainings is made."""


def judge_run(run: Run, records: Sequence[Record]) -> RankingSheet | None:
    """The ranking sheet of a run; None: it has no ranking to judge.

    Of stage two: how the search's accuracies rank the networks as the full trainings do. Of a search that
    trains: how its accuracies after a third and after half of the epochs rank them as the last epoch does.
    """
    best: dict[str, Scored] = {}
    for record in Results(records).finished:
        best.setdefault(record.digest, record)
    found = list(best.values())
    if read_scored(run.folder).only_guessed([record.accuracy for record in found]):
        return None  # there is no order to be ranked by
    if isinstance(run.space, ListedSpace):
        if run.space.name != STAGE_TWO or len(found) < FEWEST:
            return None
        known = [float(entry(run.space, record)["accuracy"]) for record in found]
        rankings, what = {"the search's accuracy": np.array(known)}, "the full training"
    else:
        epochs = {tuple(row["epoch"] for row in record.measurements) for record in found}
        if len(found) < ENOUGH or len(epochs) != 1 or len(last := next(iter(epochs))) < 2:
            return None
        places = sorted({max(1, len(last) // 3), max(1, len(last) // 2)})
        rankings = {
            f"epoch {last[place - 1]:g} of {last[-1]:g}": np.array(
                [record.measurements[place - 1]["accuracy"] for record in found]
            )
            for place in places
        }
        what = f"the accuracy after epoch {last[-1]:g}"
    specs = [run.spec(record) for record in found]
    return rank_networks(specs, np.array([record.accuracy for record in found]), rankings, what=what)
