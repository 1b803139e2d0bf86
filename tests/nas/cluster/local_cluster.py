"""A Ray cluster of several raylets on this machine, made by launch/local-cluster. Not a test file."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from nas.search.journal import TRIALS

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "launch" / "local-cluster"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class LocalCluster:
    """A context; the nodes have 2 CPUs and 2 logical GPUs unless told otherwise."""

    def __init__(self, folder, nodes=3, cpus=2, gpus=2):
        self.port, self.dashboard_port = free_port(), free_port()
        self.address = f"127.0.0.2:{self.port}"
        self.dashboard = f"http://127.0.0.1:{self.dashboard_port}"
        self.folder = Path(folder)
        self.environment = os.environ | {
            "LOCAL_CLUSTER_DIR": str(folder),
            "RAY": str(Path(sys.executable).parent / "ray"),
        }
        self.start = ["start", "--nodes", nodes, "--cpus", cpus, "--gpus", gpus]
        self.start += ["--port", self.port, "--dashboard-port", self.dashboard_port]

    def call(self, *arguments):
        command = [str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def __enter__(self):
        self.call(*self.start)
        return self

    def __exit__(self, *error):
        self.call("stop")

    def nodes(self):
        """Numbers of the nodes that are up."""
        return sorted(int(path.stem[4:]) for path in self.folder.glob("node*.pid"))

    def kill_node(self, number):
        self.call("kill", number)

    def add_node(self):
        self.call("add")

    def workers(self):
        """Processes of this cluster that evaluate trials."""
        sessions = {int(path.read_text()) for path in self.folder.glob("*.pid")}
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                pid, name = int(path.parent.name), path.read_bytes()
                if name.startswith(b"ray::EvaluatorTrainable") and os.getsid(pid) in sessions:
                    found.append(pid)
            except (ProcessLookupError, FileNotFoundError):
                pass
        return sorted(found)

    def kill_worker(self, rng):
        """Kill one of them; its id, None if there is none."""
        workers = self.workers()
        if not workers:
            return None
        killed = rng.choice(workers)
        os.kill(killed, signal.SIGKILL)
        return killed


def drive(address, folder, **options):
    """Start tests.nas.cluster.driver; what it prints goes into a file, so that a pipe never fills."""
    command = [sys.executable, "-m", "tests.nas.cluster.driver", address, str(folder), json.dumps(options)]
    with Path(f"{folder}.out").open("w") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    process.out = Path(f"{folder}.out")
    return process


def ended(folder):
    path = Path(folder) / TRIALS
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def finish(process, seconds=240):
    """Its output, when it has come to its end."""
    process.wait(timeout=seconds)
    out = process.out.read_text()
    assert process.returncode == 0, out[-3000:]
    return out


def repeated(folder):
    """Epochs that were begun more than once, in all trials together.

    A trial goes on from its checkpoint, so the epochs begun never fall back behind one that was kept.
    """
    count = 0
    for path in (Path(folder) / "notes").iterdir():
        epochs = [int(line) for line in path.read_text().split()]
        assert epochs == sorted(epochs), f"{path.name}: {epochs}"
        count += len(epochs) - len(set(epochs))
    return count


def lost_attempts(folder):
    """How often a worker was lost with its trial."""
    return sum(path.read_text().count(" lost: ") for path in (Path(folder) / "logs").iterdir())


def losses(folder):
    """The attempts that were lost: (what each was booked as, its worker's process id or None)."""
    found = []
    for path in (Path(folder) / "logs").glob("trial_*.log"):
        on = {}
        for line in path.read_text().splitlines():
            if match := re.search(r" attempt (\d+) on [^:]*:(\d+), ", line):
                on[match[1]] = int(match[2])
            if match := re.search(r" attempt (\d+) lost: (.*); starting it again", line):
                found.append((match[2], on.get(match[1])))
    return found


def chaos(cluster, process, rng: random.Random, say=print):
    """Kill and add until the driver has ended; returns what was done, and which workers were killed."""
    done, killed = {"worker": 0, "node": 0, "add": 0}, set()
    while process.poll() is None:
        time.sleep(rng.uniform(0.2, 1.0))
        nodes = cluster.nodes()
        action = rng.choice(["worker"] * 6 + ["node", "add"])
        if action == "node" and done["node"] > done["worker"]:
            action = "worker"  # on a busy machine hardly one has started before its node is lost
        if action == "worker":
            worker = cluster.kill_worker(rng)
            if worker is None:
                continue
            killed.add(worker)
        if action == "node":
            if len(nodes) < 2:
                continue
            cluster.kill_node(rng.choice(nodes))
        if action == "add":
            if len(nodes) > 3:
                continue
            cluster.add_node()
        done[action] += 1
    say(f"done to it: {done}")
    return done, killed
