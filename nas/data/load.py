"""Image data sets by name, with a part of the training split held out for scoring.

Small sets are held in memory as uint8 arrays, which Ray's object store maps into every worker of a
node without a copy; sets of files stay on disk and are decoded by worker processes. The test split is
there for `nas train`; a search never reads it.
"""

from __future__ import annotations

import os
from pathlib import Path

from nas.data.dataset import SPLIT_SEED, ArraySplit, DataSet, FileSplit, Source, Split
from nas.data.naming import parse_name
from nas.data.sources import SOURCES, load_function

__all__ = [
    "DATA_FOLDERS",
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


def load_data(name: str, root: str | None = None, download: bool = False) -> DataSet:
    """The data set called `name`.

    Args:
        name: `digits` (embedded), `fashion-mnist`, `cifar10`, `cifar100`, or one with a
            path, such as `imagefolder:PATH` or `webdataset:PATH?label=COLUMN`.
        root: a folder to look in before `DATA_FOLDERS`.
        download: fetch a missing set through torchvision into `root` or our cache folder.

    Raises:
        InputError: unknown name; files missing, empty or unreadable; labels that are none.
    """
    parsed = parse_name(name)
    source = SOURCES[parsed.kind]
    load = load_function(source)
    if source.located:
        located: DataSet = load(parsed)
        return located
    folders = [Path(os.path.expanduser(folder)) for folder in (*([root] if root else []), *DATA_FOLDERS)]
    found: DataSet = load(name, folders, download)
    return found
