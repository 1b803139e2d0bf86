from dataclasses import replace

import pytest

from nas.data.survey import Survey
from nas.studies.start_plan import (
    affordable_resolution,
    full_resolution,
    full_target,
    make_plan,
    proxy_task,
)
from nas.training.speed import Speed

FOUND = Survey(8000, 1600, 2000, 10, ("a", 900), ("b", 1000), 72, 72, 72)
DATA = "imagefolder:/photos"


def plan(found=FOUND, hours=2.0, rate=300.0, at_once=2, trials=None, gpus=0, share=1.0, full=64):
    task = proxy_task(DATA, full, gpus > 0)
    speed, whole = Speed((rate / 2, rate, 2 * rate), share), Speed((rate / 4,), share)
    return make_plan(
        DATA,
        found,
        "mnasnet",
        "timm,onnx",
        task,
        full,
        33e6,
        speed,
        whole,
        at_once,
        2,
        4,
        gpus,
        hours,
        trials,
    )


@pytest.mark.parametrize("hours", [0.2, 1, 2, 10, 100])
@pytest.mark.parametrize("rate", [100, 300, 5000])
@pytest.mark.parametrize("train", [50, 600, 8000, 1_000_000])
def test_it_keeps_to_the_time_or_says_that_it_cant(hours, rate, train):
    found = replace(FOUND, train=train, held_out=max(10, train // 5))
    made = plan(found, hours, rate)
    late = made.hours > 1.1 * hours
    assert late == any("it takes longer than" in word for word in made.unsure)
    if late:
        assert made.trials <= 12 + 1 or made.train_epochs == 5
    assert made.trials >= 12
    assert 0 < made.subset <= 1


def test_more_time_gives_more_trials_then_longer_ones():
    made = [plan(hours=hours) for hours in (0.5, 2, 8, 64)]
    assert made[0].trials < made[1].trials <= made[2].trials <= made[3].trials
    images = [one.epochs * one.subset for one in made]
    assert images[0] <= images[1] < images[2] <= images[3]
    assert plan(trials=33).trials == 33


@pytest.mark.parametrize(("train", "steps"), [(42, 1), (600, 12), (60_000, 1200)])
def test_few_images_are_seen_for_as_many_steps_as_many_are(train, steps):
    """The limits of epochs are for large data; of small ones so many are next to nothing."""
    made = plan(replace(FOUND, train=train, held_out=max(8, train // 6)), hours=100, rate=5000)
    assert made.subset == 1
    assert made.epochs * steps >= 200
    assert made.train_epochs * max(1, train // 64) >= 2000
    assert not any("only guess" in word for word in made.unsure)
    assert plan(hours=1000, rate=5000).epochs == 20
    assert plan(hours=1000, rate=5000).train_epochs == 100


def test_the_exponent_is_measured_where_there_is_time_for_it():
    assert not plan(hours=0.1).measures_exponent
    assert plan(hours=8).measures_exponent


def test_what_it_cannot_know_is_said():
    few = replace(
        FOUND, train=42, held_out=8, test=10, smallest=("a", 5), largest=("b", 30), narrow=30, wide=300
    )
    said = " ".join(plan(few, share=0.5).unsure)
    for words in (
        "scored images: an accuracy has a standard error",
        "10 test images: the winner's test accuracy has a standard error of up to 15.8 points",
        "classes of 5 to 30 images",
        "from 30 to 300 px",
        "a training had 50% of its own",
    ):
        assert words in said
    quiet = " ".join(plan().unsure)
    for words in ("scored images", "test images", "classes of", "px: the resolution", "of its own", "longer"):
        assert words not in quiet


def test_gpus_are_priced_by_the_hours_that_they_are_held():
    made = plan(gpus=4, at_once=4)
    assert made.gpu_hours == pytest.approx((4 * made.search_seconds + made.train_seconds) / 3600)
    assert plan().gpu_hours == 0


@pytest.mark.parametrize(
    ("side", "full"), [(8, 32), (28, 64), (32, 64), (72, 96), (100, 128), (160, 224), (3000, 224)]
)
def test_small_images_are_enlarged(side, full):
    assert full_resolution(side) == full
    assert full_target(full, "mnasnet") == pytest.approx(400e6 * (full / 224) ** 2, rel=0.05)


def test_the_resolution_is_lowered_before_the_training_is_too_short():
    fast, slow = Speed((1000.0,), 1), Speed((5.0,), 1)
    assert affordable_resolution(224, FOUND, fast, 10) == (224, fast)
    lowered, speed = affordable_resolution(224, FOUND, slow, 10)
    assert lowered == 160
    assert speed.rates[0] == pytest.approx(5 * (224 / 160) ** 2)
    assert affordable_resolution(32, FOUND, slow, 1)[0] == 32
    assert "the images deserve 96 px; 64 px" in " ".join(plan().unsure)
