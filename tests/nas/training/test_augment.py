"""Augmentation of batches: policies, mixing, erasing, shifts, flips."""

import pytest
import torch

from nas.data.load import load_data
from nas.training.augment import (
    AugmentPolicy,
    make_mixing,
    normalise,
    random_crop,
    random_erase,
    random_flip,
    random_shift,
)
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from nas.training.recipe import Recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.mark.parametrize("policy", ["autoaugment", "randaugment", "trivialaugment"])
def test_policies_change_images_alike_for_a_seed(policy):
    images = torch.randint(256, (64, 1, 12, 12), dtype=torch.uint8)
    torch.manual_seed(1)
    once = AugmentPolicy(policy)(images)
    torch.manual_seed(1)
    assert torch.equal(AugmentPolicy(policy)(images), once)
    assert once.shape == images.shape
    assert once.dtype == torch.uint8
    changed = [not torch.equal(a, b) for a, b in zip(once.chunk(16), images.chunk(16), strict=True)]
    assert sum(changed) >= 3


def test_mixing_gives_shares_of_classes(digits):
    recipe = make_recipe("modern", {"batch": 50})
    images, labels = next(Batches(digits, recipe, CPU).train(0))
    assert images.shape == (50, 1, 8, 8)
    assert labels.shape == (50, 10)
    assert torch.allclose(labels.sum(1), torch.ones(50))
    assert make_mixing(Recipe(), 10) is None


def test_erasing_is_a_rectangle_of_some():
    images = torch.ones(400, 1, 10, 10)
    erased = random_erase(images, 0.25, torch.Generator().manual_seed(0))
    hit = (erased == 0).any((1, 2, 3))
    assert hit.float().mean().item() == pytest.approx(0.25, abs=0.06)
    for image in erased[hit]:
        rows, columns = (image[0] == 0).any(1), (image[0] == 0).any(0)
        assert (image[0] == 0).sum() == rows.sum() * columns.sum()


def test_shift_moves_each_image_by_its_own_step():
    images = torch.zeros(64, 1, 9, 9)
    images[:, :, 4, 4] = 1
    moved = random_shift(images, 2, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert (moved.sum((1, 2, 3)) == 1).all()
    places = {tuple(p) for p in moved.nonzero()[:, 2:].tolist()}
    assert len(places) > 15
    assert all(2 <= y <= 6 and 2 <= x <= 6 for y, x in places)
    assert torch.equal(random_shift(images, 0, torch.Generator()), images)


def test_flip_mirrors_about_half():
    images = torch.arange(3.0).expand(200, 1, 3, 3)
    flipped = (random_flip(images, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 2).float().mean()
    assert 0.4 < flipped < 0.6


def test_normalise():
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    assert normalise(images, torch.tensor([0.5]), torch.tensor([0.25])).flatten().tolist() == pytest.approx(
        [-2, 2]
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_fast_on_cpus_is_what_the_plain_expression_gives_to_the_bit(channels, layout):
    images = torch.randint(256, (7, channels, 10, 9), dtype=torch.uint8).contiguous(memory_format=layout)
    before = images.clone()
    mean, std = torch.rand(channels), torch.rand(channels) + 0.1
    plain = images * (1 / (255 * std)).view(1, -1, 1, 1) - (mean / std).view(1, -1, 1, 1)
    assert torch.equal(normalise(images, mean, std), plain)
    assert torch.equal(normalise(images.float(), mean, std), plain)
    chosen = torch.rand(7, generator=torch.Generator().manual_seed(4)) < 0.5
    flipped = random_flip(images, torch.Generator().manual_seed(4))
    assert torch.equal(flipped, torch.where(chosen.view(-1, 1, 1, 1), images.flip(-1), images))
    assert torch.equal(images, before)  # others may have them too


def test_crops_of_some_are_the_crops_of_what_they_are():
    images = torch.randint(256, (9, 3, 12, 12), dtype=torch.uint8)
    for side in (8, 12):
        for chosen in ([4, 0, 8], []):  # none: a rank's part of a small step
            index = torch.tensor(chosen, dtype=torch.int64)
            some, whole = (torch.Generator().manual_seed(2) for _ in range(2))
            crops = random_crop(images, side, some, index)
            assert crops.shape == (len(chosen), 3, side, side)
            assert torch.equal(crops, random_crop(images[index], side, whole))
            assert torch.equal(torch.rand(2, generator=some), torch.rand(2, generator=whole))
