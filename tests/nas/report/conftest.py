"""A finished search on the benchmark, for everything that looks at one."""

import pytest
from rich.console import Console

from nas.runs.settings import SearchSettings
from nas.session import Placement, start_search

TRIALS = 120


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    settings = SearchSettings(
        space="accel-nasbench",
        evaluator="benchmark",
        controller="evolution",
        trials=TRIALS,
        targets={"benchmark_macs": "400M"},
    )
    folder = tmp_path_factory.mktemp("runs") / "first"
    return start_search(settings, folder, Placement(), Console(quiet=True))
