"""Image data sets by name, with a part of the training split held out for scoring.

Small sets are held in memory as uint8 arrays, which Ray's object store maps into every worker of a
node without a copy; sets of files stay on disk and are decoded by worker processes. The test split is
there for `nas train`; a search never reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nas.training.arrays import array_set
from nas.training.dataset import SPLIT_SEED, ArraySplit, DataSet, FileSplit, Source, Split
from nas.training.hugging_face import hugging_face
from nas.training.image_folder import image_folder
from nas.training.naming import ARRAY_SETS, FILE_SETS, DataName, parse_name
from nas.training.web_dataset import web_dataset

__all__ = [
    "ARRAY_SETS",
    "DATA_FOLDERS",
    "FILE_SETS",
    "SPLIT_SEED",
    "ArraySplit",
    "DataSet",
    "FileSplit",
    "Source",
    "Split",
    "load_data",
]

DATA_FOLDERS = ("~/.cache/baseline-nas", "/usr/share/datasets")
"""Where data sets are looked for beside `--data-root`: our own folder, and that of Debian's packages."""

LOADERS: dict[str, Callable[[DataName], DataSet]] = {
    "imagefolder": image_folder,
    "webdataset": web_dataset,
    "huggingface": hugging_face,
}


def load_data(name: str, root: str | None = None, download: bool = False) -> DataSet:
    """The data set called `name`.

    Args:
        name: `digits` (embedded), `fashion-mnist`, `cifar10`, `cifar100`, or one of `FILE_SETS` with a
            path, such as `imagefolder:PATH` or `webdataset:PATH?label=COLUMN`.
        root: a folder to look in before `DATA_FOLDERS`.
        download: fetch a missing set through torchvision into `root` or our cache folder.

    Raises:
        InputError: unknown name; files missing, empty or unreadable; labels that are none.
    """
    parsed = parse_name(name)
    if parsed.kind in LOADERS:
        return LOADERS[parsed.kind](parsed)
    folders = [Path(os.path.expanduser(folder)) for folder in (*([root] if root else []), *DATA_FOLDERS)]
    return array_set(name, folders, download)
