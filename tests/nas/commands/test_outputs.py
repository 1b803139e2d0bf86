"""No output overwrites an input, another output, or what is of another kind; it is said before the work."""

import os
import shutil
import socket
from pathlib import Path

import pytest
import torch

from nas.cli import cli
from nas.commands.outputs import SUFFIXES, Target, declare, kind_of
from nas.network.builder import build
from nas.training.checkpoint import save_checkpoint
from search_spaces.document import write_atomically, write_document
from search_spaces.errors import InputError
from search_spaces.quoting import file_stem
from search_spaces.spec import NetworkSpec, StageSpec

SMALL = NetworkSpec(
    "small", (StageSpec("mbconv", 16, stride=2, expansion=3),), head_channels=32, num_classes=3, resolution=32
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, finished_run):
    """A folder with a checkpoint, a training's folder, a run and files of all kinds."""
    folder = tmp_path_factory.mktemp("trained")
    state = {"model": build(SMALL, seed=0).state_dict()}
    save_checkpoint(folder / "w.pt", SMALL, state, {})
    shutil.copy(folder / "w.pt", folder / "renamed")
    (folder / "training").mkdir()
    shutil.copy(folder / "w.pt", folder / "training" / "best.pt")
    write_document(folder / "training" / "train.yaml", {"epochs": 1})
    write_document(folder / "training" / "spec.yaml", SMALL.to_document())
    shutil.copytree(finished_run.folder, folder / "run")
    write_document(folder / "s.yaml", SMALL.to_document())
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n and a picture of mine")
    (folder / "notes.txt").write_text("mine")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """Such a folder of its own, and the working directory."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    os.symlink("w.pt", "link.pt")
    os.symlink("link.pt", "link2.onnx")
    os.link("w.pt", "hard")
    os.symlink("s.yaml", "s-link.yaml")
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    os.mkdir("locked")
    return tmp_path / "here"


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    } | {str(path.relative_to(folder)): os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}


REFUSED = {
    "its input": (["export", "w.pt", "--to", "torchscript", "--out", "w.pt"], "is the input"),
    "its input as ./": (["export", "w.pt", "--to", "torchscript", "--out", "./full/../w.pt"], "is the input"),
    "a link to its input": (["export", "w.pt", "--to", "torchscript", "--out", "link.pt"], "is the input"),
    "a link to a link": (["export", "w.pt", "--to", "onnx", "--out", "link2.onnx"], "is the input"),
    "a hard link": (["export", "w.pt", "--to", "exported", "--out", "hard"], "is the input"),
    "input by a link": (["export", "link.pt", "--to", "exported", "--out", "hard"], "is the input"),
    "spec": (["export", "s.yaml", "--to", "yaml", "--out", "s.yaml"], "is the input"),
    "spec by a link": (["export", "s.yaml", "--to", "yaml", "--out", "s-link.yaml"], "is the input"),
    "scale": (["scale", "s.yaml", "--phi", "1", "--out", "s.yaml"], "is the input"),
    "scale's plot": (["scale", "s.yaml", "--phi", "1", "--plot", "s.yaml"], "ends in .png"),
    "space": (["space", "space.yaml", "--out", "space.yaml"], "is the input"),
    "weights and text": (["export", "w.pt", "--to", "timm", "--out", "x.safetensors"], "ends in .py"),
    "weights over other": (["export", "w.pt", "--to", "timm", "--out", "notes.py"], "notes.safetensors"),
    "two outputs": (
        ["scale", "s.yaml", "--phi", "1", "--out", "x", "--plot", "./x"], "is written as a spec already"
    ),
    "another kind": (["export", "s.yaml", "--to", "exported", "--out", "notes"], "exists and holds"),
    "a checkpoint": (["export", "s.yaml", "--to", "torchscript", "--out", "w.pt"], "holds a checkpoint"),
    "a name of another kind": (["export", "s.yaml", "--to", "onnx", "--out", "x.pt"], "ends in .onnx"),
    "yaml in json": (["export", "s.yaml", "--to", "yaml", "--out", "x.json"], "ends in .yaml"),
    "json in yaml": (["export", "s.yaml", "--to", "json", "--out", "x.yml"], "ends in .json"),
    "a picture of mine": (["show", "s.yaml", "--diagram", "photo.png"], "holds a picture of something else"),
    "a plot over it": (["plan", "--out", "photo.png"], "holds a picture of something else"),
    "a page named pdf": (["report", "run", "--out", "x.pdf"], "ends in .html"),
    "a run's winner": (["export", "run", "--to", "yaml", "--out", "run/best.yaml"], "is the input"),
    "another's winner": (["export", "s.yaml", "--to", "yaml", "--out", "run/best.yaml"], "belongs to the run"),
    "a run's journal": (["report", "run", "--out", "run/trials"], "belongs to the run"),
    "a training's spec": (
        ["export", "training", "--to", "yaml", "--out", "training/spec.yaml"], "belongs to the training"
    ),
    "a training's weights": (
        ["export", "training", "--to", "torchscript", "--out", "training/best.pt"], "is the input"
    ),
    "a family in a run": (["scale", "s.yaml", "--phi", "0..2", "--out", "run"], "is the folder of a run"),
    "compare in a run": (["compare", "--out", "run"], "is the folder of a run"),
    "a search in a run": (["search", "--out", "run/again"], "is inside the run"),
    "proxy over a run": (["proxy", "--out", "run"], "is the folder of a run"),
    "its own copy": (
        ["search", "--evaluator", "benchmark", "--out", "a/b", "--storage", "a"], "would be the run itself"
    ),
    "a folder": (["export", "s.yaml", "--to", "yaml", "--out", "full"], "it is a folder"),
    "a folder to be": (["export", "s.yaml", "--to", "yaml", "--out", "new/"], "it is a folder"),
    "no folder": (["plan", "--out", "no/x.png"], "there is no folder"),
    "a file as folder": (["plan", "--out", "notes.txt/x.png"], "Not a directory"),
    "a family in a file": (["scale", "s.yaml", "--phi", "0..2", "--out", "notes.txt"], "is no folder"),
    "compare in a file": (["compare", "--out", "notes.txt/x"], "Not a directory"),
    "a run in a file": (["search", "--out", "notes.txt"], "is no folder"),
    "nothing": (["export", "s.yaml", "--to", "yaml", "--out", ""], "expected a path"),
    "no run": (["search", "--out", ""], "expected a path"),
    "a dash for bytes": (["export", "s.yaml", "--to", "onnx", "--out", "-"], "expected a file"),
    "a dash for pictures": (["plan", "--out", "-"], "expected a file"),
    "too long": (["plan", "--out", "x" * 300 + ".png"], "name too long"),
    "a run too long": (["search", "--out", "x" * 300], "name too long"),
    "a null byte": (["plan", "--out", "x\0.png"], "null"),
    "a loop": (["plan", "--out", "loop"], "symbolic links"),
    "records": (["data", "accel-nasbench", "--out", "notes.txt"], "not the records"),
    "latency": (["latency", "--space", "mnasnet", "--out", "s.yaml"], "ends in .json"),
    "latency over a file": (["latency", "--space", "mnasnet", "--out", "notes"], "exists and holds"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_lost_is_refused(name, here, monkeypatch):
    arguments, message = REFUSED[name]
    (here / "notes").write_text("mine")
    (here / "notes.safetensors").write_text("mine")
    (here / "run" / "trials").write_text("mine")
    (here / "space.yaml").write_text("schema: 1\n")
    cli.main(["space", "mnasnet", "--out", "mine.yaml"], standalone_mode=False)
    shutil.move("mine.yaml", "space.yaml")
    before = content(here)
    for heavy in ("nas.export.onnx.onnx_bytes", "nas.export.program.program_bytes"):
        monkeypatch.setattr(heavy, None)  # nothing heavy has begun
    with pytest.raises(InputError) as refused:
        cli.main(arguments, standalone_mode=False)
    assert message in str(refused.value)
    assert content(here) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "s.yaml", "--to", "yaml", "--out", "locked/x.yaml"],
        ["scale", "s.yaml", "--phi", "0..2", "--out", "locked/x"],
        ["search", "--evaluator", "benchmark", "--out", "locked/x"],
        ["export", "resnet50", "--to", "yaml", "--out", "s.yaml"],
    ],
)
def test_what_is_read_only_is_refused(arguments, here, monkeypatch):
    # asked of the system, but not by chmod: root may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name not in ("locked", "s.yaml"))
    with pytest.raises(InputError, match="read-only"):
        cli.main(arguments, standalone_mode=False)


def test_what_is_of_the_same_kind_is_replaced(here):
    for target in ("s.yaml", "new.yaml", "new.yaml"):
        cli.main(["export", "resnet50", "--to", "yaml", "--out", target], standalone_mode=False)
        assert "resnet50" in (here / target).read_text()
    for _ in range(2):
        cli.main(["show", "run", "--diagram", "x.svg"], standalone_mode=False)
        cli.main(["report", "run"], standalone_mode=False)
        cli.main(["scale", "w.pt", "--phi", "0..1", "--out", "full", "--plot", "x.png"],
                 standalone_mode=False)  # fmt: skip
        cli.main(["export", "w.pt", "--to", "torchscript", "--out", "x.pt"], standalone_mode=False)
    assert (here / "full" / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in (here / "full").iterdir()) == [
        "mine.txt", "small-phi1.yaml", "small.yaml",
    ]  # fmt: skip


@pytest.mark.slow
def test_every_kind_that_we_write_is_known_again(here):
    """Else a second run of the same command would be refused, or another kind taken for it."""
    for form, ending in (("onnx", "onnx"), ("exported", "pt2"), ("torchscript", "ts"), ("timm", "py")):
        cli.main(["export", "w.pt", "--to", form, "--out", f"x.{ending}"], standalone_mode=False)
    cli.main(["export", "s.yaml", "--to", "timm", "--out", "x.json"], standalone_mode=False)
    cli.main(["show", "s.yaml", "--diagram", "x.png"], standalone_mode=False)
    cli.main(["show", "s.yaml", "--diagram", "x.svg"], standalone_mode=False)
    cli.main(["report", "run", "--out", "x.html"], standalone_mode=False)
    cli.main(["space", "mnasnet", "--out", "x.yaml"], standalone_mode=False)
    (here / "x.gz").write_bytes(b"\x1f\x8b")
    found = {path.suffix: kind_of(path) for path in here.glob("x.*")}
    found |= {".safetensors": kind_of(here / "x.safetensors"), "w.pt": kind_of(here / "w.pt")}
    assert found == {
        ".onnx": "ONNX model", ".pt2": "exported program", ".ts": "TorchScript program",
        ".py": "Python module", ".safetensors": "weights", ".json": "arguments", ".png": "PNG picture",
        ".svg": "SVG picture", ".html": "HTML page", ".yaml": "space", ".gz": "archive",
        "w.pt": "checkpoint",
    }  # fmt: skip
    elsewhere = {"spec", "latency table", "comparison", "Markdown page", "table of predictions"}
    elsewhere |= {"benchmark of runs", "table of trainings"}  # tests of their commands write them twice
    assert {*found.values(), *elsewhere} == {*SUFFIXES, "checkpoint"}


def test_links_are_followed_and_devices_written_through(here, capfd):
    write_atomically("s-link.yaml", "linked")
    assert (os.readlink("s-link.yaml"), (here / "s.yaml").read_text()) == ("s.yaml", "linked")
    write_atomically("dangling", "made")
    assert (here / "nowhere").read_text() == "made"
    write_atomically("/dev/null", "gone")
    assert not os.path.isfile("/dev/null")
    cli.main(["export", "resnet50", "--to", "yaml", "--out", "/dev/stdout"], standalone_mode=False)
    cli.main(["export", "resnet50", "--to", "yaml", "--out", "-"], standalone_mode=False)
    assert capfd.readouterr().out.count("name: resnet50") == 2
    with pytest.raises(InputError, match="No space left"):
        write_atomically("/dev/full", "too much")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(InputError, match="socket"):
            declare([Target("socket", "spec")])
    write_atomically("y" * 250, "long")
    assert (here / ("y" * 250)).read_text() == "long"


def test_the_home_folder_and_names_of_networks(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "full"))
    cli.main(["export", "resnet50", "--to", "yaml", "--out", "~/x.yaml"], standalone_mode=False)
    assert (here / "full" / "x.yaml").is_file()
    assert not (here / "~").exists()
    names = ("../../etc/x", ".hidden", "a b/c", "-rf", "/", "x" * 200, "é", "\u65e5" * 90)
    assert [file_stem(name) for name in names] == [
        "etc-x", "hidden", "a-b-c", "rf", "network", f"{'x' * 60}-{'x' * 39}", "é", "\u65e5" * 20 + "-" + "\u65e5" * 13,
    ]  # fmt: skip


def test_a_checkpoint_a_run_or_a_trainings_folder_is_taken_where_a_spec_is(here, capsys):
    def printed(*arguments):
        cli.main([*arguments, "--json"], standalone_mode=False)
        return capsys.readouterr().out

    expected = printed("cost", "s.yaml")
    for what in ("w.pt", "renamed", "link.pt", "training", "training/", "./training/best.pt"):
        assert printed("cost", what) == expected
        assert printed("show", what) == printed("show", "s.yaml")
        assert printed("show", what, "resnet50") == printed("show", "s.yaml", "resnet50")
        assert printed("scale", what, "--phi", "1") == printed("scale", "s.yaml", "--phi", "1")
        cli.main(["export", what, "--to", "json"], standalone_mode=False)
        assert '"name": "small"' in capsys.readouterr().out
    assert "small" in printed("latency", "training", "--runs", "1")
    for command in (["cost"], ["scale", "--phi", "1"]):
        assert printed(command[0], "run", *command[1:]) == printed(command[0], "run/best.yaml", *command[1:])
    cli.main(["export", "training", "--to", "torchscript", "--out", "x.ts"], standalone_mode=False)
    images = torch.rand(2, 3, 33, 40)
    model = build(SMALL, seed=0).eval()
    assert torch.allclose(torch.jit.load("x.ts")(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("", "unknown network ''"),
        ("full", "a folder without a run"),
        ("notes.txt", "expected a mapping"),
        ("photo.png", "holds no spec and no checkpoint"),
        ("dangling", "a link to nothing"),
        ("loop", "symbolic links"),
        ("x" * 300, "name too long"),
        ("a\0b", "null"),
        ("~nobody-at-all/x", "home"),
        ("efficientnet-b9", "did you mean 'efficientnet-b"),
        ("run/trials.jsonl", "malformed"),
    ],
)
def test_what_has_no_network_says_why(what, message, here):
    with pytest.raises(InputError) as refused:
        cli.main(["cost", what], standalone_mode=False)
    assert message in str(refused.value)


def test_a_line_in_a_pipe_stays_whole(capsys):
    """Whatever folder it names; a table has a width all the same."""
    from rich.table import Table

    from nas.commands.common import progress

    long = f"search in {'a folder/' * 30}: 4 trials"
    table = Table("where", "trials")
    table.add_row(long, "4")
    progress().print(long, style="dim")
    progress().print(table)
    first, *rows = capsys.readouterr().err.splitlines()
    assert first == long
    assert rows
    assert max(map(len, rows)) <= 120
