"""Searches on a cluster of several raylets that lose workers, nodes, drivers and their head."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from nas.runs.mirror import fetch_run
from nas.runs.status import read_status
from nas.search.journal import TRIALS, read_records
from tests.nas.cluster.local_cluster import (
    LocalCluster,
    chaos,
    drive,
    ended,
    finish,
    losses,
    lost_attempts,
    repeated,
    wait_for,
)


def all_finished_once(folder, trials, epochs=4):
    lines = [json.loads(line) for line in (folder / TRIALS).read_text().splitlines()]
    assert sorted(line["trial"] for line in lines) == list(range(trials))
    assert {line["state"] for line in lines} == {"finished"}
    for line in lines:
        assert [row["epoch"] for row in line["measurements"]] == list(range(1, epochs + 1))


def nas(*arguments, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kwargs,
    )


FIGURES = {"ray_nas_trials_running", "ray_nas_room", "ray_nas_trials_ended", "ray_nas_best_reward"}


def served(nodes):
    """Names of the figures that the nodes serve for Prometheus."""
    names = set()
    for node in nodes:
        with contextlib.suppress(OSError), urllib.request.urlopen(node["metrics"], timeout=10) as answer:
            names |= {line.split(b"{")[0].decode() for line in answer.read().splitlines()}
    return names


def where(folder):
    """Ids (their beginnings) of the nodes that trials were on."""
    logs = [path.read_text() for path in (folder / "logs").iterdir()]
    return {
        line.split("node ")[1][:8] for log in logs for line in log.splitlines() if " attempt 1 on" in line
    }


@pytest.mark.slow
def test_a_node_is_lost_and_another_joins(tmp_path):
    """One search: a worker killed, a node lost with its trials, a node added, all seen from outside."""
    folder = tmp_path / "run"
    with LocalCluster(tmp_path / "cluster", nodes=2) as cluster:
        process = drive(cluster.address, folder, trials=120, gpus=1, arguments={"pause": 0.3})
        wait_for(lambda: ended(folder) >= 2, "the first trials")
        before = {node["id"][:8] for node in read_status(folder).nodes}
        wait_for(lambda: cluster.kill_worker(random.Random(0)), "a worker to kill", 20)

        shown = subprocess.run(
            [sys.executable, "-m", "nas", "status", str(folder), "--json"], capture_output=True, text=True
        )
        assert shown.returncode == 2  # a made-up search has no settings
        status = read_status(folder)
        assert status.room == 4
        assert len(status.nodes) == 3
        assert 0 < len(status.running) <= 4
        cluster.kill_node(1)
        cluster.add_node()
        wait_for(lambda: {n["id"][:8] for n in read_status(folder).nodes} - before, "the new node")
        nodes = read_status(folder).nodes
        # some seconds late, on the node of the driver
        wait_for(lambda: served(nodes) >= FIGURES, "the figures for Prometheus")
        (added,) = {node["id"][:8] for node in nodes} - before
        finish(process)
    all_finished_once(folder, 120)
    assert added in where(folder)
    assert 2 <= lost_attempts(folder) <= 6
    assert repeated(folder) <= lost_attempts(folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_chaos(tmp_path, seed):
    """200 trials while workers and nodes are killed and nodes added, at random."""
    rng, folder = random.Random(seed), tmp_path / "run"
    with LocalCluster(tmp_path / "cluster") as cluster:
        process = drive(cluster.address, folder, trials=200, gpus=1, seed=seed, arguments={"pause": 0.25})
        wait_for(lambda: ended(folder) > 3 or process.poll() is not None, "the first trials")
        done, killed = chaos(cluster, process, rng)
        finish(process)
    all_finished_once(folder, 200)
    assert done["worker"] >= 2
    assert done["node"] >= 2
    assert done["add"] >= 2
    lost = lost_attempts(folder)
    booked = losses(folder)
    print(f"booked as {Counter(reason for reason, _ in booked)}")
    died = [worker for reason, worker in booked if reason == "its worker process died"]
    assert len(died) <= done["worker"]  # what a node took with it is booked as the node's
    assert {worker for worker in died if worker is not None} <= killed
    assert "its node was lost" in {reason for reason, _ in booked}
    print(f"{lost} attempts lost, {repeated(folder)} epochs begun again")
    assert repeated(folder) <= lost


@pytest.mark.slow
def test_ten_driver_kills(tmp_path):
    """100 trials; the driver is killed ten times, at random moments, and started again."""
    rng, folder = random.Random(7), tmp_path / "run"
    options = {"trials": 100, "gpus": 1, "arguments": {"pause": 0.15}}
    with LocalCluster(tmp_path / "cluster", nodes=2) as cluster:
        kept = set()
        for kill in range(10):
            process = drive(cluster.address, folder, **options)
            goal = (kill + 1) * 8 + rng.randrange(-3, 4)
            wait_for(lambda goal=goal: ended(folder) >= goal, f"{goal} trials")
            time.sleep(rng.random())
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            now = set((folder / TRIALS).read_text().splitlines())
            assert kept <= now  # what was finished stays, to the letter
            kept = now
        finish(drive(cluster.address, folder, **options))
    all_finished_once(folder, 100)
    # at most the four running epochs of each killed driver are done again
    assert repeated(folder) <= 10 * 4


@pytest.mark.slow
def test_the_head_is_lost_and_the_run_goes_on_from_its_storage(tmp_path):
    """Cluster, driver and run folder are gone; another cluster goes on with what the storage has."""
    folder, storage = tmp_path / "runs" / "first", f"file://{tmp_path}/bucket"
    options = ["--gpus-per-trial", 1, "--data", "digits", "--epochs", 4, "--subset", 0.5, "--trials", 12]
    with LocalCluster(tmp_path / "one", nodes=1) as cluster:
        process = nas("search", *options, "--address", cluster.address, "--storage", storage, "--out", folder)
        wait_for(lambda: ended(folder) >= 3, "three trials", 150)
        time.sleep(2)  # the copy lags a second
        os.killpg(process.pid, signal.SIGKILL)
        cluster.call("kill-head")
        process.communicate()
    # a trial that ended in the last second may not be up yet: it is evaluated again
    fetch_run(f"{storage}/first", tmp_path / "copy")
    before = {r.trial: r for r in read_records(tmp_path / "copy")}
    assert list((tmp_path / "bucket" / "first" / "checkpoints").glob("trial_*.pt"))
    shutil.rmtree(folder)
    with LocalCluster(tmp_path / "two", nodes=1) as cluster:
        again = tmp_path / "again"
        process = nas("resume", f"{storage}/first", "--out", again, "--address", cluster.address, "--json")
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert json.loads(out)["trials"] == 12
    after = {r.trial: r for r in read_records(again)}
    assert len(after) == 12
    assert len(before) >= 3
    for trial, record in before.items():
        assert after[trial] == record
    copy = tmp_path / "third"
    fetch_run(f"{storage}/first", copy)  # and the storage has all of it
    for name in (TRIALS, "best.yaml", "pareto.csv", "search.yaml"):
        assert (copy / name).read_bytes() == (again / name).read_bytes()
    assert not list((tmp_path / "bucket" / "first").glob("checkpoints/trial_*"))


def _epochs(folder):
    """By trial: the epochs that its log tells of, in order."""
    logs = {path.name: path.read_text() for path in (folder / "logs").glob("trial_*.log")}
    return {name: [int(e) for e in re.findall(r" epoch (\d+), ", text)] for name, text in logs.items()}


@pytest.mark.slow
def test_the_head_is_lost_under_a_driver_that_ends_and_is_resumed(tmp_path):
    """Ray's calls wait for it: the driver ends by itself within a minute, and says how to go on."""
    folder = tmp_path / "run"
    options = ["--gpus-per-trial", 1, "--data", "digits", "--epochs", 6, "--subset", 0.5, "--trials", 10]
    with LocalCluster(tmp_path / "one", nodes=1) as cluster:
        process = nas("search", *options, "--address", cluster.address, "--out", folder)
        wait_for(lambda: ended(folder) >= 3, "three trials", 150)
        cluster.call("kill-head")
        began = time.monotonic()
        _, err = process.communicate(timeout=90)
        print(f"ended {time.monotonic() - began:.0f} s after the head")
        assert time.monotonic() - began < 60
        (line,) = [line for line in err.splitlines() if "nas: error" in line]
        assert err.rstrip().endswith(line)
        assert line.endswith(f"continue with: nas resume {folder}")
        assert (process.returncode, "Traceback" in err, "GCS" in err) == (2, False, False)
        with pytest.raises(ProcessLookupError):  # its session: whatever it had started
            os.killpg(process.pid, 0)
        for name in ("ray", "running.json"):
            assert not (folder / name).exists()
        wait_for(lambda: not cluster.workers(), "Ray to end the workers that have no head", 60)
    kept, before = (folder / TRIALS).read_text().splitlines(), _epochs(folder)
    assert len(kept) >= 3
    with LocalCluster(tmp_path / "two", nodes=1) as cluster:
        process = nas("resume", folder, "--address", cluster.address, "--json")
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert json.loads(out)["trials"] == 10
    assert (folder / TRIALS).read_text().splitlines()[: len(kept)] == kept
    all_finished_once(folder, 10, epochs=6)
    for name, epochs in _epochs(folder).items():
        # none twice; of one that only its checkpoint had kept, the log tells "goes on after"
        assert epochs == sorted(set(epochs)), name
        assert epochs[: len(before.get(name, []))] == before.get(name, [])


@pytest.mark.slow
def test_out_of_memory_is_the_trials_own_failure(tmp_path, monkeypatch):
    """Ray kills what fills the node; the trial has failed for that reason, and the search goes on."""
    memory = {
        line.split(":")[0]: int(line.split()[1]) << 10
        for line in Path("/proc/meminfo").read_text().splitlines()
    }
    used = memory["MemTotal"] - memory["MemAvailable"]
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{(used + (4 << 30)) / memory['MemTotal']:.3f}")
    folder = tmp_path / "run"
    with LocalCluster(tmp_path / "cluster", nodes=1) as cluster:
        finish(drive(cluster.address, folder, trials=9, gpus=1, evaluator="Eats", run={"retries": 1}))
    records = read_records(folder)
    assert len(records) == 9
    for record in records:
        if record.seed % 3 == 0:
            assert record.state == "failed"
            assert record.reason.startswith("out of memory: Ray killed the worker")
        else:
            assert record.state == "finished"
    assert {record.state for record in records} == {"failed", "finished"}


@pytest.mark.slow
def test_a_job_runs_the_demo_search_and_its_outputs_come_back(tmp_path):
    """`nas launch --to job`: the working tree travels, the run folder comes back."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "my-space.yaml").write_text(
        subprocess.run(
            [sys.executable, "-m", "nas", "space", "mnasnet"], capture_output=True, text=True, check=True
        ).stdout
    )
    with LocalCluster(tmp_path / "cluster", nodes=2) as cluster:
        process = nas(
            *("launch", "--to", "job", "--address", cluster.dashboard, "--json", "--"),
            *("search", "--space", "my-space.yaml", "--data", "digits", "--trials", 30),
            *("--gpus-per-trial", 1, "--out", "runs/demo"),
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-3000:]
    assert "30/30" in err
    folder = tree / "runs" / "demo"
    assert json.loads(out)["run"] == "runs/demo"
    assert len(read_records(folder)) == 30
    for name in ("best.yaml", "pareto.csv", "search.yaml", "logs/trial_000000.log"):
        assert (folder / name).stat().st_size > 0
    assert list(folder.glob("events.out.tfevents.*"))
    assert (folder / "projector_config.pbtxt").exists()
