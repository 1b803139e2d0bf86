"""An attempt: one of Tune's trials, which is one try at a trial of the loop's. All that is known of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from nas.cluster.worker import worker_name
from nas.runs.status import RunningTrial
from nas.search.trial import Measurement, Trial


@dataclass
class Attempt:
    """One try at a trial, from when it is given to Tune until its trial has ended or the next try goes out.

    Attributes:
        trial: the loop's.
        view: the attempt as others see it: its number, worker, node, epochs, since when.
        tune: Tune's trial while a worker has it.
        lost: it has ended without a result, and its trial waits to go out again.
        given: Unix time at which it was given to a worker; 0: it waits for room.
        runs: that worker had started before.
        late: why its worker was killed, for taking too long; empty: it was not.
        began: Unix time at which a worker first took the trial on, in whichever attempt; 0: none has.
        rows: the trial's measurements by epoch, those of earlier attempts too.
        last: the last result of Tune's, of an earlier attempt if this one gave none.
        losses: attempts that the trial has lost since it got an epoch further.
        blameless: attempts that it has lost with their node or before they began.
        alone: it has a GPU to itself, for the memory that others left was too little.
    """

    trial: Trial
    view: RunningTrial
    tune: Any = None
    lost: bool = False
    given: float = 0
    runs: bool = False
    late: str = ""
    began: float = 0
    rows: dict[float, Measurement] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    losses: int = 0
    blameless: int = 0
    alone: bool = False

    @classmethod
    def of(cls, trial: Trial, epochs: int, before: Attempt | None) -> Attempt:
        """The next attempt at a trial.

        Args:
            trial: the loop's.
            epochs: of a full evaluation.
            before: the attempt that was lost; its measurements and losses count on. None: this is the first.
        """
        number = before.view.attempt + 1 if before else 1
        view = RunningTrial(trial.id, trial.costs["macs"], epochs, attempt=number, costs=trial.costs)
        attempt = cls(trial, view)
        if before:
            attempt.began, attempt.rows, attempt.last = before.began, before.rows, before.last
            attempt.losses, attempt.blameless = before.losses, before.blameless
            attempt.alone = before.alone
        return attempt

    def start(self, tune: Any, node: str | None) -> None:
        """A worker, on that node, has taken it on."""
        now = time.time()
        self.tune, self.view.since, self.began = tune, now, self.began or now
        self.view.node = node

    def placed(self, result: dict[str, Any]) -> bool:
        """Note where it runs, as its first result tells; whether that is news."""
        if self.view.worker is not None:
            return False
        view = self.view
        view.worker, view.node, view.gpus = worker_name(result), result["node"], result["gpus"]
        return True

    def measured(self, row: Measurement) -> bool:
        """Take in an epoch; False if it is known: an attempt repeats what its checkpoint had."""
        if row["epoch"] in self.rows:
            return False
        self.rows[row["epoch"]] = row
        self.losses = 0
        self.view.epoch, self.view.accuracy = int(row["epoch"]), row["accuracy"]
        self.view.images_per_second = row.get("images_per_second")
        return True

    def late_by(self, seconds: float, to_start: float) -> str:
        """What has taken too long, if anything has: the trial, its worker's start, or the hand-over to it.

        A trial that waits for room has all the time: what the cluster lacks is not its doing.

        Args:
            seconds: that the trial may take, and a worker that runs may take to take it on.
            to_start: that a worker may take to start.
        """
        now = time.time()
        if self.lost:
            return ""
        if self.view.since:
            return f"over the time limit of {seconds:g} s" if now - self.view.since > seconds else ""
        if not self.given:
            return ""
        if self.runs:
            return f"its worker did not take it on within {seconds:g} s" if now - self.given > seconds else ""
        return f"its worker did not start within {to_start:g} s" if now - self.given > to_start else ""

    @property
    def timing(self) -> tuple[str | None, float, float]:
        """(worker, Unix time at which the trial began, its seconds), as the loop takes them."""
        now = time.time()
        began = self.began or now
        return worker_name(self.last), began, now - began
