"""What a search is doing right now, in a file of its run folder: any process may read it.

The driver writes `running.json` about once a second; the journal holds what has ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.document import MAX_BYTES, write_atomically
from search_spaces.errors import InputError
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


def read_status(folder: Path) -> Status | None:
    """The last state that the driver wrote; None if it wrote none.

    Raises:
        InputError: the file is none of ours.
    """
    path = folder / RUNNING
    try:
        document = json.loads(read_regular(path, MAX_BYTES, "status of a run"))
        running = [RunningTrial(**trial) for trial in document.pop("running")]
        return Status(**document, running=running)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: unreadable: {error}") from None


def is_driven(folder: Path) -> bool:
    """Whether a process of this machine is running the search."""
    try:
        handle = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
