"""Distillation: the loss by hand, a student that learns from a teacher alone, and exact resumption."""

import pytest
import torch
from torch.nn import functional as F

from nas.data.preparation import Preparation
from nas.network.builder import build
from nas.training.checkpoint import load_checkpoint, load_model, save_checkpoint
from nas.training.distillation import Teacher
from nas.training.full import FullTraining, Outputs
from search_spaces import InputError
from tests.command import refused
from tests.nas.training.test_full import plan, same, trained
from tests.nas.training.test_training import SMALL


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    trained(path)
    return path


def test_the_distance_by_hand(teacher):
    _, model, own = load_model(teacher)
    other = Preparation(own.resolution, 1, (0.1,), (0.7,), own.crop, own.classes)
    pixels = torch.rand(4, 1, own.resolution, own.resolution)
    mean, std = own.mean[0], own.std[0]
    found = Teacher(str(teacher), other, 2.0)
    logits = torch.randn(4, 10)
    with torch.no_grad():
        theirs = model.eval()((pixels - mean) / std)  # it sees its own normalisation
        images = (pixels - 0.1) / 0.7
        torch.testing.assert_close(found(images), theirs, rtol=1e-4, atol=1e-4)
        p, q = theirs.div(2).softmax(1), logits.div(2).softmax(1)
        expected = 4 * (p * (p / q).log()).sum(1).mean()
        torch.testing.assert_close(found.distance(images, logits), expected, rtol=1e-3, atol=1e-4)
        assert found.distance(images, theirs) < 1e-4
        small = F.interpolate(images, size=(6, 6), mode="bilinear", antialias=True)
        assert found(small).shape == (4, 10)  # at its own resolution


def test_of_the_teacher_alone_the_labels_say_nothing(teacher, tmp_path):
    """With all of the loss the teacher's, wrong labels make the same student, and it comes nearer to it."""

    def weights(wrong):
        settings = plan(recipe={"distillation": 1.0}, teacher=str(teacher))
        training = FullTraining(settings, Outputs.at(tmp_path / "s.pt"))
        training.prepare()
        trainer = training.trainer
        plain = trainer.batches.train
        if wrong:
            trainer.batches.train = lambda seed: ((x, torch.zeros_like(y)) for x, y in plain(seed))
        ((images, _), *_) = trainer.batches.evaluation("held_out", 200)

        def distance():
            with torch.no_grad():
                return trainer.teacher.distance(images, trainer.model.eval()(images)).item()

        before = distance()
        trainer.run_epoch()
        assert distance() < before
        return trainer.model.state_dict()

    assert same(weights(wrong=False), weights(wrong=True))


def test_resumed_it_ends_equal(teacher, tmp_path):
    recipe = {"distillation": 0.7, "temperature": 2.0}
    trained(tmp_path / "whole.pt", recipe=recipe, teacher=str(teacher))
    trained(tmp_path / "parts.pt", stop_after=1, recipe=recipe, teacher=str(teacher))
    resumed = FullTraining.resume(tmp_path / "parts.pt")
    resumed.run()
    whole, parts = (load_checkpoint(tmp_path / name)[1] for name in ("whole.pt", "parts.pt"))
    assert same(whole, parts)
    trained(tmp_path / "alone.pt")
    assert not same(whole["model"], load_checkpoint(tmp_path / "alone.pt")[1]["model"])


def test_another_teacher_is_another_training(teacher, tmp_path):
    copy = tmp_path / "teacher.pt"
    copy.write_bytes(teacher.read_bytes())
    trained(tmp_path / "s.pt", stop_after=1, teacher=str(copy))
    trained(tmp_path / "other.pt", seed=5)
    copy.write_bytes((tmp_path / "other.pt").read_bytes())
    with pytest.raises(InputError, match="another one than the training was started with"):
        FullTraining.resume(tmp_path / "s.pt")


def test_what_is_no_teacher(teacher, tmp_path):
    _, _, own = load_model(teacher)
    wrong = Preparation(own.resolution, 1, own.mean, own.std, own.crop, ("a", "b"))
    with pytest.raises(InputError, match="its 10 classes and 1 channels are not the 2 classes"):
        Teacher(str(teacher), wrong, 1.0)
    save_checkpoint(tmp_path / "old.pt", SMALL, {"model": build(SMALL).state_dict(), "epoch": 1}, {})
    with pytest.raises(InputError, match="doesn't say how its images were prepared"):
        Teacher(str(tmp_path / "old.pt"), own, 1.0)
    with pytest.raises(InputError, match="no checkpoint"):
        trained(tmp_path / "s.pt", teacher=str(tmp_path / "nosuch.pt"))


@pytest.mark.parametrize("change", ["distillation=0.3", "temperature=2"])
@pytest.mark.parametrize(
    "words",
    [
        ["train", "mnasnet-a1"],
        ["search", "--data", "digits"],
        ["supernet", "--data", "digits"],
    ],
)
def test_what_needs_a_teacher_is_refused_without(words, change, monkeypatch, capsys, tmp_path):
    message = f"recipe: {change.partition('=')[0]} "
    refused([*words, "--set", change, "--out", "x"], message, monkeypatch, capsys, tmp_path)
    assert not list(tmp_path.iterdir())
