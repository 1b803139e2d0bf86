"""A finished search on the benchmark, for everything that looks at one."""

import pytest
from rich.console import Console

from nas.runs.flat import make_settings
from nas.runs.placement import Placement
from nas.session import start_search

TRIALS = 120


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    settings = make_settings(
        space="accel-nasbench",
        evaluator="benchmark",
        controller="evolution",
        trials=TRIALS,
        targets={"benchmark_macs": "400M"},
    )
    folder = tmp_path_factory.mktemp("runs") / "first"
    return start_search(settings, folder, Placement(), Console(quiet=True))


@pytest.fixture
def blank_pictures():
    """Here they are drawn."""
