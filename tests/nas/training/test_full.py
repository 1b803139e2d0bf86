"""Full trainings: exact resumption, their files, transfer, and what goes wrong with them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from nas.data.load import load_data
from nas.errors import TrialFailedError
from nas.network.builder import build
from nas.training.checkpoint import load_checkpoint, save_checkpoint
from nas.training.full import FullTraining, Outputs
from nas.training.presets import make_recipe
from nas.training.trainer import Trainer
from nas.training.training_plan import TrainingPlan
from nas.training.transfer import trained_weights, transfer
from search_spaces import InputError, StageSpec, StemSpec, read_spec
from tests.command import good, nas, refused
from tests.nas.training.test_training import SMALL


def plan(**changes):
    recipe = make_recipe("adamw", {"epochs": 3, "batch": 100, **changes.pop("recipe", {})})
    return TrainingPlan(recipe.adapt(SMALL), recipe, "digits", **changes)


def trained(target, stop_after=None, **changes):
    training = FullTraining(plan(**changes), Outputs.at(target))
    training.prepare()

    def tick(row):
        if row["epoch"] == stop_after:
            raise KeyboardInterrupt

    try:
        training.run(tick)
    except KeyboardInterrupt:
        assert stop_after is not None
    return training


def same(a, b):
    """Whether two states hold the same numbers, bit by bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "augment": "randaugment", "mixup": 0.3}])
def test_resumed_equals_uninterrupted_to_the_bit(changes, tmp_path):
    whole = trained(tmp_path / "whole.pt", recipe=changes)
    trained(tmp_path / "parts.pt", stop_after=1, recipe=changes)
    torch.manual_seed(4711)
    resumed = FullTraining.resume(tmp_path / "parts.pt")
    assert len(resumed.rows) == 1
    resumed.run()
    states = [load_checkpoint(tmp_path / name)[1] for name in ("whole.pt", "parts.pt")]
    assert same(*states)
    timeless = [
        [{k: v for k, v in row.items() if "second" not in k} for row in t.rows] for t in (whole, resumed)
    ]
    assert timeless[0] == timeless[1]


def test_stopped_in_its_first_epoch_it_begins_anew(tmp_path, monkeypatch):
    (tmp_path / "small.yaml").write_text(json.dumps(SMALL.to_document()))
    command = [
        "train",
        "small.yaml",
        "--data",
        "digits",
        "--epochs",
        "2",
        "--set",
        "batch=100",
        "--seed",
        "5",
    ]
    good(*command, "--out", "whole.pt", cwd=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        assert nas(*command, "--out", "parts.pt", cwd=tmp_path).returncode == 130
    assert not (tmp_path / "parts.pt").exists()
    other = nas(*command, "--out", "parts.pt", cwd=tmp_path)
    assert (other.returncode, "continue it with --resume" in other.stderr) == (2, True)
    again = nas("train", "--resume", "parts.pt", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "stopped in its first epoch: it begins anew" in again.stderr
    assert same(*[load_checkpoint(tmp_path / name)[1] for name in ("whole.pt", "parts.pt")])


@pytest.mark.slow
def test_the_command_killed_and_resumed(tmp_path):
    """SIGKILL in the middle; the resumed training ends equal to one that ran through."""
    spec = tmp_path / "small.yaml"
    spec.write_text(json.dumps(SMALL.to_document()))
    flags = ["--data", "digits", "--epochs", "12", "--resolution", "8", "--json", "--set", "batch=20"]
    whole = json.loads(good("train", spec, *flags, "--out", tmp_path / "whole.pt"))
    target = tmp_path / "parts.pt"
    command = [sys.executable, "-m", "nas", "train", str(spec), *flags, "--out", str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while not target.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(load_checkpoint(target)[2]["rows"]) < 12
    resumed = json.loads(good("train", "--resume", target, "--json"))
    for key in ("test_accuracy", "test_loss", "confusion", "best"):
        assert resumed[key] == whole[key]
    assert same(load_checkpoint(target)[1], load_checkpoint(tmp_path / "whole.pt")[1])


def test_the_files_of_a_training(tmp_path):
    spec = tmp_path / "small.yaml"
    spec.write_text(json.dumps(SMALL.to_document()))
    flags = ["--data", "digits", "--epochs", "6", "--resolution", "8", "--set", "ema=0.9"]
    document = json.loads(good("train", spec, *flags, "--out", tmp_path / "w.pt", "--json"))
    folder = tmp_path / "w"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"best.pt", "train.yaml", "spec.yaml", "confusion.csv", "MODEL_CARD.md"}
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert read_spec(str(folder / "spec.yaml")).digest == document["digest"]
    rows = list(csv.reader((folder / "confusion.csv").open()))
    counts = [[int(cell) for cell in row[1:]] for row in rows[1:]]
    assert sum(map(sum, counts)) == 360
    right = sum(counts[i][i] for i in range(10)) / 360
    assert right == pytest.approx(document["test_accuracy"])
    assert document["test_top5"] >= document["test_accuracy"] > 0.5
    card = (folder / "MODEL_CARD.md").read_text()
    assert document["digest"] in card
    assert f"{document['test_accuracy']:.4f}" in card
    assert "optimizer: adamw" in (folder / "train.yaml").read_text()
    # a folder as --out, the same training
    again = json.loads(good("train", spec, *flags, "--out", tmp_path / "run", "--json"))
    assert again["test_accuracy"] == document["test_accuracy"]
    assert (tmp_path / "run" / "last.pt").is_file()


def test_the_curves_have_no_gap_when_resumed(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from nas.report.tensorboard import TrainingCurves

    training = trained(tmp_path / "t.pt", stop_after=2)
    TrainingCurves(tmp_path / "t", training.rows).close()
    resumed = FullTraining.resume(tmp_path / "t.pt")
    assert resumed.times == training.times
    curves = TrainingCurves(tmp_path / "t", resumed.rows, resumed.times)
    resumed.run(curves.add)
    curves.tested(resumed.result()["test"], 3)
    curves.close()
    events = EventAccumulator(str(tmp_path / "t"))
    events.Reload()
    assert [event.step for event in events.Scalars("held_out/accuracy")] == [1, 2, 3]
    times = [event.wall_time for event in events.Scalars("held_out/accuracy")]
    assert times[:2] == training.times  # when they were trained, not when the file was written anew
    assert times[1] < resumed.times[2] <= times[2]
    assert [event.step for event in events.Scalars("test/accuracy")] == [3]


def test_divergence_keeps_the_last_good_checkpoint(tmp_path):
    training = trained(tmp_path / "t.pt", stop_after=2)
    with torch.no_grad():
        next(training.trainer.model.parameters()).fill_(torch.nan)
    with pytest.raises(TrialFailedError, match="diverged.*epoch 3"):
        training.run()
    assert len(load_checkpoint(tmp_path / "t.pt")[2]["rows"]) == 2


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    training = trained(tmp_path / "t.pt", stop_after=2)
    before = (tmp_path / "t.pt").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        training.run()
    monkeypatch.undo()
    assert (tmp_path / "t.pt").read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert FullTraining.resume(tmp_path / "t.pt").trainer.epoch == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_disk_that_fills_up_while_the_command_trains(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        spec, target = tmp_path / "small.yaml", disk / "t.pt"
        spec.write_text(json.dumps(SMALL.to_document()))
        flags = ["--data", "digits", "--epochs", "60", "--resolution", "8", "--set", "batch=20"]
        command = [sys.executable, "-m", "nas", "train", str(spec), *flags, "--out", str(target)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not target.exists():
            assert process.poll() is None
            time.sleep(0.02)
        with pytest.raises(OSError, match="No space"), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 4096)
        _, err = process.communicate(timeout=100)
        assert process.returncode == 2, err
        assert "No space left on device" in err
        assert "Traceback" not in err
        done = len(load_checkpoint(target)[2]["rows"])
        assert 1 <= done < 60
        (disk / "ballast").unlink()
        document = json.loads(good("train", "--resume", target, "--json"))
        assert [row["epoch"] for row in document["epochs"]] == list(range(1, 61))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_other_data_is_not_gone_on_with(tmp_path, monkeypatch):
    trained(tmp_path / "t.pt", stop_after=1)
    digits = load_data("digits")
    other = type(digits)(**vars(digits) | {"digest": "0" * 16})
    monkeypatch.setattr("nas.training.full.load_data", lambda *place: other)
    with pytest.raises(InputError, match="its digest is 0000"):
        FullTraining.resume(tmp_path / "t.pt")


def test_transfer_takes_all_but_the_classifier(tmp_path):
    trained(tmp_path / "t.pt", recipe={"ema": 0.9})
    source, state, _ = load_checkpoint(tmp_path / "t.pt")
    weights = trained_weights(state)
    model = build(source.replace(num_classes=4, resolution=12, dropout=0.0, in_channels=3), 1)
    fresh = transfer(source, weights, model, "t.pt")
    assert fresh == [f"head.{len(model.head) - 1}.{name}" for name in ("weight", "bias")]
    own = model.state_dict()
    for name, value in weights.items():
        if name == "stem.0.0.weight":
            assert torch.allclose(own[name].sum(1, keepdim=True), value, atol=1e-6)
        elif name in own and name not in fresh and not name.startswith("head.4"):
            assert torch.equal(own[name], value), name
    # a grey image on three channels gives what it gave on one
    grey = build(source, 2)
    grey.load_state_dict(weights)
    image = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.allclose(
            model.eval().stem(image.expand(-1, 3, -1, -1)), grey.eval().stem(image), atol=1e-5
        )


def test_frozen_parts_stay(tmp_path):
    trained(tmp_path / "t.pt")
    before = trained_weights(load_checkpoint(tmp_path / "t.pt")[1])
    trained(tmp_path / "f.pt", start=str(tmp_path / "t.pt"), frozen=2)
    after = trained_weights(load_checkpoint(tmp_path / "f.pt")[1])
    for name, value in before.items():
        if name.startswith(("stem.", "stages.0.")):
            assert torch.equal(after[name], value), name
    assert any(not torch.equal(after[n], v) for n, v in before.items() if n.startswith("stages.1."))


def test_bad_starts(tmp_path, monkeypatch, capsys):
    def refuse(arguments, words):
        refused(["train", *arguments], words, monkeypatch, capsys, tmp_path)

    trained(tmp_path / "t.pt")
    other = SMALL.replace(stem=StemSpec(12, stride=1), stages=(StageSpec("ds", 16),))
    save_checkpoint(tmp_path / "lie.pt", other, load_checkpoint(tmp_path / "t.pt")[1], {})
    refuse(["mobilenet-v2", "--from", "t.pt", "--out", "x.pt"], "whose blocks are not those of")
    refuse(["--from", "lie.pt", "--out", "x.pt"], "its weights are not those of its spec")
    refuse(["--from", "none.pt", "--out", "x.pt"], "No such file")
    refuse(["--from", "t.pt", "--freeze", "9", "--out", "x.pt"], "freeze 9")
    refuse(["mobilenet-v2", "--freeze", "1", "--out", "x.pt"], "only with --from")
    refuse(["--out", "x.pt"], "give a network")
    refuse(["mobilenet-v2", "--out", "t.pt"], "exists already")
    refuse(["--resume", "lie.pt"], "its weights are not those of its spec")
    refuse(["mobilenet-v2", "--resume", "t.pt"], "leave SPEC")
    refuse(["mobilenet-v2", "--top", "2"], "no run there")
    refuse(["mobilenet-v2", "--workers", "-1"], "workers -1")
    refuse(["mobilenet-v2", "--recipe", "adamm"], "did you mean 'adamw'")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_transfer_helps_at_equal_epochs(tmp_path):
    """From Fashion-MNIST to digits, against from scratch, over three seeds."""
    try:
        load_data("fashion-mnist")
    except InputError as error:
        pytest.skip(str(error))
    flags = ["--width", "0.25", "--resolution", "28", "--stem-stride", "1", "--json"]
    source = tmp_path / "fashion.pt"
    good("train", "mobilenet-v2", "--data", "fashion-mnist", "--subset", "0.3", "--epochs", "6", *flags,
         "--out", source)  # fmt: skip
    scores = {"scratch": [], "transfer": []}
    for seed in range(3):
        common = ["--data", "digits", "--epochs", "4", "--seed", seed, "--json"]
        scratch = good("train", "mobilenet-v2", *common, *flags, "--out", tmp_path / f"s{seed}.pt")
        started = good("train", "--from", source, *common, "--out", tmp_path / f"t{seed}.pt")
        scores["scratch"].append(json.loads(scratch)["test_accuracy"])
        scores["transfer"].append(json.loads(started)["test_accuracy"])
    print(scores)
    assert min(scores["transfer"]) > max(scores["scratch"])


def test_help_names_the_presets():
    assert "mnasnet-proxy" in good("train", "--help")
    assert nas("train", "--help").returncode == 0
