"""A search on images that were decoded once: what is cropped, what is scored, what is said, what is kept."""

import shutil
from dataclasses import replace

import pytest
import torch

from nas.data.dataset import ArraySplit, FileSplit
from nas.data.load import load_data
from nas.data.preparation import Preparation
from nas.runs.flat import make_settings, read_settings
from nas.runs.train_settings import TrainSettings
from nas.search.train_evaluator import TrainEvaluator
from nas.training import batches as of_batches
from nas.training.augment import centre_crop, random_crop
from nas.training.batches import Batches, Ranks
from nas.training.cache_size import parse_cache
from nas.training.decode_once import keep_decoded
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from search_spaces import InputError, reference
from tests.nas.data.test_decoding import photograph
from tests.nas.training.test_unreadable import spoil

CPU = torch.device("cpu")
PLAIN = make_recipe("adamw", {"batch": 8, "epochs": 2, "flip": False})


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes of 60 training and 5 test pictures, each its own."""
    root = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 60), ("val", 5)):
        for label, name in enumerate(("a", "b")):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                place = root / part / name / f"{index:02}.jpg"
                photograph(place, (60, 40 + index % 9), 100 * label + index, "JPEG")
    return f"imagefolder:{root}"


@pytest.fixture
def files(photographs, tmp_path):
    """The same in a folder of its own, to break."""
    shutil.copytree(photographs.partition(":")[2], tmp_path / "own")
    return load_data(f"imagefolder:{tmp_path / 'own'}").without_test()


def decoded(photographs, resolution=32):
    data = keep_decoded(load_data(photographs).without_test(), resolution, "on")
    assert data.stored is not None
    return data


def test_it_scores_the_pixels_that_files_are_scored_on(photographs):
    stored = Batches(decoded(photographs), PLAIN, CPU)
    streamed = Batches(load_data(photographs).without_test().at(32), PLAIN, CPU, 0)
    for (one, labels), (other, others) in zip(
        stored.evaluation("held_out", 20), streamed.evaluation("held_out", 20), strict=True
    ):
        assert torch.equal(labels, others)
        assert one.shape == other.shape == (20, 3, 32, 32)
        gap = (one - other).abs() * stored.std.view(1, 3, 1, 1) * 255
        assert gap.max() <= 6
        assert gap.mean() < 0.5
        assert (one - one.roll(1, 3)).abs().mean() > 10 * (one - other).abs().mean()  # a pixel aside is seen


def test_crops_lie_within_cover_all_and_differ():
    places = torch.arange(36 * 36, dtype=torch.int32).view(1, 1, 36, 36).expand(600, 2, 36, 36)
    crops = random_crop(places, 32, torch.Generator().manual_seed(0))
    assert crops.shape == (600, 2, 32, 32)
    tops, lefts = crops[:, 0, 0, 0] // 36, crops[:, 0, 0, 0] % 36
    assert len({*zip(tops.tolist(), lefts.tolist(), strict=True)}) == 25  # every place, the corners too
    grid = torch.arange(32).view(-1, 1) * 36 + torch.arange(32)
    assert torch.equal(crops, (crops[:, :1, :1, :1] + grid).expand_as(crops).to(torch.int32))
    again = random_crop(places, 32, torch.Generator().manual_seed(0))
    assert torch.equal(crops, again)
    assert not torch.equal(crops, random_crop(places, 32, torch.Generator().manual_seed(1)))
    assert torch.equal(random_crop(places, 36, torch.Generator()), places)
    assert centre_crop(places, 32)[0, 0, 0, 0] == 2 * 36 + 2


def test_training_draws_them_anew_each_epoch_and_the_same_for_a_seed(photographs):
    data = decoded(photographs)
    batches = Batches(data, PLAIN, CPU)

    def epoch(seed):
        return torch.cat([images for images, _ in batches.train(seed)])

    first = epoch(3)
    assert first.shape == (96, 3, 32, 32)
    assert torch.equal(first, epoch(3))
    assert not torch.equal(first, epoch(4))
    stored = torch.from_numpy(data.train.images)
    scale = torch.tensor(data.std).view(1, 3, 1, 1) * 255
    back = (first * scale + torch.tensor(data.mean).view(1, 3, 1, 1) * 255).round().to(torch.uint8)
    windows = stored.unfold(2, 32, 1).unfold(3, 32, 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    known = {window.numpy().tobytes() for window in windows}
    assert all(crop.numpy().tobytes() in known for crop in back)  # pixels of a file, moved and not resized


def test_ranks_share_it(photographs):
    data = decoded(photographs)
    parts = [Batches(data, PLAIN, CPU, 0, Ranks(rank, 2)) for rank in range(2)]
    for one, other in zip(parts[0].train(1), parts[1].train(1), strict=True):
        assert [len(one[1]), len(other[1])] == [4, 4]
    assert sum(len(labels) for part in parts for _, labels in part.evaluation("held_out")) == 20


def test_images_too_many_for_a_gpu_stay_where_they_are(photographs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    assert of_batches._has_room(torch.device("cuda"), 200)
    assert not of_batches._has_room(torch.device("cuda"), 300)
    assert of_batches._has_room(CPU, 1 << 60)


def test_a_stopped_trial_goes_on_as_it_would_have(photographs):
    evaluator = TrainEvaluator(decoded(photographs), PLAIN, ProxyTask(32, 0.1, 2))
    spec = reference("mobilenet-v2")
    whole = list(evaluator.start(spec, 5))
    first = evaluator.start(spec, 5)
    next(first)
    second = evaluator.start(spec, 5)
    second.load_state_dict(first.state_dict())
    last = next(second)
    names = ("loss", "accuracy", "held_out_loss")
    assert [last[name] for name in names] == [whole[1][name] for name in names]


def test_a_model_carries_the_crop_of_its_files(photographs):
    data = decoded(photographs)
    said = Preparation.of(data)
    assert said == Preparation.of(load_data(photographs), 32)
    assert (said.resolution, said.crop) == (32, 0.875)
    for path in load_data(photographs).held_out.keys[:2]:
        index = load_data(photographs).held_out.keys.index(path)
        (images, _), *_ = Batches(data, PLAIN, CPU).evaluation("held_out")
        assert (said.image(path) - images[index]).abs().mean() < 0.02


def test_it_is_one_resolution(photographs):
    data = decoded(photographs)
    assert data.at(32) is data
    with pytest.raises(InputError, match="resolution 48: .* were decoded for 32 px"):
        data.at(48)
    half = data.subset(0.5)
    assert (len(half.train), half.stored) == (50, 36)


def test_unreadable_files_are_left_out_and_said_by_the_rules_of_files(files):
    said = []
    spoil(files.train, [5])
    spoil(files.held_out, [0])
    data = keep_decoded(files, 32, "on", said.append)
    assert (len(data.train), len(data.held_out)) == (99, 19)
    assert data.train.labels.tolist() == [label for i, label in enumerate(files.train.labels) if i != 5]
    text = "\n".join(said)
    assert f"1 of the 100 training images can't be read and are left out, e.g. {files.train.keys[5]}" in text
    assert "1 of the 20 held-out images can't be read and are left out" in text
    spoil(files.train, [6])
    with pytest.raises(InputError, match="2 of the 100 training images can't be read, more than 1%"):
        keep_decoded(files, 32, "on")
    lone = [files.train.labels.index(0), *(i for i, label in enumerate(files.train.labels) if label == 1)][
        :40
    ]
    spoil(files.train, lone[:1])
    with pytest.raises(InputError, match="class 'a' has no training image that can be read"):
        keep_decoded(replace(files, train=files.train.part(i for i in lone if i not in (5, 6))), 32, "on")


SIZE = 120 * 3 * 36 * 36
CHOICES = [
    ("auto", 4 * SIZE + 4, True, "decoding 100 + 20 images of imagefolder:"),
    ("auto", 4 * SIZE - 4, False, "at 36 px, more than the part of the free memory for them, 467 kB"),
    ("on", SIZE + 1, True, "to 36 px, once: 467 kB ..."),
    (
        "on",
        SIZE - 1,
        InputError,
        r"cache 'on': 100 \+ 20 images of .* take 467 kB, more memory than the 467 kB free",
    ),
    ("off", 1 << 40, False, "are decoded again in every epoch of a trial: cache off"),
    ("467k", 1 << 40, True, "467 kB, of 467 kB allowed"),
    ("466k", 1 << 40, False, "more than cache 466k, 466 kB"),
]


@pytest.mark.parametrize(("cache", "free", "kept", "words"), CHOICES)
def test_a_budget_decides_and_says_so(cache, free, kept, words, photographs, monkeypatch):
    monkeypatch.setattr("nas.training.decode_once.free_memory", lambda: free)
    settings, said = TrainSettings(photographs, resolution=32, subset=1.0, cache=cache), []
    if kept is InputError:
        with pytest.raises(InputError, match=words):
            settings.make(say=said.append)
        return
    evaluator = settings.make(say=said.append)
    assert isinstance(evaluator.data.train, ArraySplit if kept else FileSplit)
    assert evaluator.decided["cache"] == ("on" if kept else "off")
    assert sum(words in line for line in said) == 1, said
    assert bool(evaluator.folders) is not kept  # the nodes of a cluster need the files, or don't


@pytest.mark.parametrize("text", ["", "maybe", "4", "-4G", "4 gigs", "AUTO!", "1e9G"])
def test_sizes_that_are_none(text):
    with pytest.raises(InputError, match="cache .*: expected auto, on, off, or a size such as 500M or 4G"):
        TrainSettings(cache=text)


def test_sizes():
    assert [parse_cache(text) for text in ("auto", "off", "500M", "1.5gb", "2T", "64k")] == [
        None, 0, 5e8, 1.5e9, 2e12, 64e3,
    ]  # fmt: skip


def test_full_trainings_and_studies_of_resolutions_stay_with_files(photographs):
    for more in ({"final": True}, {"baseline_resolution": 64}):
        settings = TrainSettings(photographs, resolution=32, subset=1.0, cache="on", **more)
        evaluator = settings.make()
        assert isinstance(evaluator.data.train, FileSplit)
        assert evaluator.decided["cache"] == "off"


def test_a_run_goes_on_as_it_was_started(photographs):
    """One without the field is older than the choice: it streamed."""
    started = make_settings(data=photographs, resolution=32, subset=1.0, data_digest="0" * 16)
    document = started.to_document()
    assert TrainSettings(photographs).caching == "auto"
    for kept, cached in (({"cache": "on"}, True), ({"cache": "off"}, False), ({}, False)):
        evaluator = dict(document["evaluator"])
        del evaluator["cache"]
        again = read_settings({**document, "evaluator": evaluator | kept}, "search.yaml")
        data = load_data(photographs).digest
        made = replace(again.training, data_digest=data).make()
        assert isinstance(made.data.train, ArraySplit) is cached, kept
