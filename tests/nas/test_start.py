"""`nas start`: a folder of images in, a plan, and by it a network in use."""

import json
import shlex
from io import StringIO

import click
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from nas.api import run_start
from nas.commands import start as start_command
from nas.search.journal import read_records
from nas.training.speed import Speed
from search_spaces.document import read_document, write_document
from search_spaces.errors import InputError
from tests.command import good, nas
from tests.small_space import SHALLOW


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes that a network can tell: bright above, bright below."""
    folder, rng = tmp_path_factory.mktemp("data") / "my photos", np.random.default_rng(0)
    for name in ("above", "below"):
        (folder / name / "more").mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 120, (24, 30, 3), dtype=np.uint8)
            half = slice(0, 12) if name == "above" else slice(12, 24)
            pixels[half] += 120
            inside = folder / name / ("more" if number % 4 == 0 else ".")
            Image.fromarray(pixels).save(inside / f"{number}.png")
    (folder / "above" / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Measures for a moment."""
    monkeypatch.setattr(start_command, "_MEASURING", 0.2)


@pytest.mark.timeout(280)
def test_from_a_folder_to_predictions(trainings, quick, photos, tmp_path):
    (tmp_path / "space.yaml").write_text(SHALLOW)
    begin = ["start", photos, "--space", "space.yaml", "--exportable-to", "onnx", "--hours", "0.001"]
    done = nas(*begin, "--trials", "2", "--out", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for words in (
        "67 training images (11 of them held out), 13 test images",
        "2 classes, 33 to 34 images",
        "skipped 1 entry: .txt 1",
        "no train/: the 2 folders are the classes",
        "scored images: an accuracy has a standard error",
    ):
        assert words in said
    printed = [shlex.split(line)[1:] for line in done.stdout.splitlines() if line.startswith("  nas ")]
    assert [command[0] for command in printed] == ["search", "train", "export", "report"]
    assert len(read_records(tmp_path / "mine" / "search")) == 2
    best = read_document(tmp_path / "mine" / "search" / "best.yaml")
    assert (best["num_classes"], best["resolution"]) == (2, 32)
    assert read_document(tmp_path / "mine" / "plan.yaml")["commands"] == printed
    for file in ("winner.pt", "winner.onnx", "report.html"):
        assert (tmp_path / "mine" / file).is_file()
    say = json.loads(good("predict", "mine/winner.onnx", photos, "--json", cwd=tmp_path))
    same = json.loads(good("predict", "mine/winner.pt", photos, "--json", cwd=tmp_path))
    labels = [[image["class"] for image in found["images"]] for found in (say, same)]
    assert labels[0] == labels[1]
    assert set(labels[0]) <= {"above", "below"}

    # the same again repeats the test alone; another wish is refused
    before = (tmp_path / "mine" / "search" / "trials.jsonl").read_bytes()
    again = nas("start", photos, "--out", "mine", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count(": done already\n") == 3
    assert (tmp_path / "mine" / "search" / "trials.jsonl").read_bytes() == before
    other = nas("start", photos, "--out", "mine", "--hours", "3", cwd=tmp_path)
    assert (other.returncode, "has its plan already; leave --hours 3" in other.stderr) == (2, True)
    third = nas("start", "digits", "--out", "mine", cwd=tmp_path)
    assert (third.returncode, "its plan is for 'imagefolder:" in third.stderr) == (2, True)
    (tmp_path / "mine").rename(tmp_path / "moved")
    moved = nas("start", photos, "--out", "moved", cwd=tmp_path)
    assert (moved.returncode, "its plan is one for" in moved.stderr) == (2, True)


def test_a_plan_that_came_with_the_folder_is_not_run(tmp_path):
    """Its commands would write wherever they say."""
    place, victim = tmp_path / "theirs", tmp_path / "mine.yaml"
    place.mkdir()
    commands = [["export", "resnet50", "--to", "yaml", "--out", str(victim)]]
    document = {"schema": 1, "out": str(place), "plan": {"data": "digits"}, "lines": [], "commands": commands}
    for more in ({}, {"signature": "0" * 64}):
        write_document(place / "plan.yaml", document | more)
        done = nas("start", "digits", "--out", place)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "were not written by you" in done.stderr
        assert not victim.exists()


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """Plans with a speed that was measured elsewhere; the document of `--plan --json`."""
    from nas.cluster import gpus as cards_of
    from nas.cluster import nodes, speed

    monkeypatch.setattr(nodes, "connect", lambda address: None)
    monkeypatch.setattr(speed, "speeds_on_ray", lambda specs, *more: Speed((300.0,) * len(specs), 1.0))
    (tmp_path / "space.yaml").write_text(SHALLOW)

    def plan(*arguments, gpus=0, memory=None, usable=True):
        node = {"Alive": True, "Resources": {"CPU": 4, "GPU": gpus}}
        monkeypatch.setattr(nodes.ray, "nodes", lambda: [node])
        monkeypatch.setattr(cards_of, "look_at_cards", lambda: cards_of.Cards(gpus, memory, usable))
        monkeypatch.setattr(speed, "count_devices", lambda: speed.Devices(4, gpus, 1))
        return json.loads(good("start", *arguments, "--plan", "--json", cwd=tmp_path))

    return plan


@pytest.mark.parametrize(
    "option",
    [
        ["--space", "space.yaml"],
        ["--exportable-to", "torchvision"],
        ["--target", "20M"],
        ["--trials", "17"],
        ["--seed", "3"],
        ["--concurrent", "1"],
        ["--address", "auto"],
        ["--hours", "9"],
        ["--out", "there"],
    ],
)
def test_an_option_changes_the_plan(planned, option):
    plain, changed = planned("digits"), planned("digits", *option)
    assert plain == planned("digits")
    assert plain["commands"] != changed["commands"]
    assert option[1] in " ".join(changed["commands"][0]) or option[0] in ("--hours", "--target")
    assert "20000000" in changed["commands"][0] or option[0] != "--target"


def test_gpus_are_used_and_priced(planned):
    plan = planned("digits", "--gpu-hour", "3", gpus=2)
    assert plan["plan"]["at_once"] == 2
    assert plan["plan"]["price"] == pytest.approx(3 * plan["plan"]["gpu_hours"])
    assert any("GPU hours" in line and "at 3 an hour" in line for line in plan["lines"])
    search, train = plan["commands"][:2]
    assert "--gpus-per-trial" not in search  # it takes the same part of them
    assert any("2 at once on 1 GPU each" in line for line in plan["lines"])
    assert "--processes" not in train  # on this machine
    there = planned("digits", "--address", "auto", gpus=2)["commands"][1]
    assert there[there.index("--processes") :][:6] == [
        *("--processes", "1", "--gpus-per-trial", "1", "--address", "auto")
    ]
    shared = planned("digits", gpus=1, memory=80 << 30)
    assert (shared["plan"]["at_once"], shared["plan"]["gpus_each"]) == (4, 0.25)
    assert any("4 at once on 1/4 GPU each" in line for line in shared["lines"])
    assert any("4 share one" in line for line in shared["lines"])
    unusable = planned("digits", gpus=2, memory=80 << 30, usable=False)
    assert (unusable["plan"]["at_once"], unusable["plan"]["gpus"]) == (4, 0)
    assert any("without CUDA: trials train on CPUs" in line for line in unusable["lines"])
    with pytest.raises(AssertionError, match="concurrent 5: there is room for 4"):
        planned("digits", "--concurrent", "5", gpus=8)  # each needs a CPU besides


@pytest.mark.parametrize(
    ("formats", "files"),
    [
        ("timm,onnx", ["winner_timm.py", "winner.onnx"]),
        ("torchvision,exported,torchscript", ["winner_torchvision.py", "winner.pt2", "winner.ts"]),
        ("any", []),
    ],
)
def test_the_winner_is_exported_to_what_was_asked_for_or_the_plan_says_not(planned, formats, files):
    plan = planned("digits", "--exportable-to", formats)
    exports = [command for command in plan["commands"] if command[0] == "export"]
    assert [command[-1].rpartition("/")[2] for command in exports] == files
    assert any("it is not exported" in line for line in plan["lines"]) == (not files)


def test_a_missing_package_is_said_in_the_plan(planned, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = " ".join(planned("digits")["lines"])
    assert "timm is not installed: the export to timm will fail" in said
    assert "onnx is not installed: the export to onnx will fail" in said


@pytest.mark.parametrize("processes", [[], ["--processes", "1", "--gpus-per-trial", "1"]])
def test_a_training_that_was_stopped_goes_on_whether_it_has_a_checkpoint_or_not(tmp_path, processes):
    winner = tmp_path / "winner.pt"
    command = ["train", "run", *processes, "--out", str(winner)]
    assert start_command._remaining(command) == command
    (tmp_path / "winner").mkdir()
    (tmp_path / "winner" / "train.yaml").write_text("")
    again = ["train", "--resume", str(winner), *processes]
    assert start_command._remaining(command) == again
    winner.write_bytes(b"")
    assert start_command._remaining(command) == again


def test_columns_and_folders_go_into_the_commands(planned, photos, tmp_path):
    plan = planned(photos)
    assert f"imagefolder:{photos}" in plan["commands"][0]
    with pytest.raises(AssertionError, match="there is no GPU here"):
        planned("digits", "--gpu-hour", "3")
    with pytest.raises(AssertionError, match="concurrent 5: there is room for 4"):
        planned("digits", "--concurrent", "5")
    with pytest.raises(AssertionError, match="image-column"):
        planned(photos, "--image-column", "x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "data 'nowhere': no folder here, nor the name of a data set (digits"),
        (["space.yaml"], "data 'space.yaml': is no folder"),
        (["imagefolder"], "imagefolder:PATH"),
        (["digits", "--hours", "0"], "hours 0: expected more than 0"),
        (["digits", "--trials", "0"], "trials 0: expected"),
        (["digits", "--gpu-hour", "-1"], "gpu-hour -1: expected a price"),
        (["digits", "--exportable-to", "tflite"], "exportable-to"),
        (["digits", "--out", "full"], "full': exists and has no plan.yaml"),
        (["digits", "--data-root", "x"], "--data-root: only with"),
        (["digits", "--target", "much"], "target 'much'"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(arguments, message, tmp_path):
    (tmp_path / "space.yaml").write_text(SHALLOW)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    done = nas("start", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert "measuring" not in done.stderr


def test_a_refused_export_is_said_and_the_rest_goes_on(tmp_path):
    ran = []

    class Program(click.Command):
        def main(self, args, **more):
            ran.append(args[0])
            if args[0] == "export":
                raise InputError("outputs differ")

    document = {
        "commands": [
            ["export", "w.pt", "--to", "yaml", "--out", str(tmp_path / "w.yaml")],
            ["report", "run", "--out", str(tmp_path / "report.html")],
        ]
    }
    said = Console(file=StringIO(), width=100)
    with click.Context(Program("nas")), pytest.raises(InputError, match="outputs differ"):
        start_command._run(tmp_path, document, "nas start x", said)
    assert ran == ["export", "report"]
    assert "not exported: outputs differ" in said.file.getvalue()


def test_from_python_it_is_the_command(planned, monkeypatch, tmp_path):
    planned("digits")  # speeds that were measured elsewhere
    monkeypatch.chdir(tmp_path)
    ran = []

    def search_only(command):
        ran.append(command[0])
        if command[0] != "search":
            return None
        same = {"--trials", "--seed", "--out"}
        kept = [word for name in same for word in (name, command[command.index(name) + 1])]
        return ["search", "--evaluator", "benchmark", *kept]

    monkeypatch.setattr(start_command, "_remaining", search_only)
    run = run_start("digits", tmp_path / "mine", trials=3, seed=5, exportable_to="any", download=None)
    assert (run.folder, len(run.records), run.settings.seed) == (tmp_path / "mine" / "search", 3, 5)
    assert ran == ["search", "train", "report"]
    plan = read_document(tmp_path / "mine" / "plan.yaml")
    assert plan["commands"][0][:3] == ["search", "--data", "digits"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trial": 3}, "unknown option of nas.start 'trial'"),
        ({"trials": "many"}, "'many' is not a valid integer"),
        ({"hours": -1}, "hours -1: expected more than 0"),
        ({"plan": True}, "unknown option of nas.start 'plan'"),
    ],
)
def test_from_python_bad_options_are_the_commands_line(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run_start("digits", tmp_path / "mine", **options)
    assert not (tmp_path / "mine").exists()


def test_from_python_a_stop_is_an_interrupt(planned, monkeypatch, tmp_path):
    planned("digits")

    def stopped(*where):
        raise SystemExit(130)

    monkeypatch.setattr(start_command, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_start("digits", tmp_path / "mine")
