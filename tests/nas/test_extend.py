"""docs/extend.md and the examples, run as they stand; the contract suites as others use them."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

import nas
from search_spaces.block import OPS, WithOps
from search_spaces.document import read_document
from tests.command import nas as command
from tests.contracts.installed import REGISTRIES, forget, install

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "extend.md").read_text()
BLOCK = re.compile(r"^```(?:toml|python)\n# (\S+)\n(.*?)^```$|^    (nas [^\n]*)$", re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All files of the page, its package installed."""
    here = tmp_path_factory.mktemp("mine")
    files = {}
    for file, text, _ in BLOCK.findall(PAGE):
        files[file] = files.get(file, "") + text + ("\n\n" if file else "")
    for file, text in files.items():
        if file:
            (here / file).write_text(text)
    tomllib = pytest.importorskip("tomllib")
    points = tomllib.loads((here / "pyproject.toml").read_text())["project"]["entry-points"]
    entries = [
        f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in added.items()) for group, added in points.items()
    ]
    install(here, "mine", "".join(entries))
    return here


@pytest.fixture
def mine(folder, monkeypatch):
    """Trials run in this process."""
    monkeypatch.setattr("nas.session._join", lambda *where: None)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    yield folder
    forget("mine", "mytask")


COMMANDS = [line for _, _, line in BLOCK.findall(PAGE) if line]


@pytest.mark.timeout(600)
def test_every_command_of_the_page_does_what_it_says(mine):
    assert len(COMMANDS) >= 9
    last = []  # a search comes before what is made of it
    for line in sorted(COMMANDS, key=lambda line: not line.startswith("nas s")):
        done = command(*shlex.split(line)[1:])
        assert done.returncode == 0, (line, done.stderr)
        last.append(done.stdout)
    assert nas.open("runs/task").spec.num_classes == 2
    assert nas.open("runs/sram").settings.reward.targets == {"sram": 5e6, "macs": 3e8}
    assert nas.open("runs/by-function").settings.own_costs["sram"].function == "mine:sram"
    assert nas.open("runs/greedy").settings.controller.options == {"explore": "0.5"}
    run = nas.open("runs/small")
    assert (run.settings.evaluator.data, run.spec.num_classes) == ("stripes", 2)
    outline = last[COMMANDS_SORTED.index("nas export runs/small --to outline")]
    assert outline.splitlines()[1:] == [
        f"{stage.op} x{stage.repeats}, {stage.channels} channels" for stage in run.spec.stages
    ]
    assert "mbconv" in Path("b0.txt").read_text()


COMMANDS_SORTED = sorted(COMMANDS, key=lambda line: not line.startswith("nas s"))


@pytest.mark.slow
def test_what_the_page_adds_passes_its_contracts(mine):
    """In another process, as somebody who has the package runs them."""
    import os
    import subprocess

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def example(name, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.setattr("nas.session._join", lambda *where: None)
    return runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


def test_the_example_of_a_cost(tmp_path, monkeypatch, capsys):
    made = example("own_cost.py", tmp_path / "run", monkeypatch=monkeypatch)
    run = nas.open(tmp_path / "run")
    assert run.best.costs["sram"] == made["sram"](run.spec)
    assert capsys.readouterr().out.startswith(f"{run.best.accuracy} ")
    kept = read_document(tmp_path / "run" / "search.yaml")["own_costs"]["sram"]
    assert kept == {"function": "own_cost:sram", "module_folder": str(ROOT / "examples")}


@pytest.mark.slow
def test_the_example_of_an_op(tmp_path, monkeypatch, capsys):
    try:
        example("own_op.py", tmp_path / "run", monkeypatch=monkeypatch)
        run = nas.open(tmp_path / "run")
        assert len(run.records) == 4
        assert "double" in {choice for record in run.records for choice in record.choices.values()}
        assert str([stage.op for stage in run.spec.stages]) in capsys.readouterr().out
    finally:
        OPS.pop("double", None)


def test_an_op_of_a_script_travels_with_what_a_worker_gets():
    from ray import cloudpickle

    namespace = runpy.run_path(str(ROOT / "examples" / "own_op.py"), run_name="example")
    try:
        sent = cloudpickle.dumps(WithOps({"evaluator": 3}))
    finally:
        del OPS["double"]
    assert cloudpickle.loads(sent) == {"evaluator": 3}
    block = nas_block()
    assert OPS["double"].layers(block) == namespace["layers"](block)
    assert cloudpickle.loads(sent) == {"evaluator": 3}  # a second time it is there already
    del OPS["double"]


def nas_block():
    from search_spaces import BlockSpec

    return BlockSpec("double", 8, 16, 3, 2, 1, 0.0, "none")


def test_an_example_is_ten_to_thirty_lines():
    for path in (ROOT / "examples").glob("*.py"):
        code = [line for line in path.read_text().splitlines() if line.strip()]
        assert 5 <= len(code) <= 40, path
    assert REGISTRIES
