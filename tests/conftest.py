"""What several tests share: the benchmark's records, random specs, a cluster with logical GPUs."""

import gc
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from search_spaces import get_space

# before torch is loaded: the processes that share the cores here would wait for one another's threads
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_worker_niceness", "0")  # who waits for a worker waits for all that is not nice
os.environ.pop("RAY_ADDRESS", None)  # the tests start Ray themselves, whatever else runs here

ROOT = Path(__file__).parent.parent
RECORDS = Path(os.environ.get("NAS_BENCHMARK_DATA", ROOT.parent / "shared/data/accel_nasbench.tar.gz"))


ON_RAY = (
    "tests/nas/cluster/test_tune.py",
    "tests/nas/cluster/test_controller_search.py",
    "tests/nas/test_cli.py",
    "tests/nas/test_start.py",
)
"""They use the fixture `cluster`: one process has them all, and with them the only such cluster."""
LONG = (*ON_RAY, "tests/nas/export/", "tests/nas/cluster/", "tests/nas/benchmark/", "tests/nas/training/")
"""Begun early, so that at the end no process waits for the other's; two on Ray at once would only compete."""


def pytest_collection_modifyitems(items):
    """Long files first."""
    items.sort(
        key=lambda item: min([i for i, start in enumerate(LONG) if item.nodeid.startswith(start)] or [9])
    )


def pytest_collection_finish(session):
    """What is loaded by now stays: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file stays in one process, those on Ray in the same one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return "ray" if file in ON_RAY else file

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory):
    """What a user keeps in folders of his own is none of the tests'; processes of theirs share one."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    os.environ.pop("XDG_STATE_HOME")
    if before is not None:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(autouse=True)
def blank_pictures(monkeypatch):
    """The pictures in event files are blank but in tests/nas/report: a search draws them for half a second."""
    from nas.report import tensorboard

    for name in ("pareto_figure", "choices_figure", "draw_diagram"):
        monkeypatch.setattr(tensorboard, name, lambda *shown: None)
    monkeypatch.setattr(tensorboard, "pixels", lambda figure: np.zeros((2, 2, 3), np.uint8))


@pytest.fixture(scope="session")
def benchmark_records():
    if not RECORDS.is_file():
        pytest.skip(f"Accel-NASBench's records are not at {RECORDS} (NAS_BENCHMARK_DATA names another place)")
    with tarfile.open(RECORDS) as archive:
        files = [archive.extractfile(member) for member in archive if member.name.endswith(".json")]
        return [json.load(file) for file in files if file is not None]


@pytest.fixture
def random_specs():
    """Makes random networks of a space."""

    def make(space_name, count, seed=0):
        space, rng = get_space(space_name), np.random.default_rng(seed)
        return [space.decode(space.sample(rng)) for _ in range(count)]

    return make


@pytest.fixture(params=["here", pytest.param("on Ray", marks=pytest.mark.slow)])
def trainings(request, monkeypatch):
    """Where a command's trials are trained: one after the other in this process; as a slow test on Ray.

    Ray's workers load torch for longer than a test's networks train. What Ray does is tested in
    tests/nas/cluster; these are tests of what a command makes of the results.
    """
    if request.param == "on Ray":
        request.getfixturevalue("cluster")
        yield
        return
    from nas import session

    # all that takes `connect` and `room` over is loaded first, or it would keep these for the tests after this
    from nas.cluster import bridge, gpus, nodes, processes, speed  # noqa: F401
    from nas.training.batches import Batches
    from nas.training.speed import measure_speed

    monkeypatch.setattr(session, "_join", lambda *where: None)
    monkeypatch.setattr(nodes, "connect", lambda address: None)
    monkeypatch.setattr(nodes, "room", lambda resources: 2)
    monkeypatch.setattr(speed, "count_devices", lambda: speed.Devices(2, 0, 1))
    monkeypatch.setattr(
        speed, "speeds_on_ray", lambda specs, recipe, seconds, *more: measure_speed(specs, recipe, seconds)
    )
    make, made = Batches._loader, []
    monkeypatch.setattr(Batches, "_loader", lambda self, *given: made.append(self) or make(self, *given))
    yield
    for batches in made:  # decoding processes that the garbage collector ends take five seconds each
        batches._loaders.clear()


@pytest.fixture(scope="session")
def cluster():
    """Ray in this process, with 2 CPUs and 2 logical GPUs."""
    import ray

    from nas.cluster.nodes import TUNE_SETTINGS

    os.environ.update(TUNE_SETTINGS)
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
