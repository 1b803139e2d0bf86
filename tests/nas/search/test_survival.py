"""Searches from the command line, killed and resumed: real training, real processes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.search.journal import TRIALS

QUICK = ["--data", "digits", "--epochs", "2", "--subset", "0.5", "--space", "accel-nasbench"]


def nas(*arguments, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kwargs,
    )


def ended(folder):
    path = folder / TRIALS
    return path.read_text().count("\n") if path.exists() else 0


def kill_after(process, folder, count, signal_number=signal.SIGKILL, whole_group=True):
    """Wait until so many trials have ended, then kill the driver (and all of its Ray)."""
    deadline = time.monotonic() + 120
    while ended(folder) < count and process.poll() is None:
        assert time.monotonic() < deadline, "the search did not get so far"
        time.sleep(0.02)
    if whole_group:
        os.killpg(process.pid, signal_number)
    else:
        os.kill(process.pid, signal_number)
    return process.communicate(timeout=60)


@pytest.mark.timeout(280)
def test_killed_three_times_and_resumed_every_trial_is_there_once(tmp_path):
    trials, rng = 16, random.Random(0)
    folder = tmp_path / "run"
    stops = sorted(rng.sample(range(1, trials - 2), 3))
    process = nas("search", *QUICK, "--trials", str(trials), "--concurrent", "2", "--out", str(folder))
    for stop in stops:
        kill_after(process, folder, stop)
        time.sleep(rng.random())
        process = nas("resume", str(folder), "--concurrent", "2", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    document = json.loads(out)
    lines = [json.loads(line) for line in (folder / TRIALS).read_text().splitlines()]
    assert sorted(line["trial"] for line in lines) == list(range(trials))
    assert document["trials"] == trials
    assert {line["state"] for line in lines} == {"finished"}
    assert document["best"]["reward"] == max(line["reward"] for line in lines)
    for name in ("best.yaml", "pareto.csv", "search.yaml"):
        assert (folder / name).stat().st_size > 0

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    for tag in ("trial/reward", "trial/accuracy", "trial/macs", "best/reward"):
        points = events.Scalars(tag)
        assert [point.step for point in points] == list(range(1, trials + 1))  # no gap, none twice
    best = [point.value for point in events.Scalars("best/reward")]
    assert best == sorted(best)


@pytest.mark.timeout(200)
def test_interrupted_it_says_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    process = nas("search", *QUICK, "--trials", "50", "--concurrent", "2", "--out", str(folder))
    _, err = kill_after(process, folder, 2, signal.SIGINT, whole_group=False)
    assert process.returncode == 130
    assert "nas resume" in err
    assert "Traceback" not in err
    assert (folder / "best.yaml").exists()
    assert 2 <= ended(folder) < 50


@pytest.mark.timeout(120)
def test_a_folder_in_use_is_refused(tmp_path):
    folder = tmp_path / "run"
    process = nas("search", *QUICK, "--trials", "50", "--concurrent", "1", "--out", str(folder))
    try:
        deadline = time.monotonic() + 60
        while not (folder / TRIALS).exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = nas("resume", str(folder), "--concurrent", "1")
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "another process" in err
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert Path(folder / "search.yaml").exists()
