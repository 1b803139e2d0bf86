"""What is to be launched: a `nas search` or `nas resume`, and the machines it wants."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from search_spaces.errors import InputError


@dataclass(frozen=True)
class Request:
    """A search on its way to a cluster.

    Attributes:
        command: `search` or `resume` and their arguments, without `--address`: each target has its own.
        folder: the run folder that it writes.
        name: of the job; letters, digits and dashes.
        workers: machines with GPUs, at most; a Kubernetes cluster starts with none.
        gpus: of each of them.
        cpus: of each of them.
        memory: of each, GiB.
        image: container with this package.
        ray_version: that the image has; tokens need 2.52.
        hours: after which the batch system ends the job.
        partition: of the batch system, or several with commas between them; None: its default.
        environment: variables of the job.

    Raises:
        InputError: a value breaks its rule.
    """

    command: tuple[str, ...]
    folder: str
    name: str = "nas"
    workers: int = 4
    gpus: int = 1
    cpus: int = 8
    memory: int = 32
    image: str = "baseline-nas:latest"
    ray_version: str = "2.52.0"
    hours: float = 24
    partition: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,46}[a-z0-9])?", self.name):
            raise InputError(
                f"name {self.name!r}: expected up to 48 lower-case letters, digits and dashes, a letter first"
            )
        if self.partition is not None and not re.fullmatch(r"\w[\w.+-]*(,\w[\w.+-]*)*", self.partition, re.A):
            raise InputError(
                f"partition {self.partition!r}: expected names of letters, digits and _.+-, or a list a,b"
            )
        for key in self.environment:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
                raise InputError(f"env {key!r}: expected a name of letters, digits and _, no digit first")
        if not re.fullmatch(r"[\w.:/@-]{1,500}", self.image, re.A) or self.image.startswith("-"):
            raise InputError(f"image {self.image!r}: expected the name of a container image")
        for label, value, low in (
            ("workers", self.workers, 1),
            ("gpus", self.gpus, 0),
            ("cpus", self.cpus, 1),
            ("memory", self.memory, 1),
        ):
            if not low <= value <= 100_000:
                raise InputError(f"{label} {value}: expected at least {low}")
        if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", self.ray_version):
            raise InputError(f"ray-version {self.ray_version!r}: expected one such as 2.52.0")
        if not 0 < self.hours <= 10_000:
            raise InputError(f"hours {self.hours:g}: expected more than 0")
