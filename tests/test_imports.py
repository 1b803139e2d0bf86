"""Who imports whom: arrows run one way, there is no circle, and the light modules load no torch."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import _COMMANDS

ROOT = Path(__file__).parent.parent
ROOMS = ("search_spaces", "controller", "nas")
MAY_IMPORT = {
    "search_spaces": {"search_spaces"},
    "controller": {"search_spaces", "controller"},
    "nas": {"search_spaces", "controller", "nas"},
}
# from the top floor down: what stands on a floor may import what stands below it, and itself
FLOORS = (
    ("__main__",),
    ("api_runs",),
    ("api", "detection"),
    ("cli",),
    ("commands", "testing"),
    ("session",),
    ("report", "launch"),
    ("studies",),
    ("cluster",),
    ("runs",),
    ("benchmark",),
    ("search",),
    ("supernet",),
    ("training", "latency", "export"),
    ("data",),
    ("network",),
    ("errors", "lazy"),
)
FLOOR = {room: floor for floor, rooms in enumerate(reversed(FLOORS)) for room in rooms}


def imports(path):
    """Every module a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def imported_modules(path):
    """The same, with the module that `from PACKAGE import MODULE` may name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from named
            if not any(Path(ROOT, *name.split(".")).with_suffix(".py").is_file() for name in named):
                yield node.module


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_one_way(room):
    assert files(room)
    for path in files(room):
        foreign = {name.split(".")[0] for name in imports(path)} & {*ROOMS, "tests", "launch", "benchmarks"}
        assert foreign <= MAY_IMPORT[room], path


def room_of(module):
    return module.split(".")[1] if "." in module else None


def test_every_room_of_nas_has_its_floor():
    there = {path.stem if path.is_file() else path.name for path in (ROOT / "nas").iterdir()}
    assert there - {"__init__", "__pycache__", "py.typed", "py"} == set(FLOOR)


@pytest.mark.parametrize("path", files("nas"), ids=lambda path: str(path.relative_to(ROOT)))
def test_inside_nas_arrows_run_down(path):
    own = path.relative_to(ROOT / "nas").parts[0].removesuffix(".py")
    for name in imports(path):
        other = room_of(name) if name.startswith("nas.") else None
        if other is not None and other != own and own != "__init__":
            assert FLOOR[other] < FLOOR[own], f"{path} imports {name}"


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_circle_of_files():
    arrows = {module_name(path): set(imported_modules(path)) for room in ROOMS for path in files(room)}
    graph = {name: found & set(arrows) - {name} for name, found in arrows.items()}
    done, circle = set(), []

    def visit(name, path):
        if name in path:
            circle.append(path[path.index(name) :])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    assert not circle


def test_no_room_is_a_sixth_of_the_lines():
    lines = {}
    for room in ROOMS:
        for path in files(room):
            inside = path.relative_to(ROOT).parts
            key = inside[1] if room == "nas" and len(inside) > 2 else room
            lines[key] = lines.get(key, 0) + len(path.read_text().splitlines())
    largest = max(lines, key=lines.get)
    assert lines[largest] < 0.15 * sum(lines.values()), (largest, lines)


def test_each_room_has_a_face():
    for folder in {path.parent for path in files("nas")}:
        face = folder / "__init__.py"
        assert len(ast.get_docstring(ast.parse(face.read_text())) or "") > 30, face


def test_faces_name_what_is_there():
    code = """
import importlib, pkgutil, sys, nas
for found in pkgutil.iter_modules(nas.__path__):
    if found.ispkg:
        room = importlib.import_module(f"nas.{found.name}")
        assert "torch" not in sys.modules and "ray" not in sys.modules, room
for found in pkgutil.iter_modules(nas.__path__):
    if found.ispkg:
        room = importlib.import_module(f"nas.{found.name}")
        modules = {module.name for module in pkgutil.iter_modules(room.__path__)}
        for name in getattr(room, "__all__", ()):
            getattr(room, name)
            lazily = hasattr(room, "lazy_names")  # an eager face keeps what it imported
            assert not lazily or name not in modules, f"{room.__name__}.{name} would hide its module's name"
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_public_name_means_one_thing():
    found = {}
    for room in ROOMS:
        for path in files(room):
            for node in ast.parse(path.read_text()).body:
                where = str(path.relative_to(ROOT))
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, {})[where] = where
                elif isinstance(node, ast.Assign):  # a type's alias: the same where it is the same type
                    for target in node.targets:
                        if re.fullmatch(r"[A-Z]\w*[a-z]\w*", getattr(target, "id", "")):
                            found.setdefault(target.id, {})[ast.dump(node.value)] = where
    assert {name: list(places.values()) for name, places in found.items() if len(places) > 1} == {}


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        (
            "ray",
            {
                f"nas/cluster/{name}.py"
                for name in (
                    "tune",
                    "tune_inside",
                    "bridge",
                    "worker",
                    "nodes",
                    "gpus",
                    "gauges",
                    "head",
                    "processes",
                    "supernet_processes",
                    "jobs",
                    "speed",
                    "verdict",
                    "ending",
                    "controller_search",
                    "joining",
                )
            },
        ),
        ("tensorboard", {f"nas/report/{name}.py" for name in ("trial_table", "events", "graph")}),
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
        if any(name.startswith(("tensorboard.summary", "torch.utils.tensorboard")) for name in imports(path))
    }
    assert events == {"nas/report/events.py"}


@pytest.mark.parametrize(
    "module",
    [
        "nas",
        "search_spaces",
        "controller",
        "controller.base",
        "nas.network.cost",
        "nas.cli",
        "nas.report.tensorboard",
    ],
)
def test_light_modules_load_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_commands_answer_before_scipy_is_loaded():
    """It takes a third of a second; what computes with it loads it then."""
    modules = ", ".join(dict.fromkeys(module for module, _ in _COMMANDS.values()))
    code = f"import sys, {modules}; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_driver_of_a_search_needs_no_torch(tmp_path):
    """From settings to the pickled evaluator, of a set in memory and of files, decoded or streamed."""
    code = f"""
import pickle, sys
from pathlib import Path
from PIL import Image
for index in range(60):
    place = Path({str(tmp_path)!r}, "train", "ab"[index % 2], f"{{index}}.png")
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 30), (index, 0, 0)).save(place)
from nas.data import Preparation, load_data
from nas.runs.train_settings import TrainSettings
for name, more in (("digits", {{}}), ("imagefolder:{tmp_path}", {{"cache": "on"}}), ("imagefolder:{tmp_path}", {{"cache": "off"}})):
    data = load_data(name).without_test().subset(0.8).at(24)
    assert Preparation.of(data).resolution == 24
    evaluator = TrainSettings(name, subset=0.8, resolution=24, **more).make()
    pickle.loads(pickle.dumps(evaluator)).without_data().describe()
    loaded = {{"torch", "torchvision", "ray"}} & set(sys.modules)
    assert not loaded, (name, more, loaded)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_all_packages_are_listed():
    import configparser

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    there = {str(p.parent.relative_to(ROOT)).replace("/", ".") for r in ROOMS for p in files(r)}
    assert listed == there
