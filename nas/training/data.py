"""Image data sets by name, with a part of the training split held out for scoring.

Small sets are held in memory as uint8 arrays, which Ray's object store maps into every worker of a
node without a copy; sets of files (`nas.training.file_data`) stay on disk and are decoded by worker
processes. The test split is there for `nas train`; a search never reads it.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from search_spaces.errors import InputError, unknown

SPLIT_SEED = 0
"""The held-out part is the same in every run, so that accuracies of different runs compare."""

_PART = 1024

DATA_FOLDERS = ("~/.cache/baseline-nas", "/usr/share/datasets")
"""Where data sets are looked for beside `--data-root`: our own folder, and that of Debian's packages."""


FILE_SETS = ("imagefolder", "webdataset", "huggingface")
"""Kinds of data sets that stay on disk, see `nas.training.file_data`."""


@dataclass(frozen=True)
class ArraySplit:
    """Images in memory.

    Attributes:
        images: uint8, shape (N, C, H, W).
        labels: int64, shape (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


class Source(Protocol):
    """Where encoded images are read that are no files of their own."""

    def content(self, key: str) -> bytes | str:
        """The encoded image, or its path; raises OSError."""

    def name(self, key: str) -> str:
        """What to call it in a message."""


@dataclass(frozen=True)
class FileSplit:
    """Images on disk, decoded when they are needed.

    Attributes:
        keys: paths, or what `source` knows the images by.
        labels: theirs.
        source: reads the images; None: `keys` are paths.
    """

    keys: tuple[str, ...]
    labels: tuple[int, ...]
    source: Source | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def content(self, index: int) -> bytes | str:
        """The encoded image, or its path; raises OSError."""
        return self.keys[index] if self.source is None else self.source.content(self.keys[index])

    def name(self, index: int) -> str:
        """What to call an image in a message."""
        return self.keys[index] if self.source is None else self.source.name(self.keys[index])

    def part(self, chosen: Iterable[int]) -> FileSplit:
        """Some of the images."""
        chosen = list(chosen)
        keys, labels = tuple(self.keys[i] for i in chosen), tuple(self.labels[i] for i in chosen)
        return FileSplit(keys, labels, self.source)


Split = ArraySplit | FileSplit


@dataclass(frozen=True)
class DataSet:
    """A classification task.

    Attributes:
        name: as the user wrote it.
        train, held_out, test: the splits; a search trains on `train` and scores on `held_out`.
        num_classes: labels are 0 to num_classes - 1.
        in_channels: of the images.
        resolution: height and width at which the images come.
        mean, std: by channel, of values from 0 to 1.
        flips: whether a mirrored image keeps its label.
        digest: 16 hex digits of the content (of names and sizes for files).
        folders: where its files lie, if they are read while training.
        classes: their names, where it has some.
    """

    name: str
    train: Split
    held_out: Split
    test: Split
    num_classes: int
    in_channels: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool
    digest: str
    folders: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def subset(self, share: float) -> DataSet:
        """The data set with a part of its training and held-out images, classes in proportion.

        The test split stays whole.

        Raises:
            InputError: the share is not in (0, 1], or so small that a class would be lost.
        """
        if not 0 < share <= 1:
            raise InputError(f"subset {share:g}: expected a fraction above 0 and up to 1")
        if share == 1:
            return self
        return replace(self, train=_part(self.train, share, self), held_out=_part(self.held_out, share, self))

    def at(self, resolution: int) -> DataSet:
        """The data set with its images in memory resized once to `resolution` pixels.

        Files are resized when they are decoded.
        """
        if resolution == self.resolution:
            return self
        return replace(
            self,
            resolution=resolution,
            train=_resized(self.train, resolution),
            held_out=_resized(self.held_out, resolution),
            test=_resized(self.test, resolution),
        )


def _part(split: Split, share: float, data: DataSet) -> Split:
    from sklearn.model_selection import train_test_split

    count = round(share * len(split))
    if count < 2 * data.num_classes or len(split) - count < data.num_classes:
        raise InputError(
            f"subset {share:g}: {count} of {len(split)} images of {data.name!r}: expected at least two "
            f"of each of the {data.num_classes} classes"
        )
    labels = np.asarray(split.labels)
    chosen, _ = train_test_split(
        np.arange(len(split)), train_size=count, random_state=SPLIT_SEED, stratify=labels
    )
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[chosen], split.labels[chosen])
    return split.part(chosen.tolist())


def _resized(split: Split, resolution: int) -> Split:
    if isinstance(split, FileSplit):
        return split
    count, channels = split.images.shape[:2]
    # filled part by part: the floats take four times the space, and small pieces would stay with malloc
    resized = np.empty((count, channels, resolution, resolution), np.uint8)
    for start in range(0, count, _PART):
        # a copy: arrays out of a file or the object store are read-only, of which torch would warn
        part = torch.from_numpy(split.images[start : start + _PART].copy()).float()
        size = (resolution, resolution)
        part = F.interpolate(part, size, mode="bilinear", antialias=True, align_corners=False)
        resized[start : start + _PART] = part.round().clamp(0, 255).byte().numpy()
    return ArraySplit(resized, split.labels)


def load_data(name: str, root: str | None = None, download: bool = False) -> DataSet:
    """The data set called `name`.

    Args:
        name: `digits` (embedded), `fashion-mnist`, `cifar10`, `cifar100`, or one of `FILE_SETS` with a
            path, such as `imagefolder:PATH`.
        root: a folder to look in before `DATA_FOLDERS`.
        download: fetch a missing set through torchvision into `root` or our cache folder.

    Raises:
        InputError: unknown name; files missing, empty or unreadable.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind in FILE_SETS:
        from nas.training import file_data

        return file_data.LOADERS[kind](name, rest)
    if name not in DATA_SETS:
        raise unknown("data set", name, [*DATA_SETS, *(f"{kind}:PATH" for kind in FILE_SETS)])
    folders = [Path(folder).expanduser() for folder in (*([root] if root else []), *DATA_FOLDERS)]
    train, test, flips = DATA_SETS[name](folders, download)
    return _hold_out(name, train, test, flips)


def _hold_out(name: str, train: ArraySplit, test: ArraySplit, flips: bool) -> DataSet:
    """A stratified part of `train`, a sixth and at least 437 images, is set aside for scoring."""
    from sklearn.model_selection import train_test_split

    held = max(len(train) // 6, min(437, len(train) // 2))
    kept, held_out = train_test_split(
        np.arange(len(train)), test_size=held, random_state=SPLIT_SEED, stratify=train.labels
    )
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
        num_classes=int(train.labels.max()) + 1,
        in_channels=train.images.shape[1],
        resolution=train.images.shape[2],
        mean=tuple(float(x) for x in pixels.mean(axes)),
        std=tuple(max(1e-3, float(x)) for x in pixels.std(axes)),
        flips=flips,
        digest=digest.hexdigest()[:16],
        classes=_CLASSES.get(name, ()),
    )


_CLASSES = {
    "fashion-mnist": (
        "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip


def _digits(folders: Sequence[Path], download: bool) -> tuple[ArraySplit, ArraySplit, bool]:
    """scikit-learn's 1797 handwritten digits of 8 x 8 pixels; a fifth of them is the test split."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, random_state=SPLIT_SEED, stratify=labels
    )
    return ArraySplit(images[train], labels[train]), ArraySplit(images[test], labels[test]), False


def _fashion_mnist(folders: Sequence[Path], download: bool) -> tuple[ArraySplit, ArraySplit, bool]:
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
    for split in (train, test):
        if len(split.images) != len(split.labels):
            raise InputError(f"{found}: {len(split.images)} images but {len(split.labels)} labels")
    return train, test, True


def _labels(folder: Path, part: str) -> NDArray[np.int64]:
    return _idx(folder, f"{part}-labels-idx1-ubyte").astype(np.int64)


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """A file of MNIST's IDX format, compressed or not: big-endian magic, sizes, bytes."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise InputError(f"{folder / name}: no such file (nor with .gz)")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        if zero or kind != 8:
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, struct.error, ValueError) as error:
        raise InputError(f"{path}: unreadable: {error}") from None


def _cifar(name: str) -> Callable[[Sequence[Path], bool], tuple[ArraySplit, ArraySplit, bool]]:
    def load(folders: Sequence[Path], download: bool) -> tuple[ArraySplit, ArraySplit, bool]:
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
            except (RuntimeError, OSError, EOFError, KeyError) as error:
                raise InputError(f"{found / cls.base_folder}: unreadable: {error}") from None
            images = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
            splits.append(ArraySplit(images, np.array(part.targets, dtype=np.int64)))
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


DATA_SETS: dict[str, Callable[[Sequence[Path], bool], tuple[ArraySplit, ArraySplit, bool]]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "cifar10": _cifar("cifar10"),
    "cifar100": _cifar("cifar100"),
}
