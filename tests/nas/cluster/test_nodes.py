"""A search on an existing cluster: `ray start` with logical GPUs, joined by --address."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

RAY = str(Path(sys.executable).parent / "ray")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def address(tmp_path):
    """A cluster of its own with 2 CPUs and 2 logical GPUs."""
    port = free_port()
    command = [RAY, "start", "--head", "--port", str(port), "--num-cpus", "2", "--num-gpus", "2"]
    command += ["--include-dashboard=false", "--disable-usage-stats", "--block"]
    head = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    for line in head.stdout:
        if "Ray runtime started" in line:
            break
    else:
        pytest.fail("ray start ended")
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.communicate(timeout=60)


@pytest.mark.timeout(240)
def test_search_on_a_cluster_with_two_logical_gpus(address, tmp_path):
    """By default trials ask for them; of logical ones no memory is known, so for a whole one each."""
    command = [sys.executable, "-m", "nas", "search", "--address", address]
    command += ["--data", "digits", "--epochs", "1", "--subset", "0.3", "--trials", "2", "--json"]

    def run(*more):
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        return subprocess.run([*command, *more], capture_output=True, text=True, env=environment, timeout=120)

    done = run("--concurrent", "2", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["trials"] == 2
    assert "2 at once on 1 GPU each" in done.stderr
    assert "their memory is not known" in done.stderr
    logs = "".join(path.read_text() for path in (tmp_path / "run" / "logs").rglob("*") if path.is_file())
    assert ", GPU 0" in logs
    assert ", GPU 1" in logs
    assert "gpus: null" in (tmp_path / "run" / "placement.yaml").read_text()  # open for another cluster
