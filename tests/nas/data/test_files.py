"""Image files: folders, WebDataset shards, Hugging Face sets; crops, reduced decoding, broken files."""

import io
import json
import random
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.images import UnreadableImageError, read_image
from nas.data.load import load_data
from nas.errors import TrialFailedError
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from search_spaces import InputError

CPU = torch.device("cpu")
COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


def jpeg(colour, size=(80, 60), form="JPEG"):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, form)
    return stream.getvalue()


def folder(root, count=12):
    for part in ("train", "val"):
        for name, colour in COLOURS.items():
            place = root / part / name
            place.mkdir(parents=True)
            for index in range(count):
                (place / f"{index}.jpg").write_bytes(jpeg(colour))
    return f"imagefolder:{root}"


def shards(root, label=True):
    for part in ("train", "val"):
        (root / part).mkdir(parents=True)
        for number in range(2):
            with tarfile.open(root / part / f"{number:04d}.tar", "w") as archive:
                for index in range(12):
                    kind = index % 3
                    members = {"jpg": jpeg(list(COLOURS.values())[kind])}
                    if label:
                        members |= {"cls": str(kind).encode()} if number else {
                            "json": json.dumps({"label": kind}).encode()
                        }  # fmt: skip
                    for suffix, content in members.items():
                        info = tarfile.TarInfo(f"{index:05d}.{suffix}")
                        info.size = len(content)
                        archive.addfile(info, io.BytesIO(content))
    return f"webdataset:{root}"


def hugging(root):
    datasets = pytest.importorskip("datasets", reason="the extra 'huggingface' is not installed")
    rows = [(jpeg(list(COLOURS.values())[i % 3], form="PNG"), i % 3) for i in range(30)]
    columns = {"image": [{"bytes": b, "path": None} for b, _ in rows], "label": [k for _, k in rows]}
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=list(COLOURS)))
    made = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(train=made, test=made).save_to_disk(str(root))
    return f"huggingface:{root}"


@pytest.mark.parametrize("make", [folder, shards, hugging])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_kind_gives_its_images_with_their_labels(make, workers, tmp_path):
    data = load_data(make(tmp_path / "data")).at(16)
    assert (data.num_classes, data.in_channels) == (3, 3)
    assert len(data.held_out) >= 3
    batches = Batches(data, make_recipe("adamw", {"batch": 6, "augment": "none"}), CPU, workers)
    seen = 0
    order = ["blue", "green", "red"] if make is folder else list(COLOURS)
    for images, labels in [*batches.train(0), *batches.evaluation("test")]:
        assert images.shape[1:] == (3, 16, 16)
        pixels = images * batches.std.view(1, 3, 1, 1) + batches.mean.view(1, 3, 1, 1)
        strongest = pixels.mean((2, 3)).argmax(1)
        names = [("red", "green", "blue")[channel] for channel in strongest]
        assert [order[label] for label in labels.tolist()] == names
        seen += len(labels)
    assert seen == batches.steps * 6 + len(data.test)


def test_the_number_of_workers_changes_nothing(tmp_path):
    data = load_data(folder(tmp_path / "data")).at(16)
    recipe = make_recipe("adamw", {"batch": 6, "augment": "randaugment"})
    runs, states = [], []
    for workers in (0, 1, 3):
        batches = Batches(data, recipe, CPU, workers)
        torch.manual_seed(workers)
        runs.append([images for seed in (5, 6) for images, _ in batches.train(seed)])
        torch.manual_seed(7)
        list(batches.train(5))
        states.append(torch.random.get_rng_state())  # dropout draws from it
    for other, state in zip(runs[1:], states[1:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))
        assert torch.equal(state, states[0])


def test_a_large_photograph_is_decoded_small_and_looks_the_same():
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((1600, 1200), 2)
    stream = io.BytesIO()
    smooth.save(stream, "JPEG", quality=95)
    small = read_image(stream.getvalue(), 64).astype(np.float32)
    side = 1200 * 224 / 256
    box = ((1600 - side) / 2, (1200 - side) / 2, (1600 + side) / 2, (1200 + side) / 2)
    whole = np.asarray(smooth.resize((64, 64), Image.Resampling.BILINEAR, box)).transpose(2, 0, 1)
    assert np.abs(small - whole).mean() < 2


def test_crops_are_random_and_within_the_image():
    gradient = np.tile(np.linspace(0, 255, 100).astype(np.uint8)[None, :, None], (80, 1, 3))
    stream = io.BytesIO()
    Image.fromarray(gradient).save(stream, "PNG")
    drawn = random.Random(0)
    crops = [read_image(stream.getvalue(), 8, drawn).astype(float) for _ in range(60)]
    widths = [float(crop[0, 0, -1] - crop[0, 0, 0]) / 255 for crop in crops]
    assert 0.05 < min(widths) < 0.5 < max(widths) <= 1
    assert len({tuple(crop.flatten().tolist()) for crop in crops}) == 60


@pytest.mark.parametrize("content", [b"", b"no image", jpeg((1, 2, 3))[:400]])
def test_unreadable_images(content):
    with pytest.raises(UnreadableImageError, match="."):
        read_image(content, 16)


def test_some_broken_files_are_left_out_and_counted(tmp_path):
    name = folder(tmp_path / "data", count=60)
    victim = tmp_path / "data" / "train" / "red" / "3.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    data = load_data(name).at(16)
    batches = Batches(data, make_recipe("adamw", {"batch": 10}), CPU, 0)
    count = 0
    for _ in range(2):
        for part in (batches.train(1), batches.evaluation("held_out")):
            count += sum(len(labels) for _, labels in part)
    assert list(batches.unreadable) == [str(victim)]
    assert "truncated" in batches.unreadable[str(victim)].lower()
    assert count == 2 * (batches.steps * 10 + len(data.held_out)) - 2


def test_many_broken_files_are_an_error(tmp_path):
    name = folder(tmp_path / "data")
    for index in range(6):
        (tmp_path / "data" / "train" / "red" / f"{index}.jpg").write_bytes(b"gone")
    batches = Batches(load_data(name).at(16), make_recipe("adamw", {"batch": 6}), CPU, 0)
    with pytest.raises(TrialFailedError, match=r"images can't be read, more than 1%, e\.g\. .*red"):
        for part in (batches.train(1), batches.evaluation("held_out")):
            list(part)


def test_a_file_that_may_not_be_read_is_one_of_them(tmp_path):
    data = load_data(folder(tmp_path / "data", count=60)).at(16)
    (tmp_path / "data" / "val" / "red" / "0.jpg").unlink()  # it was there when the set was listed
    batches = Batches(data, make_recipe("adamw"), CPU, 0)
    assert sum(len(labels) for _, labels in batches.evaluation("test")) == 179
    assert "No such file" in next(iter(batches.unreadable.values()))


def test_broken_shards(tmp_path):
    with pytest.raises(InputError, match="has no .cls or .json"):
        load_data(shards(tmp_path / "unlabelled", label=False))
    name = shards(tmp_path / "torn")
    path = tmp_path / "torn" / "train" / "0000.tar"
    path.write_bytes(b"x" * 700)
    with pytest.raises(InputError, match=r"0000.tar: unreadable"):
        load_data(name)
    (tmp_path / "none" / "train").mkdir(parents=True)
    (tmp_path / "none" / "val").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no \*.tar"):
        load_data(f"webdataset:{tmp_path / 'none'}")
    with pytest.raises(InputError, match="no folder"):
        load_data(f"webdataset:{tmp_path / 'nowhere'}")


def test_hugging_face_without_what_it_takes(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra 'huggingface' is not installed")
    datasets.DatasetDict(test=datasets.Dataset.from_dict({"text": ["a"]})).save_to_disk(str(tmp_path / "t"))
    with pytest.raises(InputError, match="expected train and test"):
        load_data(f"huggingface:{tmp_path / 't'}")
    both = datasets.Dataset.from_dict({"text": ["a"]})
    datasets.DatasetDict(train=both, test=both).save_to_disk(str(tmp_path / "u"))
    with pytest.raises(InputError, match="expected an Image and a ClassLabel"):
        load_data(f"huggingface:{tmp_path / 'u'}")
