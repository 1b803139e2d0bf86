"""Data sets of the Hugging Face hub, or saved ones in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.dataset import DataSet
from nas.data.file_set import TEST_NAMES, RawSplit, file_set
from nas.data.images import encoded
from nas.data.labels import read_labels
from nas.data.naming import DataName
from search_spaces.errors import InputError, unknown

_IMAGE_NAMES = ("image", "img")
_LABEL_NAMES = ("label", "labels", "class", "target", "fine_label", "category", "y")

_NO_SCRIPTS = 4
"""The version of `datasets` from which on it runs no code of a data set."""


@dataclass(frozen=True)
class _Rows:
    """Rows of a Hugging Face data set whose image column isn't decoded."""

    rows: Any
    column: str

    def content(self, key: str) -> bytes | str:
        return encoded(self.rows[int(key)][self.column])

    def name(self, key: str) -> str:
        return f"row {key}"


def hugging_face(name: DataName) -> DataSet:
    """A data set of the Hugging Face hub by its name, or a folder written by its `save_to_disk`.

    Images are its column of the type Image, labels that of the type ClassLabel; of several, those that are
    called so, or else the first. Columns of numbers or texts can be labels too, if they are called so.
    Classes are compared by name where the splits have names for them.

    Raises:
        InputError: the library `datasets` isn't installed, the set can't be loaded, or has no such columns.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"data set {name.text!r}: datasets is not installed; pip install 'baseline-nas[huggingface]'"
        ) from None
    if int(datasets.__version__.partition(".")[0]) < _NO_SCRIPTS:
        raise InputError(
            f"data set {name.text!r}: datasets {datasets.__version__} may run a hub's scripts: expected "
            f"version {_NO_SCRIPTS} or later; pip install -U 'baseline-nas[huggingface]'"
        )
    found = _load(name, datasets)
    remarks: list[str] = []
    features = found["train"].features
    image = _image_column(name, features, datasets, remarks)
    label = _label_column(name, features, datasets, image, remarks)

    def read(part: str) -> RawSplit:
        rows = found[part]
        if image not in rows.features:
            raise InputError(f"data set {name.text!r}: {part}: no column {image!r}, which train has")
        kind = rows.features.get(label)
        order = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else ()
        values = [None] * len(rows) if kind is None else list(rows[label])
        labels = read_labels(name.text, part, values, lambda index: f"row {index}", order)
        try:
            rows = rows.cast_column(image, datasets.Image(decode=False))
        except Exception as error:  # of pyarrow or of the library, by type of the column
            cause = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"data set {name.text!r}: {part}: column {image!r}: no images: {cause}"
            ) from None
        return RawSplit(labels, tuple(map(str, range(len(rows)))), _Rows(rows, image))

    def digest(parts: Sequence[tuple[RawSplit, tuple[int, ...]]]) -> str:
        made = hashlib.sha256()
        # a saved folder may be moved; a name on the hub says which set it is
        where = "" if Path(name.location).expanduser().is_dir() else name.location
        for split, classes in parts:
            made.update(f"{where} {split.labels.part} {classes}".encode())
        made.update(name.columns.encode())
        return made.hexdigest()[:16]

    tests = [part for part in TEST_NAMES if part in found]
    others = [part for part in found if part not in ("train", *tests)]
    if others:
        remarks.append(f"splits {others} are not used")
    return file_set(name.text, read("train"), [read(part) for part in tests], digest, remarks=remarks)


def _load(name: DataName, datasets: Any) -> dict[str, Any]:
    """The splits by name."""
    path = os.path.expanduser(name.location)
    try:
        folder = os.path.isdir(path)
        found = datasets.load_from_disk(path) if folder else datasets.load_dataset(name.location)
    except Exception as error:  # the library raises many kinds of its own
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"data set {name.text!r}: cannot be loaded: {cause}") from None
    if not hasattr(found, "keys"):
        return {"train": found}  # a saved `Dataset`: one split without a name
    if "train" not in found:
        raise InputError(
            f"data set {name.text!r}: has {list(found) or 'no splits'}: expected train and test (or "
            "validation)"
        )
    return dict(found)


def _image_column(name: DataName, features: Any, datasets: Any, remarks: list[str]) -> str:
    if name.image is not None:
        if name.image not in features:
            raise InputError(f"data set {name.text!r}: {unknown('column', name.image, features)}")
        return name.image
    fitting = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    if not fitting:
        raise InputError(
            f"data set {name.text!r}: columns {list(features)}: expected an Image and a ClassLabel; "
            "choose with --image-column and --label-column"
        )
    return _first("image", fitting, _IMAGE_NAMES, remarks)


def _label_column(name: DataName, features: Any, datasets: Any, image: str, remarks: list[str]) -> str:
    if name.label is not None:
        if name.label not in features:
            raise InputError(f"data set {name.text!r}: {unknown('column', name.label, features)}")
        if name.label == image:
            raise InputError(f"data set {name.text!r}: column {image!r} is that of the images")
        return name.label
    fitting = [column for column, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    if fitting:
        return _first("label", fitting, _LABEL_NAMES, remarks)
    plain = [column for column in features if column in _LABEL_NAMES and column != image]
    if not plain:
        raise InputError(
            f"data set {name.text!r}: columns {list(features)}: expected an Image and a ClassLabel, or "
            f"numbers or texts called {', '.join(_LABEL_NAMES[:4])}; choose with --label-column"
        )
    column = _first("label", plain, _LABEL_NAMES, remarks)
    remarks.append(f"labels are column {column!r}, of type {getattr(features[column], 'dtype', 'list')}")
    return column


def _first(what: str, fitting: Sequence[str], usual: Sequence[str], remarks: list[str]) -> str:
    """The column to take of those that fit; said, where there are several."""
    column = next((name for name in usual if name in fitting), fitting[0])
    if len(fitting) > 1:
        remarks.append(
            f"{what} columns {', '.join(map(repr, fitting))}: {column!r} is used; --{what}-column takes "
            "another"
        )
    return column
