"""Searches on a cluster of several raylets that lose workers, nodes, drivers and their head."""

import json
import os
import random
import signal
import time

import pytest

from nas.search.journal import TRIALS, read_records
from tests.nas.search.local_cluster import (
    LocalCluster,
    chaos,
    drive,
    ended,
    finish,
    lost_attempts,
    repeated,
    wait_for,
)


def all_finished_once(folder, trials):
    lines = [json.loads(line) for line in (folder / TRIALS).read_text().splitlines()]
    assert sorted(line["trial"] for line in lines) == list(range(trials))
    assert {line["state"] for line in lines} == {"finished"}
    for line in lines:
        assert [row["epoch"] for row in line["measurements"]] == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_chaos(tmp_path, seed):
    """200 trials while workers and nodes are killed and nodes added, at random."""
    rng, folder = random.Random(seed), tmp_path / "run"
    with LocalCluster(tmp_path / "cluster") as cluster:
        process = drive(cluster.address, folder, trials=200, gpus=1, seed=seed, arguments={"pause": 0.25})
        wait_for(lambda: ended(folder) > 3 or process.poll() is not None, "the first trials")
        done = chaos(cluster, process, rng)
        finish(process)
    all_finished_once(folder, 200)
    assert done["worker"] > 3
    assert done["node"] > 1
    lost = lost_attempts(folder)
    print(f"{lost} attempts lost, {repeated(folder)} epochs begun again")
    assert repeated(folder) <= lost
