import pytest

from nas.runs.flat import make_settings
from nas.runs.scoring import ENOUGH, HELD_OUT, decide_scoring
from search_spaces.errors import InputError


@pytest.mark.parametrize(
    ("train", "held_out", "folds", "images"),
    [
        (8000, 1500, 1, 1500),
        (50_000, HELD_OUT, 1, HELD_OUT),
        (500, 99, 3, 299),
        (42, 8, 6, 48),
        (200, 199, 2, 399),
    ],
)
def test_few_held_out_images_are_multiplied_by_folds(train, held_out, folds, images):
    scoring = decide_scoring(train, held_out, in_memory=True)
    assert (scoring.folds, scoring.images) == (folds, images)
    assert scoring.images >= min(ENOUGH, 0.9 * (train + held_out))
    assert (scoring.remark is None) == (images >= 400)


def test_files_have_one_fold_and_the_remark():
    scoring = decide_scoring(500, 99, in_memory=False)
    assert scoring.folds == 1
    assert "99 scored images" in scoring.remark
    assert "5.0 points" in scoring.remark  # sqrt(.25 / 99)
    assert "14 points apart" in scoring.remark


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 0}, "folds 0"),
        ({"folds": 21}, "folds 21"),
        ({"held_out": 0}, "held-out 0"),
        ({"held_out": 5000}, "held-out 5,000: the data set holds 437 images out"),
        ({"folds": 9}, "folds 9: 1,000 training and 437 held-out images make 3 at most"),
    ],
)
def test_what_the_data_cannot_give_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make_settings(**changes).evaluator.make()


def test_a_run_keeps_what_was_decided_and_an_older_one_is_left_as_it_was():
    settings = make_settings(subset=0.5)
    made = settings.evaluator.make()
    assert made.decided == {"cache": "off", "folds": 1, "held_out": 437}
    older = make_settings(subset=0.5, data_digest=made.data_digest)
    assert len(older.evaluator.make().data.held_out) == round(437 / 2)
    again = make_settings(subset=0.5, data_digest=made.data_digest, **made.decided)
    assert len(again.evaluator.make().data.held_out) == 437


@pytest.mark.parametrize("held_out", [None, 50])
def test_settings_of_an_older_run_stay_so_unless_one_asks_for_more(held_out):
    older = make_settings(data_digest=make_settings().evaluator.make().data_digest, held_out=held_out)
    decided = older.evaluator.make().decided
    assert ("folds" in decided) == (held_out is not None)
    assert decided.get("held_out") == held_out


def test_folds_are_scored_together_and_go_on_from_their_state():
    changes = {"epochs": 2, "batch": 50}
    settings = make_settings(folds=2, held_out=60, subset=0.2, recipe_changes=changes, resolution=8)
    evaluator = settings.evaluator.make()
    assert "60 held out in each of 2 folds (1" in evaluator.describe()
    space = settings.make_space()
    import numpy as np

    spec = space.decode(space.sample(np.random.default_rng(0)))
    whole = list(evaluator.start(spec, 3))
    assert [row["epoch"] for row in whole] == [1, 2]
    assert whole[-1]["held_out_images"] == evaluator.scored > 60
    begun = evaluator.start(spec, 3)
    next(begun)
    other = evaluator.start(spec, 3)
    other.load_state_dict(begun.state_dict())
    last = next(other)
    assert other.finished
    assert last["accuracy"] == whole[-1]["accuracy"]
    plain = make_settings(
        folds=1, held_out=60, subset=0.2, recipe_changes=changes, resolution=8
    ).evaluator.make()
    alone = list(plain.start(spec, 3))
    assert alone[-1]["accuracy"] != last["accuracy"]  # the mean of two is another number


def test_defaults_of_photographs_are_those_that_a_run_began_with():
    new = make_settings(data="imagefolder:/photos")
    assert new.training.make_proxy().resolution == 48
    older = make_settings(data="imagefolder:/photos", data_digest="0" * 16)
    assert older.training.make_proxy().resolution == 128
