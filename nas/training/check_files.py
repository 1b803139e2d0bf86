"""A look at image files before the first epoch: what can't be read is said now, not after hours.

The whole of a small split is decoded, at an eighth of its size where the format allows; of a large one a
random part, within a budget of time. It tells whether files can be read, nothing else is learned of them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from nas.data.images import check_decodes
from nas.data.load import DataSet, FileSplit
from nas.data.unreadable import MAX_UNREADABLE, SPLITS, allowed_unreadable
from search_spaces.errors import InputError

FILES = 2000
"""Files of a split that are looked at, drawn at random; all where there are fewer."""
SECONDS = 20.0
"""For all splits together."""
_SURE = 4
"""Standard deviations above the limit from which a sample speaks for the split."""
_THREADS = 4
_CHUNK = 32


@dataclass(frozen=True)
class Looked:
    """What a look at a split found.

    Attributes:
        files: looked at.
        length: of the split.
        unreadable: files with the reason.
        lost: classes of which every image was looked at and none can be read.
    """

    files: int
    length: int
    unreadable: dict[str, str]
    lost: tuple[int, ...]


def check_files(data: DataSet, splits: Sequence[str], seconds: float = SECONDS) -> list[str]:
    """Look at the files of some splits; sets in memory have none.

    Args:
        data: the set.
        splits: of `SPLITS`; they share the time.
        seconds: to spend at most.

    Returns:
        what is worth a word, a line each.

    Raises:
        InputError: more of a split than may be left out can't be read (or, of a sample, so many that
            it must be so), or no image of a class that is to be trained.
    """
    words = []
    until = time.monotonic()
    for name in splits:
        split = getattr(data, name)
        if not isinstance(split, FileSplit) or not len(split):
            continue
        until += seconds / len(splits)
        found = look(split, max(until, time.monotonic() + seconds / 10))
        words += judge_files(data, name, found)
    return words


def look(split: FileSplit, until: float) -> Looked:
    """Decode files of a split, in random order, until a moment of `time.monotonic`."""
    order = np.random.default_rng(0).permutation(len(split))[:FILES].tolist()
    results: list[tuple[int, str | None]] = []
    remaining = iter(order)
    with ThreadPoolExecutor(_THREADS) as pool:
        while chunk := list(islice(remaining, _CHUNK)):
            results += zip(chunk, pool.map(lambda index: _problem(split, index), chunk), strict=True)
            if time.monotonic() > until:
                break
    images, bad = (
        Counter(split.labels),
        Counter(split.labels[i] for i, reason in results if reason is not None),
    )
    return Looked(
        len(results),
        len(split),
        {split.name(index): reason for index, reason in results if reason is not None},
        tuple(sorted(label for label, count in bad.items() if count == images[label])),
    )


def _problem(split: FileSplit, index: int) -> str | None:
    """Why an image can't be read; None if it can."""
    try:
        check_decodes(split.content(index))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds for broken content
        return str(error) or type(error).__name__
    return None


def judge_files(data: DataSet, name: str, found: Looked) -> list[str]:
    """What a look at the split `name` is worth a word of; raises `InputError` as `check_files`."""
    count, kind, length = len(found.unreadable), SPLITS[name], found.length
    if not count:
        return []
    path, reason = next(iter(found.unreadable.items()))
    example = f"e.g. {path}: {reason}"
    whole = found.files == length
    expected = MAX_UNREADABLE * found.files
    sure = expected + _SURE * math.sqrt(expected * (1 - MAX_UNREADABLE))
    of = f"the {length}" if whole else f"{found.files} looked at, of {length},"
    if count > allowed_unreadable(length) or (not whole and count > max(1.0, sure)):
        raise InputError(
            f"data set {data.name!r}: {count} of {of} {kind} images can't be read, more than "
            f"{MAX_UNREADABLE:.0%}, {example}"
        )
    lost = [data.classes[label] if data.classes else str(label) for label in found.lost]
    if lost and name == "train":
        raise InputError(
            f"data set {data.name!r}: class {lost[0]!r} has no {kind} image that can be read, {example}"
        )
    words = [f"{count} of {of} {kind} images can't be read and are left out, {example}"]
    words += [f"class {label!r} has no {kind} image that can be read: it is not scored" for label in lost]
    return words
