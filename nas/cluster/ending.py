"""What ends trials early: Tune's own schedulers, by rewards, or the controller, by what it expects."""

from __future__ import annotations

import pickle
from typing import Any

from ray import tune

from nas.cluster.bridge import LoopSearch
from nas.runs.train_settings import SCHEDULERS
from nas.search.rungs import check_ending
from search_spaces.errors import unknown


class ControllersVerdict(tune.schedulers.FIFOScheduler):  # type: ignore[misc]
    """Ends what the loop's controller expects nothing of (`Controller.goes_on`).

    Args:
        search: of the trials.
    """

    def __init__(self, search: LoopSearch) -> None:
        super().__init__()
        self._search = search

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether its next epoch is worth it; Tune asks before it hands the result on."""
        if result.get("last") is not False:
            return str(self.CONTINUE)
        attempt = self._search.attempts[trial.trial_id]
        rows = attempt.rows | {row["epoch"]: row for row in pickle.loads(result["rows"])}
        try:
            worth = self._search.loop.goes_on(attempt.trial, list(rows.values()))
        except Exception as error:  # Tune would take it for the trial's
            self._search.error = self._search.error or error
            worth = True
        return str(self.CONTINUE if worth else self.STOP)


def check_scheduler(name: str, epochs: int) -> None:
    """Raise `InputError` for an unknown scheduler, or one that has nothing to end.

    Args:
        name: of the scheduler.
        epochs: of a full evaluation.
    """
    if name not in SCHEDULERS:
        raise unknown("scheduler", name, SCHEDULERS)
    check_ending(name, epochs)


def make_scheduler(name: str, epochs: int, search: LoopSearch) -> Any:
    """Tune's scheduler of that name; None for `none`. `asha` and `median` judge by reward."""
    if name == "none":
        return None
    if name == "predictor":
        return ControllersVerdict(search)
    grace = max(1, epochs // 3)
    if name == "asha":
        return tune.schedulers.ASHAScheduler("epoch", "reward", "max", max_t=epochs, grace_period=grace)
    # of few trials it would pause each in turn, which takes a checkpoint of Tune's and a new worker
    never = float("inf")
    return tune.schedulers.MedianStoppingRule(
        "epoch", "reward", "max", grace_period=grace, min_time_slice=never
    )
