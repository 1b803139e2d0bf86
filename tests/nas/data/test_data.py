"""Data sets on disk, in small copies made here, and the real Fashion-MNIST where it is installed."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.load import load_data
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from search_spaces import InputError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def write_idx(path, array):
    array = np.ascontiguousarray(array, np.uint8)
    content = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(content + array.tobytes())


def fashion(folder, suffix=".gz"):
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True, parents=True)
    for part, count in (("train", 1200), ("t10k", 100)):
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", rng.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(count) % 10)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist_files(tmp_path, suffix):
    fashion(tmp_path / "fashion-mnist", suffix)
    data = load_data("fashion-mnist", str(tmp_path))
    assert data.train.images.shape == (763, 1, 28, 28)
    assert (len(data.held_out), len(data.test)) == (437, 100)
    assert (data.num_classes, data.in_channels, data.resolution, data.flips) == (10, 1, 28, True)


def test_broken_fashion_mnist(tmp_path):
    folder = fashion(tmp_path / "fashion-mnist")
    path = folder / "train-images-idx3-ubyte.gz"
    for content in (path.read_bytes()[:1000], gzip.compress(b"nothing"), b"junk"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="unreadable"):
            load_data("fashion-mnist", str(tmp_path))
    fashion(folder)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="no such file"):
        load_data("fashion-mnist", str(tmp_path))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist():
    data = load_data("fashion-mnist")
    assert (len(data.train), len(data.held_out), len(data.test)) == (50_000, 10_000, 10_000)
    assert data.mean[0] == pytest.approx(0.286, abs=0.002)  # the figures everybody uses
    assert data.std[0] == pytest.approx(0.353, abs=0.002)


def test_cifar(tmp_path, monkeypatch):
    from torchvision import datasets

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"data_batch_{i}" for i in range(1, 6)]
    for name in (*names, "test_batch"):
        content = {
            "data": rng.integers(0, 256, (300, 3072), np.uint8),
            "labels": [i % 10 for i in range(300)],
        }
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    with pytest.raises(InputError, match="unreadable"):  # torchvision checks the real files' digests
        load_data("cifar10", str(tmp_path))
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": None})
    data = load_data("cifar10", str(tmp_path))
    assert data.train.images.shape[1:] == (3, 32, 32)
    assert len(data.train) + len(data.held_out) == 1500
    assert len(data.mean) == 3


def image_folder(root, classes=("ant", "bee"), count=8):
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def test_image_folder(tmp_path):
    image_folder(tmp_path)
    data = load_data(f"imagefolder:{tmp_path}").at(32)
    assert (len(data.train), len(data.held_out), len(data.test)) == (14, 2, 16)
    recipe = make_recipe("adamw", {"batch": 4})
    batches = Batches(data, recipe, torch.device("cpu"), workers=0)
    shapes = [images.shape for images, _ in batches.train(0)]
    assert shapes == [(4, 3, 32, 32)] * 3 == [(4, 3, 32, 32)] * batches.steps
    assert sum(len(labels) for _, labels in batches.evaluation("test")) == 16
    first, again, other = (next(iter(batches.train(seed)))[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert isinstance(other, list)


def test_broken_image_folders(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        load_data(f"imagefolder:{tmp_path}")
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    with pytest.raises(InputError, match="imagefolder"):
        load_data(f"imagefolder:{tmp_path}")
    (tmp_path / "train" / "ant").mkdir()
    with pytest.raises(InputError, match="ant|valid file|any class"):
        load_data(f"imagefolder:{tmp_path}")
    root = image_folder(tmp_path / "odd")
    (root / "val" / "bee").rename(root / "val" / "wasp")
    with pytest.raises(InputError, match="only one of train and val"):
        load_data(f"imagefolder:{root}")
    single = image_folder(tmp_path / "single", count=1)
    with pytest.raises(InputError, match=r"'ant' has 1 training image"):
        load_data(f"imagefolder:{single}")


def test_unknown_and_missing(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="did you mean 'digits'"):
        load_data("digit")
    monkeypatch.setattr("nas.data.load.DATA_FOLDERS", (str(tmp_path),))
    with pytest.raises(InputError, match="give --data-root or --download"):
        load_data("cifar100")
