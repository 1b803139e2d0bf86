"""Weights & Biases: a group for each search, in it a run for each trial.

Where to is its own: WANDB_PROJECT (else baseline-nas), WANDB_ENTITY, WANDB_MODE, WANDB_DIR.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

from nas.report.tracked_trial import TrackedTrial
from search_spaces.errors import InputError

_PROJECT = "baseline-nas"


def open_wandb(search: str) -> _WandbTracker:
    """Where the trials of a search go to.

    Raises:
        InputError: wandb isn't installed, or would ask for a key.
    """
    try:
        import wandb
    except ImportError:
        raise InputError("log wandb: it is not installed; pip install 'baseline-nas[wandb]'") from None
    # it would ask on the terminal, in the middle of a search
    if os.environ.get("WANDB_MODE", "online") == "online" and not _has_key(wandb):
        raise InputError("log wandb: nobody is logged in: `wandb login`, or set WANDB_MODE=offline")
    return _WandbTracker(wandb)


def _has_key(wandb: Any) -> bool:
    if "prompt" in inspect.signature(wandb.login).parameters:
        return bool(wandb.login(prompt=False))
    return bool(wandb.api.api_key)  # of versions before that


class _WandbTracker:
    def __init__(self, wandb: Any) -> None:
        self._wandb = wandb

    def write(self, trial: TrackedTrial) -> None:
        run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT") or _PROJECT,
            group=trial.search,
            id=trial.key,
            name=trial.name,
            job_type="trial",
            tags=[trial.state],
            config=dict(trial.choices),
            resume="allow",  # of what was cut short the same steps are written again
            reinit="create_new",  # a run of the user's own is left alone
            settings=self._wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )
        try:
            for row in trial.epochs:
                values = {f"epoch/{name}": value for name, value in row.items() if name != "epoch"}
                run.log(values, step=int(row.get("epoch", 0)))
            times = {"started": trial.started, "seconds": trial.seconds}
            run.summary.update({**trial.results, **times, **trial.about})
        finally:
            run.finish(exit_code=int(trial.failed))
