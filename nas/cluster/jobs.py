"""Ray's job server: submitting a job, following it, and fetching what it left on its node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import ray
from ray.job_submission import JobStatus, JobSubmissionClient

from nas.cluster.nodes import use_token
from search_spaces.errors import InputError


class JobServer:
    """What takes jobs on a cluster.

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

    def submit(self, job: dict[str, Any]) -> str:
        """Hand in the arguments of `submit_job`; returns its id. Raises `InputError` if it is refused."""
        try:
            submitted: str = self.client.submit_job(**job)
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

    def fetch(self, job: str, file: str, limit: int) -> bytes:
        """A file of the log folder of the node where the job ran.

        Raises:
            InputError: there is none, or it has more than `limit` bytes.
        """
        node = self.client.get_job_info(job).driver_node_id
        # `ray.util.state.get_log` is the same request, but needs the cluster's own port for the address
        where = urlencode({"node_id": node, "filename": file, "lines": -1})
        answer = self.client._do_request("GET", f"/api/v0/logs/file?{where}", stream=True)
        if answer.status_code != 200:
            raise InputError(f"job {job}: it left no outputs: {answer.text.strip()[:200]}")
        data = bytearray()
        for piece in answer.iter_content(1 << 20):
            data += piece
            if len(data) > limit:
                raise InputError(f"job {job}: its outputs are larger than {limit} bytes")
        return bytes(data)


_ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


def log_folder() -> Path:
    """Where the Ray of this node keeps its logs, whose files the dashboard serves."""
    ray.init(address="auto", log_to_driver=False)
    return Path(ray._private.worker._global_node.get_logs_dir_path())
