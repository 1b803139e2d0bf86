"""The data sets, each with its own defaults beside its loader; loads no torch, the loaders do when they run.

To add one: a file with its loader, and its line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search_spaces.added import Registry, broken
from search_spaces.errors import unknown


def possible_share(share: float, train: int, classes: int) -> float:
    """A part of the training images near `share` that can be taken: ten of each class, where there are any.

    Both the part and what it leaves need images of every class; all of them where too few would be left.
    """
    share = max(share, min(1.0, 10 * classes / train))
    return share if (1 - share) * train >= 2 * classes else 1.0


@dataclass(frozen=True)
class ProxyDefaults:
    """What the proxy task of a data set is where the user doesn't say.

    Attributes:
        resolution: pixels.
        width: multiplier.
        stem_stride: 1 keeps the detail of small images.
        subset: part of the images.
        images: to train on, at most; where there are more, the part is smaller.
    """

    resolution: int
    width: float
    stem_stride: int
    subset: float
    images: int | None = None

    def share(self, train: int, classes: int) -> float:
        """The part of so many training images of so many classes."""
        if self.images is None or self.images >= train:
            return self.subset
        return possible_share(min(self.subset, self.images / train), train, classes)


@dataclass(frozen=True)
class DataSource:
    """A data set, or a kind of them.

    Attributes:
        kind: its name, or what stands before the colon of `KIND:LOCATION`.
        loader: `module:function`; takes a `DataName`, or where not `located` (name, folders, download).
        proxy: its defaults.
        located: whether a location belongs to its name.
        columns: whether its images and labels are columns with names.
        fetched: whether it is looked for in folders, and can be downloaded.
    """

    kind: str
    loader: str
    proxy: ProxyDefaults
    located: bool = False
    columns: bool = False
    fetched: bool = False


_PHOTOGRAPHS = ProxyDefaults(48, 0.5, 2, 1.0, 3500)
EARLIER_PHOTOGRAPHS = (ProxyDefaults(128, 1.0, 2, 0.1), ProxyDefaults(48, 0.25, 2, 1.0, 3000))
"""Of runs that were started before those: first, and then."""


def _accepted(name: str, source: object) -> DataSource:
    if not isinstance(source, DataSource) or source.kind != name:
        raise TypeError(f"expected a nas.data.sources.DataSource of the kind {name!r}")
    return source


_BUILT_IN = {
    source.kind: source
    for source in (
        DataSource("digits", "nas.data.arrays:array_set", ProxyDefaults(16, 0.25, 1, 1.0)),
        DataSource(
            "fashion-mnist", "nas.data.arrays:array_set", ProxyDefaults(28, 0.25, 1, 0.1), fetched=True
        ),
        DataSource("cifar10", "nas.data.arrays:array_set", ProxyDefaults(32, 0.5, 1, 0.2), fetched=True),
        DataSource("cifar100", "nas.data.arrays:array_set", ProxyDefaults(32, 0.5, 1, 0.2), fetched=True),
        DataSource("imagefolder", "nas.data.image_folder:image_folder", _PHOTOGRAPHS, located=True),
        DataSource(
            "webdataset", "nas.data.web_dataset:web_dataset", _PHOTOGRAPHS, located=True, columns=True
        ),
        DataSource(
            "huggingface", "nas.data.hugging_face:hugging_face", _PHOTOGRAPHS, located=True, columns=True
        ),
    )
}


SOURCES: Registry[DataSource] = Registry("nas.data", _BUILT_IN, _accepted)
"""By kind; installed packages add theirs by the entry points `nas.data`."""


def load_function(source: DataSource) -> Callable[..., Any]:
    """Its loader; raises `InputError` where a package's can't be imported."""
    module, _, function = source.loader.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except Exception as error:
        if source.kind in SOURCES.built_in:
            raise
        raise broken("nas.data", source.kind, f"loader {source.loader!r}: {error}") from error
    return found


def source_of(name: str) -> DataSource:
    """The source of a data set's name, `KIND` or `KIND:LOCATION`; raises `InputError` for an unknown one."""
    kind, colon, _ = name.partition(":")
    source: DataSource | None = SOURCES.get(kind)
    if source is None or source.located != bool(colon):
        known = SOURCES.loaded().values()
        raise unknown("data set", name, [s.kind + (":PATH" if s.located else "") for s in known])
    return source


def proxy_defaults(name: str) -> ProxyDefaults:
    """The proxy task's defaults for a data set; raises `InputError` for an unknown one."""
    return source_of(name).proxy
