"""A trial as experiment trackers take it: settings, curves by epoch, results."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from nas.search.trial import FAILED, Measurement, Record


@dataclass(frozen=True)
class TrackedTrial:
    """An ended trial.

    Attributes:
        key: unique, and the same whenever this trial is written.
        search: name of its search.
        number: within the search.
        state: `finished`, `stopped` or `failed`.
        choices: by decision name, with the seed of the evaluation.
        epochs: measurements, of which `epoch` is the step.
        results: reward, accuracy and costs, as far as there are any.
        about: texts: digest, worker, why it failed, the trial whose measurements these are.
        started, seconds: Unix time, and how long it took.
    """

    key: str
    search: str
    number: int
    state: str
    choices: dict[str, Any]
    epochs: list[Measurement]
    results: dict[str, float]
    about: dict[str, str]
    started: float
    seconds: float

    @property
    def name(self) -> str:
        """For people."""
        return f"trial {self.number}"

    @property
    def failed(self) -> bool:
        """Whether it has no result."""
        return self.state == FAILED

    @staticmethod
    def of(record: Record, key: str, search: str) -> TrackedTrial:
        """A record's, in the search of that key and name."""
        results = {"reward": record.reward, "accuracy": record.accuracy, **record.costs}
        about = {"digest": record.digest, "worker": record.worker, "reason": record.reason}
        if record.same_as is not None:
            about["same_as"] = f"trial {record.same_as}"
        return TrackedTrial(
            f"{key}-{record.trial}-{record.digest[:6]}",  # copies of a run may go on in two ways
            search,
            record.trial,
            record.state,
            {**record.choices, "seed": record.seed},
            record.measurements,
            {name: float(value) for name, value in results.items() if value is not None},
            {name: text for name, text in about.items() if text},
            record.started,
            record.seconds,
        )


def run_key(first: Record) -> str:
    """What no other run has: from its first ended trial, which was evaluated at some moment."""
    return hashlib.sha256(f"{first.digest} {first.started!r}".encode()).hexdigest()[:12]
