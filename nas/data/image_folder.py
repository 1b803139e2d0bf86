"""Folders of image files: PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE, ImageNet's layout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nas.data.dataset import DataSet
from nas.data.file_set import TEST_NAMES, RawSplit, digest_of_files, file_set
from nas.data.labels import RawLabels
from nas.data.naming import DataName
from nas.data.walk import Identity, Walk
from search_spaces.errors import InputError
from search_spaces.quoting import printable

Files = list[tuple[str, int, Identity]]


def image_folder(name: DataName) -> DataSet:
    """The data set in a folder of folders; the test split is `test` or `val` (or as it may be called).

    Below a class folder images may lie in further folders. Where there is no `train`, but folders of
    images, these are the classes, and a part of the images is set aside to test.

    Raises:
        InputError: a folder is missing or can't be read, a class has no images, or the classes differ.
    """
    path = os.path.abspath(os.path.expanduser(name.location))  # workers have another working directory
    walk = Walk(name.text)
    remarks: list[str] = []
    if not os.path.isdir(path):
        what = "is no folder" if os.path.exists(path) else "no folder here"
        raise InputError(f"data set {name.text!r}: {printable(path)}: {what}")
    folders, loose = walk.folders(path)
    sizes: dict[str, int] = {}
    seen: dict[Identity, str] = {}
    twice: list[tuple[str, str]] = []

    def read(part: str, place: str) -> RawSplit:
        found = _classes(walk, part, place, path, remarks)
        keys, values = [], []
        for label, files in found.items():
            for file, size, identity in files:
                if identity in seen:
                    twice.append((seen[identity], file))
                seen[identity] = file
                sizes[file] = size
                keys.append(file)
                values.append(label)
        return RawSplit(RawLabels(part, values, lambda index: keys[index], tuple(found)), keys)

    tests = [part for part in TEST_NAMES if part in folders]
    if "train" in folders:
        train = read("train", os.path.join(path, "train"))
        splits = [read(part, os.path.join(path, part)) for part in tests]
        others = [folder for folder in folders if folder not in ("train", *tests)]
        if others:
            remarks.append(f"beside train/ {_names(others)} not read")
    elif tests or not folders:
        raise InputError(
            f"data set {name.text!r}: no folder {printable(path)}/train (expected train/CLASS/IMAGE and "
            f"val/CLASS/IMAGE, or CLASS/IMAGE; found {_names([*folders, *loose]) or 'nothing'})"
        )
    else:
        train, splits = read("the folder", path), []
        remarks.append(f"no train/: the {len(set(train.labels.values)):,} folders are the classes")
    _require_images(name.text, train, walk)
    if twice:
        first, second = twice[0]
        remarks.append(
            f"{len(twice):,} images are in several classes or splits by links, e.g. {first} and {second}"
        )

    def digest(parts: Sequence[tuple[RawSplit, tuple[int, ...]]]) -> str:
        return digest_of_files(((key, sizes[key]) for split, _ in parts for key in split.keys), Path(path))

    read_from = [os.path.join(path, part) for part in ("train", *tests)] if "train" in folders else [path]
    return file_set(name.text, train, splits, digest, tuple(read_from), [*remarks, *walk.skipped.remark()])


def _classes(walk: Walk, part: str, place: str, path: str, remarks: list[str]) -> dict[str, Files]:
    """The images of each class folder of a split, in the order of their names."""
    folders, loose = walk.folders(place)
    if loose:
        remarks.append(
            f"{len(loose):,} images lie in {part} itself, in no class: they are left out, e.g. {loose[0]}"
        )
    above = [path] if place == path else [path, place]
    return {folder: walk.images(os.path.join(place, folder), above) for folder in folders}


def _require_images(data: str, train: RawSplit, walk: Walk) -> None:
    present = set(train.labels.values)
    empty = [folder for folder in train.labels.order if folder not in present]
    skipped = "".join(f" ({printable(remark)})" for remark in walk.skipped.remark())
    if not train.labels.order:
        raise InputError(f"data set {data!r}: no class folders with images in {train.labels.part}{skipped}")
    if empty:
        raise InputError(f"data set {data!r}: no images in class folders {_names(empty)}{skipped}")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown
