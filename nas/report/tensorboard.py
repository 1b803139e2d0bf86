"""TensorBoard events of a search: one writer for the run, made from journal lines alone.

Because every curve follows from the journal, a resumed run writes its file anew from it: no gap and
no point twice. The step is the number of trials that have ended. Scalars are written with each trial;
what must be drawn (images, histograms, the table) from time to time, within a hundredth of the
search's time, and at the end. The HParams dashboard reads the journal itself (`nas.report.trial_table`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from controller.pareto import hypervolume
from nas.network.cost_words import cost_label, si
from nas.network.scaling import MODES
from nas.report.diagram import draw_diagram
from nas.report.events import POINTS, PROJECTOR, Events
from nas.report.figures import choices_figure, pareto_figure, pixels
from nas.report.importance import counting
from nas.report.moments import Moments, epoch_moments
from nas.report.tags import WINDOW, describe, screens
from nas.report.trial_table import as_value, metric_names
from nas.runs.folder import Run, check_run_places
from nas.search.trial import Measurement, Record, Scored, Trial
from nas.studies.scaling import BASELINE, StudyPoint
from search_spaces.document import remove_matching
from search_spaces.mbconv import StagedSpace
from search_spaces.notation import WORDS_LEGEND, network_words

Hook = Callable[[threading.ExceptHookArgs], object]

_SHARE = 0.01
"""Part of the search's time that drawing may take."""
_TOP = 10


class TensorBoardWriter:
    """Writes a run's events; an observer.

    Args:
        run: whose; older event files of ours in its folder are replaced.
        records: the trials that have ended already.
    """

    def __init__(self, run: Run, records: Iterable[Record] = ()) -> None:
        self.run, folder = run, run.folder
        for old in (*folder.glob("events.out.tfevents.*"), folder / PROJECTOR):
            old.unlink(missing_ok=True)
        for points in (POINTS, "00000"):  # the second is what earlier versions wrote
            remove_matching(folder / points, r"(default/)?(tensors|metadata)\.tsv")
        self._results = run.results(())
        self._hook = _quiet_writers()
        self._writer = Events(folder, flush=10)
        self._moments = Moments()
        self._trained = not run.settings.evaluator.instant
        self._described: set[str] = set()
        self._writer.layout(screens(run.settings.controller.name, self._results.costs, self._trained))
        self._announce_trials()
        # a list of networks (a grid, a study) has no decisions to look at
        self._drawable = isinstance(run.space, StagedSpace)
        self._records: list[Record] = []
        self._recent: deque[Record] = deque(maxlen=WINDOW)
        for record in records:
            self.ended(record, replayed=True)
        self._began, self._spent = time.monotonic(), 0.0
        self._drawn_at = len(self._records)
        self._writer.flush()

    def _announce_trials(self) -> None:
        """Name the decisions and metrics, for the HParams dashboard to be there; its rows it reads itself."""
        domains = {d.name: [as_value(choice) for choice in d.choices] for d in self.run.space.decisions}
        self._writer.trial_columns(domains, metric_names(self._results.costs))

    def started(self, trial: Trial) -> None:
        """Nothing to draw yet."""

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """Epochs of single trials stay in the journal (see `write_trial_curves`)."""

    def ended(self, record: Record, replayed: bool = False) -> None:
        """Add a trial's points; draw, if it is time to."""
        self._records.append(record)
        step = len(self._records)
        self._writer.moment = self._moments.of(record)  # a resumed run's earlier trials keep theirs
        for tag, value in self._points(record).items():
            known = tag in self._described
            self._described.add(tag)
            self._writer.scalar(tag, value, step, "" if known else describe(tag))
        self._writer.moment = None
        # half as many again as last time, and only within the share of time that drawing may take
        if self._drawable and not replayed and step >= 10 and step >= 1.5 * self._drawn_at:
            allowed = _SHARE * (time.monotonic() - self._began)
            if self._spent + max(1.0, self._spent) <= allowed:
                self._draw()

    def _points(self, record: Record) -> dict[str, float]:
        results = self._results
        results.add(record)
        costs = dict.fromkeys(("macs", "params", *results.costs))
        points: dict[str, float] = {
            **{f"trial/{name}": record.costs[name] for name in costs},
            "failed/trials": results.failed,
        }
        if record.same_as is None and self._trained:
            points["trial/seconds"] = record.seconds
            self._recent.append(record)
            if record.started and len(self._recent) > 1:
                points["workers/at_once"] = self._concurrency()
        if isinstance(record, Scored):
            points |= {"trial/reward": record.reward, "trial/accuracy": record.accuracy}
        if results.best is not None:
            front = results.front
            points |= {
                "best/reward": results.best.reward,
                "best/accuracy": results.best.accuracy,
                **{f"best/{name}": results.best.costs[name] for name in results.costs},
                "front/hypervolume": self._hypervolume(front),
                "front/size": len(front),
            }
        scored = [r for r in self._records[-WINDOW:] if isinstance(r, Scored)]
        if scored:
            points["window/reward"] = sum(r.reward for r in scored) / len(scored)
            points["window/accuracy"] = sum(r.accuracy for r in scored) / len(scored)
        return points | record.controller

    def _concurrency(self) -> float:
        """Trials at once, on average over the last ones: their time together by the time they spanned."""
        ends = [r.started + r.seconds for r in self._recent]
        span = max(ends) - min(r.started for r in self._recent)
        return sum(r.seconds for r in self._recent) / span if span > 0 else 0.0

    def _hypervolume(self, front: Iterable[Scored]) -> float:
        """Of accuracy from 0 and the cost up to twice its target, as a share of that rectangle.

        Without a target, up to twice the cost of EfficientNet-B0.
        """
        inside = [(r.accuracy, 1 - self._results.ratio(r) / 2) for r in front]
        return float(hypervolume(inside, (0.0, 0.0)))

    def _draw(self) -> None:
        began = time.monotonic()
        step = self._drawn_at = len(self._records)
        add = self._writer.image
        figure = pareto_figure(self._results)
        add("front/picture", pixels(figure), step)
        decisions = self.run.space.decisions
        figure = choices_figure(self._records, decisions)
        add("shares/all", pixels(figure), step)
        if self._results.best is not None:
            best = draw_diagram(self.run.spec(self._results.best))
            add("network/best", pixels(best), step)
        latest = np.asarray([r.architecture for r in self._records[-200:]])
        counts = counting(self._records[-200:], decisions)
        for column, decision in enumerate(decisions):
            values = latest[counts[:, column], column]
            if len(decision.choices) > 1 and len(values):
                edges = np.arange(len(decision.choices) + 1) - 0.5
                self._writer.histogram(f"shares/{decision.name}", values, edges, step)
        self._writer.text("top", self._top(), step)
        self._spent += time.monotonic() - began

    def _top(self) -> str:
        costs = list(dict.fromkeys((*self._results.costs, "params")))
        names = ["trial", "reward", "accuracy", *map(cost_label, costs), "network"]
        lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        for r in self._results.ranked[:_TOP]:
            network = network_words(self.run.spec(r))
            values = " | ".join(si(r.costs[name]) for name in costs)
            lines.append(f"| {r.trial} | {r.reward:.4f} | {r.accuracy:.4f} | {values} | {network} |")
        return "\n".join([*lines, "", f"{WORDS_LEGEND}."])

    def _final(self) -> None:
        """What only the end is worth: the best model's graph, and all architectures as points."""
        if self._results.best is None:
            return
        spec = self.run.spec(self._results.best)
        self._writer.graph(spec)
        scored = self._results.scored
        rows = np.asarray([r.architecture for r in scored])
        decisions = self.run.space.decisions
        sizes, counts = [len(decision.choices) for decision in decisions], counting(scored, decisions)
        encoded = np.concatenate(
            [np.eye(n)[rows[:, i]] * counts[:, i, None] for i, n in enumerate(sizes) if n > 1], axis=1
        )
        labels = [
            {
                "trial": r.trial,
                "reward": f"{r.reward:.4f}",
                "accuracy": f"{r.accuracy:.4f}",
                **{cost_label(name): si(r.costs[name]) for name in self._results.costs},
            }
            for r in scored
        ]
        self._writer.points("architectures", encoded.astype(np.float32), labels)

    def close(self) -> None:
        """Draw what is new since the last time, and write what is buffered.

        Raises:
            OSError: the events can't be written; `ended` may raise it too.
        """
        try:
            if self._records and self._drawable:
                self._draw()
                self._final()
        finally:
            try:
                self._writer.close()
            finally:
                threading.excepthook = self._hook


def _quiet_writers() -> Hook:
    """Print no traceback where a writer's thread meets a full disk: it keeps the error for the next call.

    Returns:
        the hook for threads' errors as it was, to be put back.
    """
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.exc_value, OSError) or type(args.thread).__name__ != "_AsyncWriterThread":
            before(args)

    threading.excepthook = hook
    return before


_TAGS = {
    "accuracy": "held_out/accuracy",
    "top5": "held_out/top5",
    "held_out_loss": "held_out/loss",
    "held_out_images": "held_out/images",
    "smallest_accuracy": "held_out/smallest_accuracy",
    "smallest_loss": "held_out/smallest_loss",
    "test_accuracy": "test/accuracy",
    "test_top5": "test/top5",
    "test_images": "test/images",
    "unreadable": "data/unreadable",
}
"""Curves of a training by the split that they are of, where that isn't the training one."""


def _tags(row: Measurement) -> dict[str, float]:
    """A training's measurements by what their curves are called."""
    return {_TAGS.get(name, f"train/{name}"): value for name, value in row.items() if name != "epoch"}


def write_trial_curves(folder: Path, records: Iterable[Record]) -> Path:
    """Curves of single trials, by epoch, on demand: a TensorBoard run for each below `curves/`.

    Returns:
        The folder to open.
    """
    place = folder / "curves"
    check_run_places(folder)
    remove_matching(place, r"trial_\d+/events\.out\.tfevents\..*")
    for record in records:
        writer = Events(place / f"trial_{record.trial:06d}")
        for row, writer.moment in zip(record.measurements, epoch_moments(record), strict=True):
            # a benchmark's answer is of no training
            trained = "held_out_loss" in row
            named = _tags(row) if trained else {f"epoch/{k}": v for k, v in row.items() if k != "epoch"}
            for name, value in named.items():
                writer.scalar(name, value, int(row["epoch"]))
        writer.close()
    return place


class TrainingCurves:
    """The event file of a full training; a resumed one writes its curves anew, without a gap.

    Args:
        folder: of the training.
        rows: the measurements of the epochs so far.
        times: when each was measured, Unix time; of those of an earlier version none is known.
    """

    def __init__(self, folder: Path, rows: Sequence[Measurement], times: Sequence[float] = ()) -> None:
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._hook = _quiet_writers()
        self._writer = Events(folder)
        for row, self._writer.moment in zip_longest(rows, times):
            self.add(row)
        self._writer.moment = None

    def add(self, row: Measurement) -> None:
        """The measurements of an epoch; raises OSError if the events can't be written."""
        for name, value in _tags(row).items():
            self._writer.scalar(name, value, int(row["epoch"]))
        self._writer.flush()

    def tested(self, test: Measurement, epoch: float) -> None:
        """The scores on the test split of the checkpoint of an epoch; OSError as `add`."""
        for name, value in test.items():
            self._writer.scalar(f"test/{name}", value, int(epoch))

    def close(self) -> None:
        """End the file; OSError as `add`."""
        threading.excepthook = self._hook
        self._writer.close()


def write_study_events(folder: Path, points: Iterable[StudyPoint]) -> None:
    """A scaling study's curves: a run for each way, accuracy by thousands of MACs."""
    points = list(points)
    start = [p for p in points if p.mode == BASELINE]
    for mode in MODES:
        place = folder / "study" / mode
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        writer = Events(place)
        for point in (*start, *(p for p in points if p.mode == mode)):
            writer.scalar("study/accuracy", point.accuracy, point.macs // 1000)
        writer.close()
