"""TensorBoard events of a search: one writer for the run, made from journal lines alone.

Because every curve follows from the journal, a resumed run writes its file anew from it: no gap and
no point twice. The step is the number of trials that have ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from nas.network.scaling import MODES
from nas.search.study import BASELINE, StudyPoint
from nas.search.trial import FINISHED, Measurement, Record, Trial


class TensorBoardWriter:
    """Writes a run's scalars.

    Args:
        folder: of the run; older event files of ours in it are replaced.
        records: the trials that have ended already.
    """

    def __init__(self, folder: Path, records: Iterable[Record] = ()) -> None:
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder), flush_secs=10)  # type: ignore[no-untyped-call]
        self._step = self._failed = 0
        self._best: Record | None = None
        for record in records:
            self.ended(record)
        self._writer.flush()  # type: ignore[no-untyped-call]

    def started(self, trial: Trial) -> None:
        """Nothing to draw yet."""

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """Epochs of single trials stay in the journal; thousands of curves would help nobody."""

    def ended(self, record: Record) -> None:
        """Add a trial's points."""
        self._step += 1
        self._failed += record.reward is None
        points: dict[str, float] = {
            "trial/macs": record.macs,
            "trial/params": record.costs["params"],
            "trials/failed": self._failed,
        }
        if record.same_as is None:
            points["trial/seconds"] = record.seconds
        if record.reward is not None and record.accuracy is not None:
            points |= {"trial/reward": record.reward, "trial/accuracy": record.accuracy}
            best = self._best
            if record.state == FINISHED and (best is None or record.reward > (best.reward or 0)):
                self._best = record
        if self._best is not None:
            points |= {
                "best/reward": float(self._best.reward or 0),
                "best/accuracy": float(self._best.accuracy or 0),
                "best/macs": self._best.macs,
            }
        points |= record.controller
        for tag, value in points.items():
            self._writer.add_scalar(tag, value, self._step)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Write what is buffered."""
        self._writer.close()  # type: ignore[no-untyped-call]


def write_study_events(folder: Path, points: Iterable[StudyPoint]) -> None:
    """A scaling study's curves: a run for each way, accuracy by thousands of MACs."""
    points = list(points)
    start = [p for p in points if p.mode == BASELINE]
    for mode in MODES:
        place = folder / "study" / mode
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        writer = SummaryWriter(str(place))  # type: ignore[no-untyped-call]
        for point in (*start, *(p for p in points if p.mode == mode)):
            writer.add_scalar("study/accuracy", point.accuracy, point.macs // 1000)  # type: ignore[no-untyped-call]
        writer.close()  # type: ignore[no-untyped-call]
