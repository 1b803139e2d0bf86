"""Data sets that are held in memory as uint8 arrays: digits, Fashion-MNIST, CIFAR."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import SPLIT_SEED, ArraySplit, DataSet
from nas.data.holding import hold_out
from nas.data.labels import map_labels, read_labels
from search_spaces.errors import InputError
from search_spaces.reading import read_regular, strange_content

Loaded = tuple[ArraySplit, ArraySplit, bool]
"""Training and test split with the labels as they came, and whether a mirrored image keeps its label."""


def array_set(name: str, folders: Sequence[Path], download: bool) -> DataSet:
    """One of `LOADERS`; a stratified part of `train`, a sixth and at least 437 images, is held out.

    Raises:
        InputError: files missing, unreadable, or with labels that are none.
    """
    train, test, flips = LOADERS[name](folders, download)
    for part, split in (("train", train), ("test", test)):
        _check_shapes(name, part, split)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise InputError(
            f"data set {name!r}: images of {train.images.shape[1:]} to train and of {test.images.shape[1:]} "
            "to test (channels, height, width): expected the same"
        )
    raw = [
        read_labels(name, part, split.labels.tolist()) for part, split in (("train", train), ("test", test))
    ]
    mapped = map_labels(name, *raw)
    train, test = (
        ArraySplit(split.images, np.array(labels, np.int64))
        for split, labels in zip((train, test), mapped.parts, strict=True)
    )
    held = max(len(train) // 6, min(437, len(train) // 2))
    kept, held_out = hold_out(mapped.parts[0], held)
    pixels = train.images[kept].astype(np.float32) / 255
    axes = (0, 2, 3)
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(split.images.tobytes())
        digest.update(split.labels.tobytes())
    return DataSet(
        name=name,
        train=ArraySplit(train.images[kept], train.labels[kept]),
        held_out=ArraySplit(train.images[held_out], train.labels[held_out]),
        test=test,
        num_classes=len(mapped.classes),
        in_channels=train.images.shape[1],
        resolution=train.images.shape[2],
        mean=tuple(float(x) for x in pixels.mean(axes)),
        std=tuple(max(1e-3, float(x)) for x in pixels.std(axes)),
        flips=flips,
        digest=digest.hexdigest()[:16],
        classes=_class_names(name, mapped.classes),
        remarks=mapped.remarks,
    )


def _check_shapes(name: str, part: str, split: ArraySplit) -> None:
    if split.images.ndim != 4 or split.labels.ndim != 1:
        raise InputError(
            f"data set {name!r}: {part}: images of {split.images.ndim - 1} and labels of {split.labels.ndim} "
            "dimensions: expected 3 (image, row, column) and 1"
        )
    count, _, height, width = split.images.shape
    if count != len(split.labels):
        raise InputError(f"data set {name!r}: {part}: {count} images but {len(split.labels)} labels")
    if height != width or not height:
        raise InputError(
            f"data set {name!r}: {part}: images of {height} x {width} pixels: expected square ones"
        )


def _class_names(name: str, numbers: tuple[str, ...]) -> tuple[str, ...]:
    """The names that belong to these labels; the numbers themselves where they are others than usual."""
    names = dict(enumerate(_CLASSES.get(name, ())))
    if all(number.isdigit() and int(number) in names for number in numbers):
        return tuple(names[int(number)] for number in numbers)
    return numbers if names or numbers != tuple(map(str, range(len(numbers)))) else ()


_CLASSES = {
    "fashion-mnist": (
        "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip


def _digits(folders: Sequence[Path], download: bool) -> Loaded:
    """scikit-learn's 1797 handwritten digits of 8 x 8 pixels; a fifth of them is the test split."""
    return _embedded_digits()


@cache
def _embedded_digits() -> Loaded:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, random_state=SPLIT_SEED, stratify=labels
    )
    return ArraySplit(images[train], labels[train]), ArraySplit(images[test], labels[test]), False


def _fashion_mnist(folders: Sequence[Path], download: bool) -> Loaded:
    places = [place for f in folders for place in (f, f / "fashion-mnist", f / "FashionMNIST" / "raw")]
    found = next((p for p in places if any(p.glob("train-images-idx3-ubyte*"))), None)
    if found is None and download:
        from torchvision.datasets import FashionMNIST

        _download(lambda: FashionMNIST(str(folders[0]), download=True), "fashion-mnist", folders[0])
        found = folders[0] / "FashionMNIST" / "raw"
    if found is None:
        raise _missing("fashion-mnist", folders, "or install Debian's package dataset-fashion-mnist")
    train = ArraySplit(_idx(found, "train-images-idx3-ubyte")[:, None], _labels(found, "train"))
    test = ArraySplit(_idx(found, "t10k-images-idx3-ubyte")[:, None], _labels(found, "t10k"))
    return train, test, True


def _labels(folder: Path, part: str) -> NDArray[np.int64]:
    return _idx(folder, f"{part}-labels-idx1-ubyte").astype(np.int64)


_LONGEST = 1 << 28
"""Bytes of one file of a data set that is held in memory."""


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """A file of MNIST's IDX format, compressed or not: big-endian magic, sizes, bytes."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise InputError(f"{folder / name}: no such file (nor with .gz)")
    try:
        content = read_regular(path, _LONGEST, "data set in memory")
        if path.suffix == ".gz":
            with strange_content(f"{path}: unreadable"), gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(_LONGEST + 1)
            if len(content) > _LONGEST:
                raise ValueError(f"more than {_LONGEST:,} bytes unpacked")
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        if zero or kind != 8:
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except InputError:
        raise
    except (OSError, struct.error, ValueError) as error:
        raise InputError(f"{path}: unreadable: {error}") from None


def _cifar(name: str) -> Callable[[Sequence[Path], bool], Loaded]:
    def load(folders: Sequence[Path], download: bool) -> Loaded:
        from torchvision import datasets

        cls = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
        found = next((folder for folder in folders if (folder / cls.base_folder).is_dir()), None)
        if found is None and download:
            found = folders[0]
            _download(lambda: cls(str(found), download=True), name, found)
        if found is None:
            raise _missing(name, folders)
        splits = []
        for train in (True, False):
            try:
                part = cls(str(found), train=train)
                images = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
            except Exception as error:  # the files are pickles, which fail in any way
                cause = str(error) or type(error).__name__
                raise InputError(f"{found / cls.base_folder}: unreadable: {cause}") from None
            splits.append(ArraySplit(images, np.array(part.targets)))
        return splits[0], splits[1], True

    return load


def _download(fetch: Callable[[], object], name: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fetch()
    except (OSError, RuntimeError) as error:
        raise InputError(f"data set {name!r}: download to {folder} failed: {error}") from None


def _missing(name: str, folders: Sequence[Path], hint: str = "") -> InputError:
    looked = ", ".join(str(folder) for folder in folders)
    return InputError(
        f"data set {name!r} not found in {looked}: give --data-root or --download {hint}".strip()
    )


LOADERS: dict[str, Callable[[Sequence[Path], bool], Loaded]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "cifar10": _cifar("cifar10"),
    "cifar100": _cifar("cifar100"),
}
