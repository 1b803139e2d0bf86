"""Who imports whom (DESIGN, rooms): arrows run one way, and the light modules load no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("search_spaces", "controller", "nas")
MAY_IMPORT = {
    "search_spaces": {"search_spaces"},
    "controller": {"search_spaces", "controller"},
    "nas": {"search_spaces", "controller", "nas"},
}
INSIDE_NAS = {
    "network": {"network"},
    "latency": {"network", "latency"},
    "training": {"network", "training", "errors"},
    "search": {"network", "latency", "training", "search", "errors", "report"},
    "export": {"network", "export"},
    "launch": {"launch", "search"},
    "report": {"network", "search", "training", "report", "errors"},
}


def imports(path):
    """Every module a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_one_way(room):
    assert files(room)
    for path in files(room):
        foreign = {name.split(".")[0] for name in imports(path)} & {*ROOMS, "tests", "launch", "benchmarks"}
        assert foreign <= MAY_IMPORT[room], path


@pytest.mark.parametrize("part", INSIDE_NAS)
def test_inside_nas_arrows_run_one_way(part):
    for path in (ROOT / "nas" / part).rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("nas.")}
        assert used <= INSIDE_NAS[part], path


def test_observers_are_wired_in_one_place_only():
    for path in (ROOT / "nas" / "search").rglob("*.py"):
        if path.name != "session.py":
            assert not any(name.startswith("nas.report") for name in imports(path)), path


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        (
            "ray",
            {
                f"nas/search/{name}.py"
                for name in ("ray_tune", "ray_train", "cluster", "gauges", "trainable", "tune_bridge")
            }
            | {"nas/launch/job.py"},
        ),
        ("tensorboard", {"nas/report/trial_table.py"}),
    ],
)
def test_libraries_stay_in_their_module(library, allowed):
    found = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in files(room)
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert found <= allowed
    events = {
        str(path.relative_to(ROOT))
        for path in files("nas")
        if any(name.startswith("torch.utils.tensorboard") for name in imports(path))
    }
    assert events == {"nas/report/tensorboard.py"}


@pytest.mark.parametrize(
    "module", ["search_spaces", "controller", "controller.base", "nas.network.cost", "nas.cli"]
)
def test_light_modules_load_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_all_packages_are_listed():
    import configparser

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    there = {str(p.parent.relative_to(ROOT)).replace("/", ".") for r in ROOMS for p in files(r)}
    assert listed == there
