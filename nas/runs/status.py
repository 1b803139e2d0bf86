"""What a search is doing right now, in a file of its run folder: any process may read it.

The driver writes `running.json` about once a second; the journal holds what has ended.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from dataclasses import fields as _parts
from pathlib import Path
from typing import Any

from nas.runs.checked import check_types
from nas.search.journal_file import LOCK
from search_spaces.document import MAX_BYTES, check_fields, write_atomically
from search_spaces.errors import InputError, shown
from search_spaces.parsing import parse_json
from search_spaces.reading import read_regular

RUNNING = "running.json"


@dataclass
class RunningTrial:
    """A trial under evaluation.

    Attributes:
        trial: its id.
        macs: of the network.
        epoch: done so far; 0: none.
        epochs: of a full evaluation.
        accuracy: of the last epoch, a fraction.
        images_per_second: of the last epoch.
        attempt: 1, and 1 more for each worker that was lost.
        since: Unix time at which this attempt began; 0: it waits for room.
        node: id of Ray's node.
        worker: `host:pid`.
        gpus: ids of its GPUs.
        costs: of the network, by name.
    """

    trial: int
    macs: float
    epochs: int
    epoch: int = 0
    accuracy: float | None = None
    images_per_second: float | None = None
    attempt: int = 1
    since: float = 0
    node: str | None = None
    worker: str | None = None
    gpus: str = ""
    costs: dict[str, float] = field(default_factory=dict)


@dataclass
class Status:
    """A search at a moment.

    Attributes:
        at: Unix time.
        room: trials that the cluster can run at once, as the search sees it.
        running: the trials under evaluation.
        nodes: Ray's nodes: `id`, `address`, `host`, `resources`.
        dashboard: address of Ray's dashboard.
    """

    at: float = 0
    room: int = 0
    running: list[RunningTrial] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    dashboard: str | None = None

    def write(self, folder: Path) -> None:
        """Replace the run's `running.json`."""
        write_atomically(folder / RUNNING, json.dumps(asdict(self) | {"at": time.time()}))


@dataclass
class _Node:
    """What is needed of a node."""

    id: str
    address: str
    host: str
    resources: dict[str, float]


def read_status(folder: Path) -> Status | None:
    """The last state that the driver wrote; None if it wrote none.

    Raises:
        InputError: the file is none of ours.
    """
    path = folder / RUNNING
    try:
        document = parse_json(read_regular(path, MAX_BYTES, "status of a run"), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    fields = check_fields(document, str(path), ("running",), [part.name for part in _parts(Status)])
    running = fields["running"]
    if not isinstance(running, list):
        raise InputError(f"{path}: running {shown(running)}: expected a list")
    names = [part.name for part in _parts(RunningTrial)]
    trials = []
    for index, row in enumerate(running):
        known = check_fields(row, f"{path}: running[{index}]", names[:3], names[3:])
        # a diverging training's last epoch
        odd = [n for n, v in known.items() if isinstance(v, float) and not math.isfinite(v)]
        trials.append(RunningTrial(**known | dict.fromkeys(odd)))
    status = Status(**fields | {"running": trials})
    try:
        for part in (*trials, status):
            check_types(part)
        for node in status.nodes:
            check_types(_Node(*(node.get(part.name) for part in _parts(_Node))))  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return status


def is_driven(folder: Path) -> bool:
    """Whether a process of this machine is running the search."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_NONBLOCK)  # a stranger's may be a pipe
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
