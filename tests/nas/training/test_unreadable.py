"""Unreadable images: each split's own share, and steps that all ranks take together all the same."""

import datetime
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed, nn
from torch.multiprocessing import spawn

from nas.data import unreadable
from nas.data.load import load_data
from nas.errors import TrialFailedError
from nas.network.builder import build
from nas.training import batches as of_batches
from nas.training.batches import ALONE, Batches, Ranks, _Order
from nas.training.check_files import check_files
from nas.training.presets import make_recipe
from nas.training.trainer import Trainer, _mix
from search_spaces import InputError, StageSpec
from tests.nas.training.test_training import SMALL

CPU = torch.device("cpu")
BATCH, SEED = 4, 3
MANY = 0.2
"""In place of a hundredth, where it takes few images to lose a whole batch."""


def images(root, train=160, test=4):
    """Three classes of 8 px noise on their own level; of 160 a class, 400 are trained on."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("val", test)):
        for level, name in enumerate(("a", "b", "c")):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(60 * level, 60 * level + 120, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index:03}.png")
    return f"imagefolder:{root}"


def spoil(split, indices):
    """Break image files, whose sizes stay what they were."""
    for index in indices:
        path = Path(split.keys[index])
        path.write_bytes(b"no image".ljust(path.stat().st_size, b"."))


def of_step(data, step, epoch=0):
    """The images of a step, in the order in which ranks take them in turns."""
    generator = torch.Generator().manual_seed(_mix(SEED, epoch))
    order = _Order(len(data.train), True, ALONE)
    order.batch = BATCH
    order.seed = int(torch.randint(1 << 31, (), generator=generator))
    return [index for index, _ in list(order)[step]]


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 3))


def normed():
    return build(SMALL.replace(in_channels=3, num_classes=3), 1)


def single_pixel():
    stages = (*SMALL.stages, StageSpec("ds", 24, stride=2))
    return build(SMALL.replace(in_channels=3, num_classes=3, stages=stages), 1)


def train(make, data, ranks, epochs=1):
    recipe = make_recipe("sgd", {"batch": BATCH, "epochs": epochs, "ema": 0, "shift": 0, "flip": False})
    trainer = Trainer(make(), Batches(data, recipe, CPU, 0, ranks), recipe, SEED)
    rows = [trainer.run_epoch() for _ in range(epochs)]
    return rows, trainer.evaluate("test"), trainer.model.state_dict()


def process(rank, size, meet, out, jobs):
    torch.set_num_threads(1)
    unreadable.MAX_UNREADABLE = of_batches.MAX_UNREADABLE = MANY
    patience = datetime.timedelta(seconds=30)  # ranks that miss a step of the others are seen soon
    distributed.init_process_group("gloo", f"file://{meet}", rank=rank, world_size=size, timeout=patience)
    results = []
    for make, data in jobs:
        try:
            results.append(train(make, data, Ranks(rank, size)))
        except TrialFailedError as error:
            results.append(str(error))
    torch.save(results, f"{out}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_step_together_whatever_one_of_them_can_read(tmp_path, monkeypatch):
    """One spawn, several data sets: its processes take seconds to start."""
    for module in (unreadable, of_batches):  # the limit, and its words
        monkeypatch.setattr(module, "MAX_UNREADABLE", MANY)
    jobs = []
    for name, lose in {
        "rank 1 reads nothing in a step": lambda data: [of_step(data, 5)[1], of_step(data, 5)[3]],
        "rank 0 reads nothing, rank 1 half": lambda data: [of_step(data, 7)[i] for i in (0, 2, 1)],
        "nobody reads anything": lambda data: of_step(data, 9),
    }.items():
        data = load_data(images(tmp_path / name, 20)).at(8)
        spoil(data.train, lose(data))
        jobs += [(plain, data), (normed, data)]
    few = replace(jobs[0][1], test=jobs[0][1].test.part([0]))
    jobs.append((plain, few))  # fewer images than ranks
    broken = load_data(images(tmp_path / "broken", 20)).at(8)
    spoil(broken.test, [0, 1, 3])  # of these each rank sees its own
    jobs.append((plain, broken))

    spawn(process, (2, str(tmp_path / "meet"), str(tmp_path), jobs), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for (make, data), *found in zip(jobs[:-1], *(found[:-1] for found in both), strict=True):
        (rows, test, weights), (other_rows, other_test, other_weights) = found
        assert test == other_test
        for name, value in weights.items():
            assert torch.isfinite(value).all(), name
            assert torch.equal(value, other_weights[name]), name
        assert rows[0]["unreadable"] == other_rows[0]["unreadable"] > 0
        if make is plain:  # BN's statistics would be those of each rank's images
            alone_rows, alone_test, alone = train(make, data, ALONE)
            assert rows[0]["loss"] == pytest.approx(alone_rows[0]["loss"], rel=1e-4)
            assert test["images"] == alone_test["images"] == len(data.test)
            assert test["accuracy"] == alone_test["accuracy"]
            for name, value in alone.items():
                assert torch.allclose(weights[name], value, atol=1e-5), name
    for result in (found[-1] for found in both):
        assert "3 of the 12 test images can't be read, more than 20%" in result


def test_a_step_without_an_image_changes_nothing(tmp_path):
    data = load_data(images(tmp_path / "data")).at(8)
    spoil(data.train, of_step(data, 99))  # the last step of the epoch
    recipe = make_recipe("sgd", {"batch": BATCH, "epochs": 1, "shift": 0})
    trainer = Trainer(normed(), Batches(data, recipe, CPU, 0), recipe, SEED)
    row = trainer.run_epoch()
    assert (row["unreadable"], trainer.updates) == (4, 99)
    assert np.isfinite(row["loss"])


def test_each_split_has_its_own_share(tmp_path):
    """Four of 400 training images may be broken, of 12 test images only one."""
    data = load_data(images(tmp_path / "data")).at(8)
    recipe = make_recipe("sgd", {"batch": 40, "epochs": 1})
    spoil(data.train, range(4))
    spoil(data.test, [0])
    batches = Batches(data, recipe, CPU, 0)
    list(batches.train(0))
    assert sum(len(labels) for _, labels in batches.evaluation("test")) == 11  # not the fifth of 12
    spoil(data.test, [1])
    with pytest.raises(
        TrialFailedError, match="2 of the 12 test images can't be read, more than 1%, e.g. .*val"
    ):
        list(batches.evaluation("test"))
    spoil(data.train, [4])
    with pytest.raises(TrialFailedError, match="5 of the 400 training images"):
        list(batches.train(0))


def test_scores_are_of_the_images_read(tmp_path):
    data = load_data(images(tmp_path / "data")).at(8)
    spoil(data.held_out, [0])
    rows, _, _ = train(normed, data, ALONE)
    assert (len(data.held_out), rows[0]["held_out_images"], rows[0]["unreadable"]) == (80, 79, 1)


def test_files_that_vanish_while_training(tmp_path):
    data = load_data(images(tmp_path / "data")).at(8)
    recipe = make_recipe("sgd", {"batch": 40, "epochs": 3})
    trainer = Trainer(normed(), Batches(data, recipe, CPU, 0), recipe, SEED)
    assert "unreadable" not in trainer.run_epoch()
    spoil(data.train, [0, 1])
    assert trainer.run_epoch()["unreadable"] <= 2
    for key in data.train.keys[:50]:
        (tmp_path / key).unlink()
    with pytest.raises(TrialFailedError, match="training images can't be read.*No such file"):
        trainer.run_epoch()


def test_whatever_a_decoder_raises_is_an_unreadable_image(tmp_path, monkeypatch):
    data = load_data(images(tmp_path / "data")).at(8)
    odd = cycle([KeyError("lzw"), ZeroDivisionError("by zero")])

    def decode(content, *rest):
        raise next(odd)

    monkeypatch.setattr("nas.data.decoding.read_image", decode)
    batches = Batches(data, make_recipe("sgd"), CPU, 0)
    with pytest.raises(TrialFailedError, match="KeyError: 'lzw'|ZeroDivisionError"):
        list(batches.evaluation("test"))


@pytest.mark.parametrize(("changes", "size", "words"), [
    ({"batch": 1}, 1, "batch 1: a step has 1 image, "),
    ({"batch": 2}, 2, "batch 2: a step has 2 images, 1 in one of 2 processes"),
])  # fmt: skip
def test_one_value_per_channel_is_refused_before_the_first_step(changes, size, words):
    data = load_data("digits")
    one = replace(data, in_channels=3, num_classes=3)
    recipe = make_recipe("sgd", changes)
    with pytest.raises(InputError, match=words):
        Trainer(single_pixel(), Batches(one, recipe, CPU, 0, Ranks(0, size)), recipe)
    Trainer(normed(), Batches(one, recipe, CPU, 0), recipe)  # four pixels are enough
    if size == 1:  # frozen BN needs none
        frozen = single_pixel().spec.replace(head_channels=0)
        Trainer(build(frozen), Batches(one, recipe, CPU, 0), recipe, frozen=4)


def test_a_single_readable_image_is_no_batch_for_a_single_pixel(tmp_path):
    data = load_data(images(tmp_path / "data")).at(8)
    spoil(data.train, of_step(data, 3)[:3])
    rows, _, weights = train(single_pixel, data, ALONE)
    assert np.isfinite(rows[0]["loss"])
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_rank_without_images_gives_a_gradient_of_zero_and_leaves_bn_alone(tmp_path):
    data = load_data(images(tmp_path / "data", 20)).at(8)
    recipe = make_recipe("sgd", {"batch": BATCH})
    trainer = Trainer(normed(), Batches(data, recipe, CPU, 0), recipe, SEED)
    trainer._train_mode()
    before = {name: value.clone() for name, value in trainer.model.named_buffers()}
    total = torch.zeros(())
    trainer.step(torch.empty(0), torch.empty(0, dtype=torch.int64), 0.1, total, 0.0)
    assert total == 0
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.named_buffers())
    gradients = [weight.grad for weight in trainer.model.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
    assert trainer.model.training


def test_a_look_before_the_first_epoch(tmp_path, monkeypatch):
    data = load_data(images(tmp_path / "data")).at(8)
    every = ("train", "held_out", "test")
    assert check_files(data, every) == []
    spoil(data.train, [0])
    (word,) = check_files(data, every)
    assert word.startswith("1 of the 400 training images can't be read and are left out, e.g. ")
    spoil(data.train, range(5))
    with pytest.raises(InputError, match="5 of the 400 training images can't be read, more than 1%"):
        check_files(data, every)
    assert check_files(data, ("held_out", "test")) == []  # each its own

    # of a large split a part is looked at: a few of it prove nothing, many do
    monkeypatch.setattr("nas.training.check_files.FILES", 100)
    long = replace(data, train=replace(data.train, keys=data.train.keys * 50, labels=data.train.labels * 50))
    spoil(data.train, range(12))  # 3% of it
    assert "of 100 looked at, of 20000, training images" in check_files(long, every)[0]
    spoil(data.train, range(40))
    with pytest.raises(InputError, match="of 100 looked at, of 20000, training images can't be read"):
        check_files(long, every)


def test_a_class_without_a_readable_image(tmp_path):
    data = load_data(images(tmp_path / "data")).at(8)
    first = [data.train.labels.index(0)]
    rest = [index for index, label in enumerate(data.train.labels) if label]
    scarce = replace(data, train=data.train.part(first + rest))
    spoil(scarce.train, [0])
    with pytest.raises(InputError, match="class 'a' has no training image that can be read"):
        check_files(scarce, ("train",))
    scored = replace(data, test=scarce.train)
    words = check_files(scored, ("test",))
    assert "class 'a' has no test image that can be read: it is not scored" in words
