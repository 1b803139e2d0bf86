"""How much memory this machine, or the container that this process runs in, has left."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that could be used without swapping: of the machine, or of its container's limit.

    Where the system doesn't say (it is no Linux), half of all its memory.
    """
    found = [value for value in (_machine(), _container()) if value is not None]
    return min(found) if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _machine() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _container() -> int | None:
    """Of a control group (version 2): its limit less what can't be given back at once."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())  # "max" where there is none
        used = int((_CGROUP / "memory.current").read_text())
        held = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(held["inactive_file"]))
    except (OSError, ValueError, KeyError):
        return None
