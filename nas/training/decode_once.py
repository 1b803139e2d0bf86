"""Whether a search keeps its images decoded in memory, or decodes them anew in every epoch of every trial."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from nas.data.decoding import decode_split, decoding_processes, stored_side
from nas.data.load import ArraySplit, DataSet, FileSplit
from nas.data.memory import free_memory
from nas.training.cache_size import parse_cache
from nas.training.check_files import Looked, judge_files
from search_spaces.errors import InputError

CACHE_SHARE = 0.25
"""Part of the free memory that decoded images may take by themselves (`auto`): for a moment they are there
twice, in the driver and in Ray's object store, which has three tenths of the memory unless told otherwise."""

_SPLITS = ("train", "held_out")


def keep_decoded(
    data: DataSet, resolution: int, cache: str, say: Callable[[str], None] = lambda text: None
) -> DataSet:
    """The data with training and held-out images decoded into memory; as they are, if that is too much.

    Args:
        data: of files, as they are to be trained on (subset and all); the test split stays as it is.
        resolution: at which they are trained on; stored they are larger (`stored_side`).
        cache: as `parse_cache` takes it.
        say: told what is done and why, a line each.

    Raises:
        InputError: the memory can't hold what was asked for; more of a split than may be left out can't be
            read, or no training image of a class.
    """
    side = stored_side(resolution)
    splits = {name: getattr(data, name) for name in _SPLITS}
    count = " + ".join(f"{len(split):,}" for split in splits.values())
    size = 3 * side * side * sum(map(len, splits.values()))
    given, free = parse_cache(cache), free_memory()
    budget = CACHE_SHARE * free if given is None else given
    images = f"{count} images of {data.name}"
    if size > budget:
        why = "cache off"
        if budget:
            whose = "the part of the free memory for them" if given is None else f"cache {cache}"
            why = f"{_bytes(size)} at {side} px, more than {whose}, {_bytes(budget)}"
        say(f"{images} are decoded again in every epoch of a trial: {why}")
        return data
    if size > free:
        raise InputError(
            f"cache {cache!r}: {images} take {_bytes(size)}, more memory than the {_bytes(free)} free"
        )
    allowed = "" if budget == float("inf") else f", of {_bytes(budget)} allowed"
    say(f"decoding {images} to {side} px, once: {_bytes(size)}{allowed} ...")
    began = time.monotonic()
    train, held_out = (_decoded(data, name, split, resolution, say) for name, split in splits.items())
    processes = decoding_processes(max(map(len, splits.values())))
    say(
        f"decoded {images} in {time.monotonic() - began:.0f} s, by {processes} "
        f"process{'es' * (processes > 1)}"
    )
    # nobody reads the files any more, so that the nodes of a cluster need none
    return replace(data, train=train, held_out=held_out, resolution=resolution, stored=side, folders=())


def _decoded(
    data: DataSet, name: str, split: FileSplit, resolution: int, say: Callable[[str], None]
) -> ArraySplit:
    made, bad = decode_split(split, resolution)
    images, lost = Counter(split.labels), Counter(split.labels[index] for index in bad)
    found = Looked(
        len(split),
        len(split),
        {split.name(index): reason for index, reason in bad.items()},
        tuple(sorted(label for label, count in lost.items() if count == images[label])),
    )
    for word in judge_files(data, name, found):
        say(word)
    return made


def _bytes(size: float) -> str:
    unit, word = next((u, w) for u, w in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if size >= u or u == 1e3)
    return f"{size / unit:,.0f} {word}" if size >= 20 * unit else f"{size / unit:.1f} {word}"
