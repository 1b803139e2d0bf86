"""Searches from the command line, killed and resumed: real training, real processes."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.search.journal import TRIALS, Journal
from tests.command import nas as command

QUICK = ["--data", "digits", "--epochs", "2", "--subset", "0.5", "--space", "accel-nasbench"]
QUICK += ["--resolution", "8", "--width", "0.1"]


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


def check_whole(folder, trials, document):
    """Every trial is there once, in the journal, the results and the curves."""
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


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_killed_and_resumed_every_trial_is_there_once(tmp_path):
    rng, kills, trials = random.Random(0), 3, 16
    folder = tmp_path / "run"
    stops = sorted(rng.sample(range(1, trials - 2), kills))
    process = nas("search", *QUICK, "--trials", str(trials), "--concurrent", "2", "--out", str(folder))
    for stop in stops:
        kill_after(process, folder, stop)
        time.sleep(rng.random())
        process = nas("resume", str(folder), "--concurrent", "2", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    check_whole(folder, trials, json.loads(out))


def epochs_logged(folder):
    """By trial: the epochs that its log tells of, in order."""
    found = {}
    for path in (folder / "logs").glob("trial_*.log"):
        found[path.name] = [int(epoch) for epoch in re.findall(r"\d epoch (\d+), ", path.read_text())]
    return found


@pytest.mark.timeout(280)
@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_interrupted_then_killed_it_goes_on_and_repeats_nothing(tmp_path, killed):
    """Ctrl-C reaches driver, Ray and workers alike; trials of many epochs end at their next one."""
    folder, trials = tmp_path / "run", 3
    long = [*QUICK, "--epochs", "10"]
    process = nas("search", *long, "--trials", str(trials), "--concurrent", "2", "--out", str(folder))
    deadline = time.monotonic() + 90
    while len([name for name, epochs in epochs_logged(folder).items() if epochs]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopping: no new trials; 2 running ones" in err
    assert f"nas resume {folder}" in err
    assert "Traceback" not in err
    assert len(list((folder / "checkpoints").glob("trial_*.pt"))) == 2
    before = epochs_logged(folder)

    if killed:  # the one that goes on
        process = nas("resume", str(folder), "--concurrent", "2")
        deadline = time.monotonic() + 90
        while sum(map(len, epochs_logged(folder).values())) < sum(map(len, before.values())) + 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for name, epochs in epochs_logged(folder).items():
            assert epochs[: len(before.get(name, ()))] == before.get(name, [])
            assert epochs == list(range(1, len(epochs) + 1))  # none of them again

    process = nas("resume", str(folder), "--concurrent", "2", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    check_whole(folder, trials, json.loads(out))
    for name, epochs in epochs_logged(folder).items():
        if name in before:  # it went on with the epoch after
            assert epochs[: len(before[name])] == before[name]
        if not killed:  # what an interruption ends is no epoch lost
            assert epochs == list(range(1, 11))


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_interrupted_twice_it_ends_at_once(tmp_path):
    folder = tmp_path / "run"
    options = ["--data", "digits", "--epochs", "3", "--resolution", "128", "--width", "1"]
    process = nas("search", *options, "--trials", "4", "--concurrent", "1", "--out", str(folder))
    deadline = time.monotonic() + 90
    while not (folder / "running.json").exists():  # its epochs take minutes
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(5)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(2)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGTERM)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_full_disk_stops_the_search_and_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        folder, trials = disk / "run", 12
        process = nas("search", *QUICK, "--trials", str(trials), "--concurrent", "2", "--out", str(folder))
        deadline = time.monotonic() + 90
        while ended(folder) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(OSError, match="No space"), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 4096)
        _, err = process.communicate(timeout=100)
        assert process.returncode == 2
        assert "No space left on device" in err
        assert "nas resume" in err
        assert "Traceback" not in err
        kept = (folder / TRIALS).read_text().splitlines()
        assert len(kept) >= 3
        (disk / "ballast").unlink()
        process = nas("resume", str(folder), "--concurrent", "2", "--json")
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        lines = (folder / TRIALS).read_text().splitlines()
        assert lines[: len(kept)] == kept
        assert sorted(json.loads(line)["trial"] for line in lines) == list(range(trials))
        assert json.loads(out)["trials"] == trials
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_folder_in_use_is_refused(tmp_path, monkeypatch):
    """Before anything else is done: no data are read, no Ray is started."""
    run = Run.create(tmp_path / "run", SearchSettings(trials=4))
    before = {path.name for path in run.folder.iterdir()}
    monkeypatch.setattr("nas.session._run", None)
    with Journal(run.folder):
        done = command("resume", run.folder, "--concurrent", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "another process" in done.stderr
    assert {path.name for path in run.folder.iterdir()} - before <= {TRIALS, "proposals.jsonl", ".lock"}
