"""Where a search runs, and how wide: no part of what it searches."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from nas.runs.checked import check_types
from search_spaces.document import check_fields, check_schema, read_document, write_document
from search_spaces.errors import InputError, unknown

PLACEMENT = "placement.yaml"
TRACKERS = ("wandb", "mlflow")
"""Experiment trackers that a search can write its trials to."""
TRACKED = "tracked.jsonl"
"""In a run's folder: a line for each trial that a tracker has."""
_NO_TRACKER = "none"
_OPTIONS = {"cpus": "cpus-per-trial", "gpus": "gpus-per-trial", "timeout": "trial-timeout"}
"""Of the command line, where they have another name."""
_KEPT = ("cpus", "gpus", "log", "workers")
_MOST_WORKERS = 256


@dataclass(frozen=True)
class Placement:
    """Where a search runs. Of it the run folder keeps what a trial gets, for a resumed run.

    Attributes:
        concurrent: trials at once; 0: as many as there is room for.
        cpus: for each trial; None: as the run had it, at first 1.
        gpus: for each trial; None: as the run had it, at first as large a part as fits, where there are any.
        workers: processes that decode image files for each trial, a CPU each beside its own; None: as the run
            had it, at first as many as find a free CPU.
        address: of a Ray cluster; None: RAY_ADDRESS, or this machine.
        retries: how often a trial starts again when its worker dies.
        download: fetch a missing data set.
        autoscaling: trials beyond the present room wait for nodes that Ray's autoscaler adds.
        timeout: seconds that a trial may take on a worker that has started.
        storage: folder or URL that keeps the run's files and checkpoints beside the run folder.
        dashboard: start Ray's dashboard, where Ray is started on this machine.
        log: of `TRACKERS`, which are told of ended trials; None: as the run had it, at first none.
        stay: leave Ray running at the end, for another search.

    Raises:
        InputError: a value of another type or out of its range, or no such tracker.
    """

    concurrent: int = 0
    cpus: float | None = None
    gpus: float | None = None
    workers: int | None = None
    address: str | None = None
    retries: int = 2
    download: bool = False
    autoscaling: bool = False
    timeout: float | None = None
    storage: str | None = None
    dashboard: bool = False
    log: list[str] | None = None
    stay: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.workers is not None:
            check_decoders(self.workers)
        for name in self.log or ():
            if name not in TRACKERS:
                raise unknown("log", name, [*TRACKERS, _NO_TRACKER])

    def kept_in(self, folder: Path) -> Placement:
        """With what a run in `folder` keeps of its last placement, where this one doesn't say."""
        # of a run that ended before it was kept
        kept: dict[str, Any] = {"cpus": 1, "gpus": None, "log": [], "workers": None}
        if (folder / PLACEMENT).is_file():
            document = read_document(folder / PLACEMENT)
            check_schema(document, str(folder / PLACEMENT), 1)
            kept |= check_fields(document, str(folder / PLACEMENT), ("schema",), _KEPT)
            del kept["schema"]
        else:  # the first version kept it among the settings
            path = folder / "search.yaml"
            document = read_document(path) if path.is_file() else {}
            kept |= {name: document.get(f"{name}_per_trial", kept[name]) for name in ("cpus", "gpus")}
        said = {name: getattr(self, name) for name in _KEPT if getattr(self, name) is not None}
        return replace(self, **(kept | said))

    def said(self) -> dict[str, object]:
        """What was said of where trials run, by its option's name; not where the run's files go."""
        usual = Placement()
        names = [field.name for field in fields(self) if field.name not in ("storage", "log", "stay")]
        differ = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(usual, name)}
        return {_OPTIONS.get(name, name): value for name, value in differ.items()}

    def keep(self, folder: Path) -> None:
        """Write what a resumed run should have."""
        kept = {name: getattr(self, name) for name in _KEPT}
        for name in ("log", "workers"):  # none: as versions wrote it that had no such thing
            if kept[name] in (None, []):
                del kept[name]
        write_document(folder / PLACEMENT, {"schema": 1} | kept)


def check_decoders(workers: int) -> None:
    """Raise `InputError` for a number of decoding processes that can't be meant."""
    if not 0 <= workers <= _MOST_WORKERS:
        raise InputError(f"workers {workers}: expected an integer from 0 to {_MOST_WORKERS}")


def parse_trackers(text: str | None) -> list[str] | None:
    """`wandb,mlflow` as names, for `Placement`; `none`: no tracker; None: nothing is said."""
    if text is None:
        return None
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    return [] if names == [_NO_TRACKER] else names
