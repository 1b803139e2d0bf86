"""A search as a Ray job: the working tree travels, the search runs on the cluster, outputs come back.

`nas.cluster.jobs` submits it.
"""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import controller
import nas
import search_spaces
from nas.launch.request import Request
from search_spaces.errors import InputError
from search_spaces.targets import same_file

# what nobody wants on a cluster; .gitignore files count as well (Ray reads them). Ray applies the patterns to
# each package that travels too, as seen from its own folder: none may leave out a part of nas/runs
EXCLUDES = (
    ".git", ".venv", "venv", "/runs/*", "!/runs/*.py", "__pycache__", "*.pt", "*.egg-info", ".*_cache",
)  # fmt: skip


def check_travels(option: str, name: str | None, working_dir: str | None, instead: str = "") -> None:
    """Raise `InputError` for a file that a job is given by a relative path and that is only here.

    An absolute path may name the same file on the cluster, which isn't known here.

    Args:
        option: that names it.
        name: the file or folder; what isn't there is none.
        working_dir: folder that travels along; None: none.
        instead: what to do about one that is left out of that folder.
    """
    if not name or os.path.isabs(name) or name.startswith("~") or not os.path.exists(name):
        return
    where = f"{option} {name!r}"
    if working_dir is None:
        raise InputError(f"{where}: with --working-dir '' no file travels with a job; leave that out")
    there, root = os.path.join(working_dir, name), Path(os.path.abspath(working_dir))
    place = Path(os.path.abspath(there))
    if not place.is_relative_to(root) or not same_file(there, name):
        raise InputError(
            f"{where}: a job finds what lies in {working_dir!r}, by the path from there (--working-dir)"
        )
    if (pattern := _left_out(place.relative_to(root).parts)) is not None:
        raise InputError(f"{where}: {pattern} does not travel with a job; {instead or 'copy it elsewhere'}")


def _left_out(parts: tuple[str, ...]) -> str | None:
    """By which of `EXCLUDES` a path in the working folder stays here, if by any."""
    found = None
    for pattern in EXCLUDES:
        text = pattern.lstrip("!/")
        heads = ["/".join(parts[: text.count("/") + 1])] if "/" in pattern else parts
        if any(fnmatchcase(head, text) for head in heads):
            found = None if pattern.startswith("!") else pattern.lstrip("/")
    return found


@dataclass(frozen=True)
class Job:
    """What is submitted.

    Attributes:
        entrypoint: the shell command.
        runtime_env: Ray's: the working tree, this package, variables.
        submission_id: of the job.
        folder: the run folder, as the command names it.
    """

    entrypoint: str
    runtime_env: dict[str, Any]
    submission_id: str
    folder: str

    def to_document(self) -> dict[str, Any]:
        """The arguments of `JobSubmissionClient.submit_job`."""
        return {
            "entrypoint": self.entrypoint,
            "submission_id": self.submission_id,
            "runtime_env": self.runtime_env,
        }


def make_job(request: Request, working_dir: str | None, hand_back: bool = True) -> Job:
    """The job of a request.

    Args:
        request: what to run.
        working_dir: folder that travels along; None: nothing but this package.
        hand_back: whether the outputs come back through the dashboard.

    Raises:
        InputError: there is no such folder.
    """
    if working_dir is not None and not Path(working_dir).is_dir():
        raise InputError(f"working-dir {working_dir!r}: no such folder")
    submission = f"{request.name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"
    entrypoint = shlex.join(["python", "-m", "nas", *request.command, "--address", "auto"])
    if hand_back:
        back = shlex.join(["python", "-m", "nas.launch.outputs", request.folder, submission])
        entrypoint = f"{entrypoint}; code=$?; {back}; exit $code"
    # the cluster needs our dependencies only: the package itself travels as it is here
    packages = [str(Path(package.__file__ or "").parent) for package in (nas, controller, search_spaces)]
    environment: dict[str, Any] = {"py_modules": packages, "env_vars": {"PYTHONUNBUFFERED": "1"}}
    environment["env_vars"] |= request.environment
    if working_dir is not None:
        environment["working_dir"] = str(Path(working_dir).resolve())
        environment["excludes"] = list(EXCLUDES)
    return Job(entrypoint, environment, submission, request.folder)
