"""Data sets that stay on disk: image folders, WebDataset shards, Hugging Face data sets.

All become `FileSplit`s with random access, so holding out, subsets and shuffling are those of any set.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.training.data import SPLIT_SEED, DataSet, FileSplit
from nas.training.images import encoded
from search_spaces.errors import InputError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, as torchvision states them."""
_HELD_OUT = 50_000
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".ppm", ".bmp")


def _data_set(
    name: str,
    splits: Sequence[FileSplit],
    classes: Sequence[str],
    digest: str,
    folders: tuple[str, ...] = (),
) -> DataSet:
    """Holds a stratified part of `train` out: a sixth, at most 50,000 (ImageNet's custom in searches)."""
    from sklearn.model_selection import train_test_split

    train, test = splits
    counts = np.bincount(train.labels, minlength=len(classes))
    if counts.min() < 2:
        rarest = classes[int(counts.argmin())]
        raise InputError(
            f"data set {name!r}: class {rarest!r} has {counts.min()} training images: "
            "expected at least 2, one of them to hold out"
        )
    held = min(_HELD_OUT, max(len(counts), len(train) // 6))
    kept, held_out = train_test_split(
        np.arange(len(train)), test_size=held, random_state=SPLIT_SEED, stratify=train.labels
    )
    return DataSet(
        name=name,
        train=train.part(kept.tolist()),
        held_out=train.part(held_out.tolist()),
        test=test,
        num_classes=len(classes),
        in_channels=3,
        resolution=224,
        mean=_MEAN,
        std=_STD,
        flips=True,
        digest=digest,
        folders=folders,
        classes=tuple(classes),
    )


def _digest(files: Sequence[str], root: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{os.path.relpath(file, root)} {os.path.getsize(file)}\n".encode())
    return digest.hexdigest()[:16]


def _parts(name: str, path: Path, expected: str) -> list[Path]:
    parts = [path / part for part in ("train", "val")]
    for part in parts:
        if not part.is_dir():
            raise InputError(f"data set {name!r}: no folder {part} (expected {part.name}/{expected})")
    return parts


def image_folder(name: str, location: str) -> DataSet:
    """PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE, ImageNet's layout; `val` is the test split.

    Raises:
        InputError: a folder is missing, a class has no images, or the classes differ.
    """
    from torchvision.datasets import ImageFolder

    path = Path(location).expanduser().absolute()  # workers have another working directory
    found = []
    for part in _parts(name, path, "CLASS/IMAGE"):
        try:
            found.append(ImageFolder(str(part)))
        except FileNotFoundError as error:
            # torchvision's message lists the classes without images, or says that there are none
            raise InputError(f"data set {name!r}: {str(error).splitlines()[0]}") from None
    train, test = found
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise InputError(f"data set {name!r}: classes {odd[:5]} are in only one of train and val")
    splits = []
    for folder in (train, test):
        keys, labels = zip(*folder.samples, strict=True)
        splits.append(FileSplit(keys, labels))
    digest = _digest([file for file, _ in (*train.samples, *test.samples)], path)
    return _data_set(name, splits, train.classes, digest, tuple(str(path / p) for p in ("train", "val")))


@dataclass(frozen=True)
class _Shards:
    """Members of tar files, read where they lie; a key is `shard:offset:size:name`."""

    files: tuple[str, ...]

    def content(self, key: str) -> bytes:
        shard, offset, size, _ = key.split(":", 3)
        with open(self.files[int(shard)], "rb") as stream:
            stream.seek(int(offset))
            return stream.read(int(size))

    def name(self, key: str) -> str:
        shard, _, _, name = key.split(":", 3)
        return f"{self.files[int(shard)]}: {name}"


def web_dataset(name: str, location: str) -> DataSet:
    """PATH/train/*.tar and PATH/val/*.tar in WebDataset's layout: KEY.jpg (or png ...) with KEY.cls.

    The label may also be `label` in KEY.json. The shards are indexed once, then read at random, since a
    search holds out and takes subsets; the library itself would read them in their order only.

    Raises:
        InputError: folders or shards are missing or unreadable, or a sample has no label.
    """
    path = Path(location).expanduser().absolute()
    splits, files = [], []
    for part in _parts(name, path, "*.tar"):
        shards = sorted(map(str, part.glob("*.tar")))
        if not shards:
            raise InputError(f"data set {name!r}: no *.tar in {part}")
        splits.append(_index(name, shards))
        files += shards
    train, test = splits
    count = max(*train.labels, *test.labels) + 1
    folders = tuple(str(path / part) for part in ("train", "val"))
    return _data_set(name, splits, [str(i) for i in range(count)], _digest(files, path), folders)


def _index(name: str, shards: list[str]) -> FileSplit:
    keys, labels = [], []
    for number, shard in enumerate(shards):
        images: dict[str, str] = {}
        classes: dict[str, int] = {}
        try:
            with tarfile.open(shard, "r:") as archive:
                for member in archive:
                    folder, _, file = member.name.rpartition("/")
                    stem, _, suffix = file.partition(".")
                    sample, suffix = f"{folder}/{stem}", f".{suffix.lower()}"
                    if suffix in _IMAGES:
                        images[sample] = f"{number}:{member.offset_data}:{member.size}:{member.name}"
                    elif suffix in (".cls", ".json"):
                        stream = archive.extractfile(member)
                        text = stream.read() if stream is not None else b""
                        classes[sample] = int(text) if suffix == ".cls" else int(json.loads(text)["label"])
        except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"data set {name!r}: {shard}: unreadable: {error}") from None
        for sample, key in images.items():
            if classes.get(sample, -1) < 0:
                raise InputError(f"data set {name!r}: {shard}: {sample!r} has no .cls or .json with a label")
            keys.append(key)
            labels.append(classes[sample])
    if not keys:
        raise InputError(
            f"data set {name!r}: no images in {shards[0]} and the other {len(shards) - 1} shards"
        )
    return FileSplit(tuple(keys), tuple(labels), _Shards(tuple(shards)))


@dataclass(frozen=True)
class _Rows:
    """Rows of a Hugging Face data set whose image column isn't decoded."""

    rows: Any
    column: str

    def content(self, key: str) -> bytes | str:
        return encoded(self.rows[int(key)][self.column])

    def name(self, key: str) -> str:
        return f"row {key}"


def hugging_face(name: str, location: str) -> DataSet:
    """A data set of the Hugging Face hub by its name, or a folder written by its `save_to_disk`.

    Images and labels are its first columns of the types Image and ClassLabel.

    Raises:
        InputError: the library `datasets` isn't installed, the set can't be loaded, or has no such columns.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"data set {name!r}: datasets is not installed; pip install 'baseline-nas[huggingface]'"
        ) from None
    try:
        path = Path(location).expanduser()
        found = datasets.load_from_disk(str(path)) if path.is_dir() else datasets.load_dataset(location)
    except Exception as error:  # the library raises many kinds of its own
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"data set {name!r}: cannot be loaded: {cause}") from None
    known = list(found) if hasattr(found, "keys") else []
    test = next((part for part in ("test", "validation", "val") if part in known), None)
    if "train" not in known or test is None:
        raise InputError(
            f"data set {name!r}: has {known or 'no splits'}: expected train and test (or validation)"
        )
    features = found["train"].features
    image = next((c for c, kind in features.items() if isinstance(kind, datasets.Image)), None)
    label = next((c for c, kind in features.items() if isinstance(kind, datasets.ClassLabel)), None)
    if image is None or label is None:
        raise InputError(f"data set {name!r}: columns {list(features)}: expected an Image and a ClassLabel")
    splits, digest = [], hashlib.sha256()
    for part in ("train", test):
        rows = found[part].cast_column(image, datasets.Image(decode=False))
        labels = tuple(int(value) for value in rows[label])
        splits.append(FileSplit(tuple(map(str, range(len(labels)))), labels, _Rows(rows, image)))
        # a saved folder may be moved; a name on the hub says which set it is
        digest.update(f"{'' if path.is_dir() else location} {part} {labels}".encode())
    return _data_set(name, splits, features[label].names, digest.hexdigest()[:16])


LOADERS: dict[str, Callable[[str, str], DataSet]] = {
    "imagefolder": image_folder,
    "webdataset": web_dataset,
    "huggingface": hugging_face,
}
