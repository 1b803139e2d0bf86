import numpy as np
import pytest

from nas.data.dataset import ArraySplit, DataSet
from nas.data.folds import fold_of, fold_parts, most_folds
from nas.data.load import load_data
from nas.data.sources import SOURCES, possible_share
from search_spaces.errors import InputError


@pytest.fixture(scope="module")
def digits():
    return load_data("digits").subset(0.3, held_out=60)


def _keys(split):
    return {image.tobytes() for image in split.images}


def test_every_fold_scores_on_other_images_and_trains_on_all_the_rest(digits):
    folds = most_folds(len(digits.train), len(digits.held_out))
    parts = [fold_of(digits, number, folds) for number in range(folds)]
    whole = _keys(digits.train) | _keys(digits.held_out)
    assert parts[0] is digits
    assert sum(len(part.held_out) for part in parts) == len(digits.train) + len(digits.held_out)
    assert set.union(*(_keys(part.held_out) for part in parts)) == whole
    for part in parts:
        assert not _keys(part.train) & _keys(part.held_out)
        assert len(part.train) + len(part.held_out) == len(digits.train) + len(digits.held_out)


def test_classes_are_dealt_out_evenly():
    train, held_out = [0] * 40 + [1] * 10 + [2] * 2, [0] * 8 + [1, 1, 2]
    parts = fold_parts(train, held_out, 4)
    assert len(parts[0]) == len(held_out)
    for part in parts[1:]:
        counts = np.bincount(np.asarray(train)[part], minlength=3)
        assert counts[0] == 8
        assert counts[1] == 2
        assert counts[2] <= 1  # never all of a class


def test_files_make_no_folds(tmp_path):
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / name / f"{number}.png")
    with pytest.raises(InputError, match="folds 3: .* not in memory"):
        fold_of(load_data(f"imagefolder:{tmp_path}"), 1, 3)


@pytest.mark.parametrize("classes", [2, 10, 300])
@pytest.mark.parametrize("train", [3000, 3500, 3501, 3505, 3799, 4000, 4500, 60_000])
def test_the_default_part_of_photographs_can_be_taken_of_any_set(train, classes):
    labels = np.arange(train) % classes
    split = ArraySplit(np.zeros((train, 1, 1, 1), np.uint8), labels)
    data = DataSet("x", split, split, split, classes, 1, 1, (0.5,), (0.5,), False, "")
    proxy = SOURCES["imagefolder"].proxy
    usual = proxy.share(train, classes)
    for share in (usual, possible_share(0.99, train, classes)):
        part = data.subset(share, held_out=100).train
        assert len(np.unique(part.labels)) == classes
    # where fewer than two of a class would be left, all are taken
    most = max(proxy.images + 2 * classes, 10 * classes)
    assert len(data.subset(usual, held_out=100).train) <= most
