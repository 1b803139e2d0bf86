"""A log for each trial, `logs/trial_000012.log` in the run folder: what happened to it, and where."""

from __future__ import annotations

import time
from pathlib import Path

LOGS = "logs"


def log_path(folder: Path, trial: int) -> Path:
    """Where a trial's log lies."""
    return folder / LOGS / f"trial_{trial:06d}.log"


class TrialLogs:
    """Adds lines to the logs of a run; written by the driver, so a lost worker takes no log with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / LOGS).mkdir(exist_ok=True)

    def note(self, trial: int, text: str) -> None:
        """Add a text, each line with the time before it."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        lines = "".join(f"{now} {line}\n" for line in text.rstrip().splitlines())
        with log_path(self.folder, trial).open("a", encoding="utf-8") as stream:
            stream.write(lines)
