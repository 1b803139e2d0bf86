"""What is to be launched: a `nas search` or `nas resume`, and the machines it wants."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field

from search_spaces.errors import InputError, unknown

LAUNCHED = ("search", "resume")


@dataclass(frozen=True)
class Request:
    """A search on its way to a cluster.

    Attributes:
        command: `search` or `resume` and their arguments, complete: with `--address` and `--out`.
        name: of the job; letters, digits and dashes.
        workers: machines with GPUs, at most; a Kubernetes cluster starts with none.
        gpus: of each of them.
        cpus: of each of them.
        memory: of each, GiB.
        image: container with this package.
        hours: after which the batch system ends the job.
        partition: of the batch system; None: its default.

    Raises:
        InputError: a value breaks its rule.
    """

    command: tuple[str, ...]
    name: str = "nas"
    workers: int = 4
    gpus: int = 1
    cpus: int = 8
    memory: int = 32
    image: str = "baseline-nas:latest"
    hours: float = 24
    partition: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,46}[a-z0-9])?", self.name):
            raise InputError(
                f"name {self.name!r}: expected up to 48 lower-case letters, digits and dashes, a letter first"
            )
        for label, value, low in (
            ("workers", self.workers, 1),
            ("gpus", self.gpus, 0),
            ("cpus", self.cpus, 1),
            ("memory", self.memory, 1),
        ):
            if not low <= value <= 100_000:
                raise InputError(f"{label} {value}: expected at least {low}")
        if not 0 < self.hours <= 10_000:
            raise InputError(f"hours {self.hours:g}: expected more than 0")

    @property
    def shell(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(["nas", *self.command])

    @property
    def folder(self) -> str:
        """The run folder that it writes."""
        return value_of(self.command, "--out") or self.command[1]


def complete(command: tuple[str, ...]) -> tuple[str, ...]:
    """A command with what it needs on a cluster: its address, and a run folder whose name is known.

    Raises:
        InputError: it is no search, or names another cluster.
    """
    if not command or command[0] not in LAUNCHED:
        given = command[0] if command else ""
        raise unknown("command", given, LAUNCHED)
    address = value_of(command, "--address")
    if address not in (None, "auto"):
        raise InputError(f"address {address!r}: on the cluster it is always `auto`; leave it out")
    if address is None:
        command = (*command, "--address", "auto")
    if command[0] == "search" and value_of(command, "--out") is None:
        command = (*command, "--out", f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
    return command


def value_of(command: tuple[str, ...], option: str) -> str | None:
    """The value of an option in a command line; None if it isn't there."""
    for index, word in enumerate(command):
        if word == option and index + 1 < len(command):
            return command[index + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None
