"""A search as a Ray job: the working tree travels, the search runs on the cluster, outputs come back."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import ray
from ray.job_submission import JobStatus, JobSubmissionClient

import controller
import nas
import search_spaces
from nas.launch.outputs import MAX_UNPACKED, file_name, unpack
from nas.launch.request import Request
from nas.search.cluster import use_token
from search_spaces.errors import InputError

# what nobody wants on a cluster; .gitignore files count as well (Ray reads them)
EXCLUDES = (".git", ".venv", "venv", "runs", "__pycache__", "*.pt", "*.egg-info", ".*_cache")


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


class Cluster:
    """A cluster's job server.

    Args:
        address: of its dashboard, `http://host:8265`.

    Raises:
        InputError: there is none.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        use_token()
        try:
            self.client = JobSubmissionClient(address)
        except (ConnectionError, RuntimeError, ValueError) as error:
            cause = str(error).strip().splitlines()[0]
            raise InputError(f"address {address!r}: no Ray job server there: {cause}") from None

    def submit(self, job: Job) -> str:
        """Hand it in; returns its id. Raises `InputError` if it is refused."""
        try:
            submitted: str = self.client.submit_job(**job.to_document())
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(f"the cluster refused the job: {str(error).strip().splitlines()[-1]}") from None
        return submitted

    def follow(self, job: str) -> Iterator[str]:
        """What it prints, piece by piece, until it has ended."""
        seen = 0
        while True:
            ended = self.client.get_job_status(job) in _ENDED
            text = self.client.get_job_logs(job)
            yield text[seen:]
            seen = len(text)
            if ended:
                return
            time.sleep(1)

    def failed(self, job: str) -> str | None:
        """Why it failed; None if it succeeded."""
        info = self.client.get_job_info(job)
        return None if info.status == JobStatus.SUCCEEDED else info.message or str(info.status)

    def fetch(self, job: str, folder: Path) -> None:
        """Bring its outputs into `folder`; raises `InputError` if there are none."""
        node = self.client.get_job_info(job).driver_node_id
        # `ray.util.state.get_log` is the same request, but needs the cluster's own port for the address
        where = urlencode({"node_id": node, "filename": file_name(job), "lines": -1})
        answer = self.client._do_request("GET", f"/api/v0/logs/file?{where}", stream=True)
        if answer.status_code != 200:
            raise InputError(f"job {job}: it left no outputs: {answer.text.strip()[:200]}")
        data = bytearray()
        for piece in answer.iter_content(1 << 20):
            data += piece
            if len(data) > MAX_UNPACKED:
                raise InputError(f"job {job}: its outputs are larger than {MAX_UNPACKED} bytes")
        unpack(bytes(data), folder)


_ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


def log_folder() -> Path:
    """Where the Ray of this node keeps its logs, whose files the dashboard serves."""
    ray.init(address="auto", log_to_driver=False)
    return Path(ray._private.worker._global_node.get_logs_dir_path())
