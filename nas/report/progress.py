"""The live view of a search: a table that redraws on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.network.cost_words import cost_label, costs_text, si
from nas.report.remarks import suspicious
from nas.search.results import Results
from nas.search.reward import Reward
from nas.search.trial import Measurement, Record, Scored, Trial
from search_spaces.quoting import printable

_BARS = "▁▂▃▄▅▆▇█"


class SearchProgress:
    """Shows trials done, running and failed, the best so far over time, and the time left.

    Args:
        console: where to; a line per ended trial if it is no terminal.
        trials: how many the search will have.
        epochs: of a trial.
        records: trials that ended in an earlier part of the run.
        reward: of the search, whose targeted costs are shown; None: MACs.
    """

    def __init__(
        self,
        console: Console,
        trials: int,
        epochs: int,
        records: list[Record],
        reward: Reward | None = None,
    ) -> None:
        self.console, self.trials, self.epochs = console, trials, epochs
        self.ended_count = 0
        self.results = Results((), reward)
        self.history: list[float] = []
        self.running: dict[int, tuple[Trial, Measurement]] = {}
        for record in records:
            self._count(record)
        self._before = self.ended_count
        self._began = time.monotonic()
        self._drawn = 0.0
        self._warned = False
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> SearchProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def started(self, trial: Trial) -> None:
        """A trial begins."""
        self.running[trial.id] = (trial, {})

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """A trial has done an epoch."""
        self.running[trial.id] = (trial, measurement)
        word = suspicious(measurement.get("epoch", 0), measurement.get("accuracy", 0))
        if word and not self._warned:
            self._warned = True
            self.console.print(f"trial {trial.id}: {word}", style="yellow", highlight=False, soft_wrap=True)

    def ended(self, record: Record) -> None:
        """A trial has ended."""
        self.running.pop(record.trial, None)
        self._count(record)
        if not self._live:
            self.console.print(self._line(record), highlight=False, soft_wrap=True)

    def tick(self) -> None:
        """Redraw, at most four times a second."""
        if self._live and time.monotonic() - self._drawn > 0.25:
            self._drawn = time.monotonic()
            self._live.update(self.render(), refresh=True)

    def seconds_left(self) -> float | None:
        """An estimate from the pace of this part of the run; None before its first trial has ended."""
        done = self.ended_count - self._before
        if not done:
            return None
        return (time.monotonic() - self._began) / done * max(0, self.trials - self.ended_count)

    def render(self) -> RenderableType:
        """The view as it is now."""
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=self.trials, completed=self.ended_count, width=24),
            f"{self.ended_count}/{self.trials} trials, {len(self.running)} running, "
            f"{self.results.failed} failed",
        )
        left = self.seconds_left()
        elapsed = _clock(time.monotonic() - self._began)
        remaining = "" if left is None else f", about {_clock(left)} left"
        parts: list[RenderableType] = [head, Text(f"{elapsed} so far{remaining}")]
        if best := self.results.best:
            parts.append(
                Text(
                    f"best: reward {best.reward:.4f}, accuracy {best.accuracy:.4f}, "
                    f"{costs_text(best.costs, self.results.costs)} (trial {best.trial})"
                )
            )
            parts.append(Text(f"best reward so far: {self._sparkline()}"))
        table = Table(box=None, pad_edge=False)
        costs = self.results.costs
        for name in ("running", *map(cost_label, costs), "epoch", "accuracy", "images/s"):
            table.add_column(name, justify="left" if name == "running" else "right", no_wrap=True)
        shown = list(self.running.values())[:8]
        for trial, row in shown:
            accuracy = f"{row['accuracy']:.4f}" if row else ""
            epoch = f"{row.get('epoch', 0):g}/{self.epochs}"
            speed = f"{row['images_per_second']:,.0f}" if "images_per_second" in row else ""
            shown_costs = (si(trial.costs[name]) for name in costs)
            table.add_row(f"trial {trial.id}", *shown_costs, epoch, accuracy, speed)
        if len(self.running) > len(shown):
            table.add_row(f"and {len(self.running) - len(shown)} more")
        return Group(*parts, table)

    def _count(self, record: Record) -> None:
        self.ended_count += 1
        self.results.add(record)
        if self.results.best is not None:
            self.history.append(self.results.best.reward)

    def _sparkline(self, width: int = 40) -> str:
        values = self.history
        if len(values) > width:
            values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
        low, high = values[0], values[-1]
        span = (high - low) or 1
        bars = "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)
        return f"{low:.4f} {bars} {high:.4f}"

    def _line(self, record: Record) -> str:
        head = f"[{self.ended_count}/{self.trials}] trial {record.trial} {record.state}"
        if not isinstance(record, Scored):
            return f"{head}: {printable(str(record.reason))}"
        star = " *" if record is self.results.best else ""
        same = "" if record.same_as is None else f" (same network as trial {record.same_as})"
        return (
            f"{head}: reward {record.reward:.4f}, accuracy {record.accuracy:.4f}, "
            f"{costs_text(record.costs, self.results.costs)}, {record.seconds:.1f} s{same}{star}"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours / 24:,.0f} days"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
