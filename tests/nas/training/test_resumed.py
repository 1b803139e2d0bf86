"""Going on with a training: more epochs, moved data, a test that failed; and what the figures are of."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from nas.cli import main
from nas.data.load import load_data
from nas.errors import TrialFailedError
from nas.report.training import result_document, result_lines, write_result
from nas.training.batches import Batches
from nas.training.checkpoint import load_checkpoint
from nas.training.full import FullTraining, Outputs
from nas.training.presets import make_recipe
from nas.training.trainer import Trainer
from nas.training.training_plan import TrainingPlan
from search_spaces import InputError
from tests.command import refused
from tests.nas.training.test_full import same, trained
from tests.nas.training.test_training import SMALL
from tests.nas.training.test_unreadable import images, spoil

CONSTANT = {"schedule": "constant", "warmup": 0.5, "epochs": 2}


def command(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code, *capsys.readouterr()


def test_more_epochs_where_they_are_the_same_training(tmp_path):
    trained(tmp_path / "whole.pt", recipe={**CONSTANT, "epochs": 4})
    trained(tmp_path / "parts.pt", recipe=CONSTANT)
    resumed = FullTraining.resume(tmp_path / "parts.pt", epochs=4)
    assert not resumed.done
    resumed.run()
    whole, parts = (load_checkpoint(tmp_path / name) for name in ("whole.pt", "parts.pt"))
    assert same(whole[1], parts[1])
    assert whole[2]["plan"] == parts[2]["plan"]
    with pytest.raises(InputError, match="epochs 3: 4 are done already"):
        FullTraining.resume(tmp_path / "parts.pt", epochs=3)


def test_more_epochs_where_they_would_be_another_training(tmp_path):
    trained(tmp_path / "t.pt", recipe={"epochs": 1})
    with pytest.raises(
        InputError, match=r"laid out over 1 epochs \(cosine\).*nas train --from .*t.pt --epochs 5"
    ):
        FullTraining.resume(tmp_path / "t.pt", epochs=5)
    assert FullTraining.resume(tmp_path / "t.pt", epochs=1).done
    trained(tmp_path / "u.pt", recipe={**CONSTANT, "epochs": 1, "warmup": 1})  # its warm-up was cut to a half
    with pytest.raises(InputError, match="would have been another training"):
        FullTraining.resume(tmp_path / "u.pt", epochs=2)


def on_files(tmp_path, recipe=None):
    """A training on image files, given as a user in `tmp_path` would."""
    recipe = make_recipe("sgd", {"batch": 40, "epochs": 1, **(recipe or {})})
    spec = recipe.adapt(SMALL.replace(in_channels=3, num_classes=3))
    training = FullTraining(
        TrainingPlan(spec, recipe, "imagefolder:pics"), Outputs.at(tmp_path / "t.pt"), workers=0
    )
    training.prepare()
    return training


def test_data_is_found_from_elsewhere_and_may_be_moved(tmp_path, monkeypatch):
    images(tmp_path / "pics", 40)
    monkeypatch.chdir(tmp_path)
    on_files(tmp_path).run()
    os.chdir("/")
    assert FullTraining.resume(tmp_path / "t.pt", workers=0).done
    (tmp_path / "pics").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="pics: no folder here"):
        FullTraining.resume(tmp_path / "t.pt", workers=0)
    os.chdir(tmp_path)
    resumed = FullTraining.resume(tmp_path / "t.pt", workers=0, data="imagefolder:moved")
    assert resumed.plan.data == f"imagefolder:{tmp_path}/moved"
    assert resumed.result()["test"]["images"] == 12
    images(tmp_path / "other", 41)
    with pytest.raises(InputError, match="its digest is"):
        FullTraining.resume(tmp_path / "t.pt", workers=0, data="imagefolder:other")


def test_the_start_of_a_transfer_is_kept_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe("adamw")
    assert TrainingPlan(SMALL, recipe, "digits", start="../x.pt").start == f"{tmp_path}/../x.pt"
    assert TrainingPlan(SMALL, recipe, "cifar10", data_root="d").data_root == f"{tmp_path}/d"


def test_a_failed_test_keeps_checkpoint_and_card_and_is_repeated(tmp_path, monkeypatch, capsys):
    images(tmp_path / "pics", 40)
    (tmp_path / "small.json").write_text(json.dumps(SMALL.to_document()))
    monkeypatch.chdir(tmp_path)
    test = load_data("imagefolder:pics").test
    whole = {key: Path(key).read_bytes() for key in test.keys}
    real = Trainer.run_epoch

    def then_broken(self):
        row = real(self)
        spoil(test, range(5))  # after the look before the first epoch
        return row

    monkeypatch.setattr(Trainer, "run_epoch", then_broken)
    flags = ["--data", "imagefolder:pics", "--epochs", "1", "--resolution", "8", "--workers", "0"]
    code, out, err = command(["train", "small.json", *flags, "--out", "t.pt"], monkeypatch, capsys)
    last = err.strip().splitlines()[-1]
    assert code == 1
    assert out == ""
    assert "all 1 epochs are trained and in t.pt, but the test failed" in last
    assert "5 of the 12 test images can't be read" in last
    assert "nas train --resume t.pt" in last
    card = (tmp_path / "t" / "MODEL_CARD.md").read_text()
    assert "Not scored on the test split: data set" in card
    assert not (tmp_path / "t" / "confusion.csv").exists()
    before = (tmp_path / "t.pt").read_bytes()
    # resumed while they are broken: said before anything else; mended: scored, and nothing is trained
    refused(["train", "--resume", "t.pt"], "5 of the 12 test images", monkeypatch, capsys, tmp_path)
    for key, content in whole.items():
        Path(key).write_bytes(content)
    monkeypatch.setattr(Trainer, "run_epoch", None)
    code, out, _ = command(["train", "--resume", "t.pt", "--workers", "0"], monkeypatch, capsys)
    assert code == 0
    assert "12 images" in out
    assert (tmp_path / "t.pt").read_bytes() == before
    assert "Not scored" not in (tmp_path / "t" / "MODEL_CARD.md").read_text()


def test_broken_test_files_are_seen_before_the_first_epoch(tmp_path, monkeypatch, capsys):
    images(tmp_path / "pics", 40)
    (tmp_path / "small.json").write_text(json.dumps(SMALL.to_document()))
    spoil(load_data(f"imagefolder:{tmp_path / 'pics'}").test, [3, 7])
    monkeypatch.setattr(Trainer, "run_epoch", None)
    monkeypatch.chdir(tmp_path)
    flags = ["--data", "imagefolder:pics", "--resolution", "8", "--out", "t.pt"]
    code, out, err = command(["train", "small.json", *flags], monkeypatch, capsys)
    assert (code, out) == (2, "")
    assert "2 of the 12 test images can't be read, more than 1%, e.g. " in err.splitlines()[-1]
    assert not (tmp_path / "t.pt").exists()


def test_figures_say_what_they_are_of(tmp_path):
    """The last epoch's test accuracy and the best one's are told apart, each beside its held-out accuracy."""
    training = trained(tmp_path / "t.pt", recipe={"lr": 0.05, "epochs": 3, "schedule": "constant"})
    training.rows[0]["accuracy"] = 1.0  # so that the best is another than the last
    result = training.result()
    assert result["best"]["test"] is None  # best.pt is of the epoch that was
    _, state, _ = load_checkpoint(tmp_path / "t.pt")
    training.rows[0]["accuracy"] = 0.0
    best, rows = training.best_epoch, training.rows
    result = training.result()
    last_line, *more = result_lines(training, result)
    assert last_line.startswith(f"last epoch (3): test accuracy {result['test']['accuracy']:.4f}, top-5 ")
    assert "360 images" in last_line
    if best is not rows[-1]:
        assert more[0].startswith(f"best epoch ({best['epoch']}): test accuracy")
    document = result_document(training, result)
    assert document["images"] == {"train": 1000, "held_out": 437, "test": 360}
    assert document["test_epoch"] == 3
    assert document["epochs"][0].keys() >= {
        "held_out_accuracy",
        "held_out_top5",
        "train_loss",
        "held_out_loss",
    }
    assert "accuracy" not in document["epochs"][0]
    write_result(training, result)
    card = (tmp_path / "t" / "MODEL_CARD.md").read_text()
    assert "437 held-out and 360 test images" in card
    assert state["epoch"] == 3


def test_top5_of_few_classes_is_left_out(tmp_path, monkeypatch):
    images(tmp_path / "pics", 40)
    monkeypatch.chdir(tmp_path)
    training = on_files(tmp_path)
    training.run()
    result = training.result()
    assert "top5" not in result["test"]
    assert "top5" not in training.rows[0]
    assert result_document(training, result)["test_top5"] is None
    assert "top-5" not in result_lines(training, result)[0]
    write_result(training, result)
    assert "Of so few classes a top-5 score says nothing" in (tmp_path / "t" / "MODEL_CARD.md").read_text()


def test_few_images_are_worth_a_word(tmp_path, monkeypatch, capsys):
    images(tmp_path / "pics", 24)
    (tmp_path / "small.json").write_text(json.dumps(SMALL.to_document()))
    monkeypatch.chdir(tmp_path)
    flags = ["--data", "imagefolder:pics", "--epochs", "1", "--resolution", "8", "--workers", "0"]
    code, _, err = command(["train", "small.json", *flags, "--out", "t.pt"], monkeypatch, capsys)
    assert code == 0
    assert "held-out: 12 images, one is 8.3 points of accuracy" in err
    assert "test: 12 images, one is 8.3 points of accuracy" in err


def test_an_optimizer_of_another_network_is_refused(tmp_path):
    training = trained(tmp_path / "t.pt", stop_after=1)
    state = training.trainer.state_dict()
    first = state["optimizer"]["state"][0]
    first["exp_avg"] = torch.zeros(3)
    training._save(tmp_path / "t.pt")
    with pytest.raises(InputError, match=r"its optimizer's state is not of its spec: exp_avg is \(3,\)"):
        FullTraining.resume(tmp_path / "t.pt")


def test_a_killed_decoder_is_one_line(tmp_path, monkeypatch):
    images(tmp_path / "pics", 40)
    data = load_data(f"imagefolder:{tmp_path / 'pics'}").at(8)
    monkeypatch.setattr("nas.data.decoding.read_image", lambda *rest: os._exit(9))
    with pytest.raises(TrialFailedError, match="one of the 1 decoding processes was ended from outside"):
        list(Batches(data, make_recipe("sgd"), torch.device("cpu"), 1).evaluation("test"))
    shutil.rmtree(tmp_path / "pics")
