"""What installed packages add by entry points; one that is broken is a line where it is named, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from controller.registry import CONTROLLERS
from nas.network.builder import build
from search_spaces import get_space
from search_spaces.added import GROUPS
from search_spaces.block import OPS
from tests.command import good
from tests.command import nas as command
from tests.contracts.installed import REGISTRIES, forget, install

MODULE = '''
import hashlib
from pathlib import Path

import numpy as np

from controller import Controller
from nas.data.sources import DataSource, ProxyDefaults
from nas.export.formats import ExportFormat, Written
from search_spaces import Op, StagedSpace
from search_spaces.layers import Conv


class Ordered(Controller):
    """One architecture after the other."""

    def __init__(self, space, seed=0, step: int = 1):
        super().__init__(space, seed)
        self.at, self.step = 0, step

    def _propose(self):
        rows = [len(decision) for decision in self.space.decisions]
        place, choices = self.at, []
        for count in rows:
            place, choice = divmod(place, count)
            choices.append(choice)
        self.at += self.step
        return type(self.space.sample(self.rng))(choices)

    def _observe(self, proposal, reward, metrics):
        pass

    def _state(self):
        return {"at": self.at}

    def _load_state(self, state):
        self.at = state["at"]


def _layers(block):
    return (Conv(block.in_channels, block.out_channels, block.kernel, block.stride),
            Conv(block.out_channels, block.out_channels, 1))


TWICE = Op("twice", "conv twice", "tw", "#334455", _layers, lambda block: block.out_channels, short="Twice")


def tiny():
    stages = [{"op": ["twice", "ds"], "channels": [8, 16], "repeats": [1, 2, 3]}]
    return StagedSpace.from_document(
        {"schema": 1, "space": "mine-tiny", "network": {"resolution": 8}, "stages": stages})


def channels(spec):
    return sum(stage.channels for stage in spec.stages)


def write(spec, model, wanted):
    return Written(f"{spec.name} for {wanted.form}\\n")


TEXT = ExportFormat("mine-text", "text", "mine_pkg:write", (".txt",), text=True)


def load(name, folders, download):
    from nas.data.dataset import ArraySplit, DataSet

    rng = np.random.default_rng(0)
    parts = []
    for count in (60, 20, 20):
        labels = np.arange(count) % 2
        images = rng.integers(0, 100, (count, 1, 8, 8)) + 100 * labels[:, None, None, None]
        parts.append(ArraySplit(images.astype(np.uint8), labels.astype(np.int64)))
    return DataSet(name, *parts, num_classes=2, in_channels=1, resolution=8, mean=(0.5,), std=(0.3,), flips=False,
                   digest="mine")


BLOBS = DataSource("mine-blobs", "mine_pkg:load", ProxyDefaults(8, 0.25, 1, 1.0))
broken = 3
'''

ENTRIES = """
[nas.controllers]
ordered = mine_pkg:Ordered
odd = mine_pkg:broken
gone = mine_pkg:Gone
absent = absent_pkg:Anything
random = mine_pkg:Ordered
[nas.ops]
twice = mine_pkg:TWICE
[nas.spaces]
mine-tiny = mine_pkg:tiny
mine-odd = mine_pkg:channels
[nas.costs]
channels = mine_pkg:channels
lost = mine_pkg:lost
[nas.exports]
mine-text = mine_pkg:TEXT
mine-broken = absent_pkg:TEXT
[nas.data]
mine-blobs = mine_pkg:BLOBS
mine-odd = mine_pkg:broken
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that adds one of each, some of them broken."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "mine_pkg.py").write_text(MODULE)
    install(folder, "mine-pkg", ENTRIES)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    yield folder
    forget("mine_pkg")


def test_one_of_each_in_one_search(installed, monkeypatch):
    monkeypatch.setattr("nas.session._join", lambda *where: None)
    arguments = ["--space", "mine-tiny", "--controller", "ordered", "-o", "step=2", "--data", "mine-blobs"]
    more = ["--target", "channels=12", "--trials", "3", "--epochs", "1", "--out", "run"]
    done = command("search", *arguments, *more)
    assert done.returncode == 0, done.stderr
    run = nas.open("run")
    choices = [record.choices for record in run.records]
    # 0, 2, 4 in a number of digits to the bases 2, 2 and 3
    assert [tuple(row.values()) for row in choices] == [("twice", 8, 1), ("twice", 16, 1), ("twice", 8, 2)]
    assert [record.costs["channels"] for record in run.records] == [8, 16, 8]
    assert run.spec.num_classes == 2
    assert good("export", "run", "--to", "mine-text") == f"{run.spec.name} for mine-text\n"
    diagram = command("show", "run", "--diagram", "best.svg")
    assert diagram.returncode == 0, diagram.stderr
    assert "conv twice" in Path("best.svg").read_text()
    assert command("report", "run").returncode == 0
    assert "Twice" in good("show", "run")


def test_another_process_has_them_too(installed):
    code = """
from nas.network.cost import cost
from search_spaces import NetworkSpec, get_space
space = get_space("mine-tiny")
documents = [space.decode(architecture).to_document() for architecture in space.enumerate()]
print(*sorted(cost(NetworkSpec.from_document(document)).params for document in documents))
"""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), env=environment
    )
    assert done.returncode == 0, done.stderr
    specs = [get_space("mine-tiny").decode(a) for a in get_space("mine-tiny").enumerate()]
    built = [sum(p.numel() for p in build(spec, 0).parameters()) for spec in specs]
    assert [int(word) for word in done.stdout.split()] == sorted(built)


def test_an_op_that_is_broken_is_left_out_of_all_and_said_once(installed, capsys):
    install(installed, "third-pkg", "[nas.ops]\nother = mine_pkg:TWICE\n")
    sys.path.append("nothing")  # the path has changed: it is looked through again
    assert "twice" in OPS.loaded()
    assert "other" not in OPS.loaded()
    sys.path.pop()
    assert capsys.readouterr().err == (
        "op 'other' (mine_pkg:TWICE of third-pkg 1.2): expected a search_spaces.Op named 'other'; left out\n"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--controller", "odd"],
            "controller 'odd' (mine_pkg:broken of mine-pkg 1.2): expected a subclass of",
        ),
        (
            ["--controller", "gone"],
            "controller 'gone' (mine_pkg:Gone of mine-pkg 1.2): cannot be loaded: Attr",
        ),
        (["--controller", "absent"], "controller 'absent' (absent_pkg:Anything of mine-pkg 1.2): cannot be"),
        (["--controller", "ordered", "-o", "step=x"], "step 'x': expected a value of type int"),
        (["--space", "mine-odd"], "search space 'mine-odd' (mine_pkg:channels of mine-pkg 1.2): TypeError"),
        (["--target", "lost=3"], "cost 'mine_pkg:lost': unknown function 'lost'"),
        (
            ["--data", "mine-odd"],
            "data set 'mine-odd' (mine_pkg:broken of mine-pkg 1.2): expected a nas.data",
        ),
    ],
)
def test_a_broken_one_is_a_line_where_it_is_named(installed, arguments, line):
    done = command("search", *arguments, "--out", "run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert line in done.stderr
    assert not Path("run").exists()


def test_a_broken_one_breaks_nothing_else(installed):
    done = command(
        "search", "--evaluator", "benchmark", "--controller", "ordered", "--trials", "2", "--out", "r"
    )
    assert done.returncode == 0, done.stderr
    done = command("space", "--json")
    assert "mine-tiny" in json.dumps(json.loads(done.stdout))
    assert "search space 'mine-odd'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_that_is_built_in_stays_so_and_that_is_said(installed, capsys):
    assert CONTROLLERS["random"]().__module__ == "controller.random_search"
    assert "ordered" in list(CONTROLLERS)
    assert capsys.readouterr().err == (
        "controller 'random' (mine_pkg:Ordered of mine-pkg 1.2): nas has one of that name itself; left out\n"
    )


def test_two_packages_with_one_name(installed):
    install(installed, "other-pkg", "[nas.controllers]\nordered = elsewhere:Ordered\n")
    sys.path.append(str(installed / "nothing"))  # the path has changed: it is looked through again
    done = command("search", "--controller", "ordered", "--out", "run")
    assert (
        "controller 'ordered': is added by mine-pkg 1.2 (mine_pkg:Ordered) and other-pkg 1.2" in done.stderr
    )
    sys.path.pop()


def test_without_the_package_a_run_says_what_is_missing(installed, monkeypatch):
    command("search", "--evaluator", "benchmark", "--controller", "ordered", "--trials", "2", "--out", "r")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(installed)])
    forget("mine_pkg")
    done = command("resume", "r", "--trials", "3")
    assert (done.returncode, "unknown controller 'ordered'" in done.stderr) == (2, True)


def test_every_group_has_a_registry_or_is_looked_up():
    assert {registry.group for registry in REGISTRIES} | {"nas.costs"} == set(GROUPS)
    assert get_space("mnasnet").name == "mnasnet"
