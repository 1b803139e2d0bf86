"""What image folders, shards and Hugging Face sets have in common: from raw splits to a data set.

All become `FileSplit`s with random access, so holding out, subsets and shuffling are those of any set.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.dataset import DataSet, FileSplit, Source
from nas.data.holding import hold_out
from nas.data.images import UnsupportedImageError, check_header
from nas.data.labels import RawLabels, map_labels
from nas.data.pixels import UnreadableImageError
from search_spaces.errors import InputError
from search_spaces.quoting import printable

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, as torchvision states them."""
_HELD_OUT = 50_000
TEST_NAMES = ("test", "val", "validation", "valid", "dev")
"""How the test split may be called; of several the first that has labels is taken."""
_HEADERS = 50
"""Images of a split whose headers are looked at before any training."""


@dataclass(frozen=True)
class RawSplit:
    """A split as it was found.

    Attributes:
        labels: one for each image.
        keys: paths, or what `source` knows the images by.
        source: reads the images; None: `keys` are paths.
    """

    labels: RawLabels
    keys: Sequence[str]
    source: Source | None = None


Digest = Callable[[Sequence[tuple[RawSplit, tuple[int, ...]]]], str]
"""Of the splits that are used, with their classes: 16 hex digits."""


def file_set(
    name: str,
    train: RawSplit,
    tests: Sequence[RawSplit],
    digest: Digest,
    folders: tuple[str, ...] = (),
    remarks: Sequence[str] = (),
) -> DataSet:
    """A data set whose images stay on disk.

    The first of `tests` with labels is the test split; without one, a sixth of `train`. A sixth of the
    training images, at most 50,000, is held out (ImageNet's custom in searches).

    Raises:
        InputError: what `map_labels` refuses, or images of a kind that isn't taken.
    """
    said = list(remarks)
    test, chosen = _choose(train, tests, said)
    mapped = map_labels(name, train.labels, None if test is None else test.labels)
    said += mapped.remarks
    whole = FileSplit(tuple(train.keys), mapped.parts[0], train.source)
    parts = [(train, mapped.parts[0])]
    if test is None:
        kept, aside = hold_out(whole.labels, len(whole) // 6)
        whole, tested = whole.part(kept), whole.part(aside)
        said.append(
            f"{chosen}: {len(tested):,} of the {len(train.keys):,} images are set aside as the test split"
        )
        _require_two(name, whole, mapped.classes)
    else:
        tested = FileSplit(tuple(test.keys), mapped.parts[1], test.source)
        parts.append((test, mapped.parts[1]))
    _check_kinds(name, whole, tested)
    kept, held_out = hold_out(whole.labels, min(_HELD_OUT, len(whole) // 6))
    return DataSet(
        name=name,
        train=whole.part(kept),
        held_out=whole.part(held_out),
        test=tested,
        num_classes=len(mapped.classes),
        in_channels=3,
        resolution=224,
        mean=_MEAN,
        std=_STD,
        flips=True,
        digest=digest(parts),
        folders=folders,
        classes=mapped.classes,
        remarks=tuple(printable(remark) for remark in said),
    )


def _choose(train: RawSplit, tests: Sequence[RawSplit], said: list[str]) -> tuple[RawSplit | None, str]:
    """The test split and, where there is none, why."""
    reason = "no test split"
    for index, test in enumerate(tests):
        part, count = test.labels.part, len(test.keys)
        if test.labels.missing == count:
            lacks = "no images" if not count else "no labels"
            reason = f"{part} has {lacks}"
            said.append(f"{reason}: it is not used")
            continue
        others = [other.labels.part for other in tests[index + 1 :]]
        if others:
            said.append(f"{part} is the test split; {' and '.join(others)} not used")
        elif index or part not in ("test", "val"):
            said.append(f"{part} is the test split")
        return test, ""
    return None, reason


def _require_two(name: str, rest: FileSplit, classes: Sequence[str]) -> None:
    """After a test split was set aside, there is one image of each class to train on and one to hold out."""
    counts = [0] * len(classes)
    for label in rest.labels:
        counts[label] += 1
    if min(counts) < 2:
        raise InputError(
            f"data set {name!r}: class {classes[counts.index(min(counts))]!r} has {min(counts)} images left "
            "beside those set aside to test: expected at least 2; give a test split"
        )


def _check_kinds(name: str, *splits: FileSplit) -> None:
    """Refuse a set whose images are of a kind that isn't taken; a few headers of each split show it.

    Files that are damaged are another matter: they are left out, up to a limit, when they are read.
    """
    for split in splits:
        step = max(1, len(split) // _HEADERS)
        chosen = range(0, len(split), step)
        bad: dict[str, str] = {}
        for index in chosen:
            try:
                check_header(split.content(index))
            except UnsupportedImageError as error:
                bad[split.name(index)] = str(error)
            except (UnreadableImageError, OSError):
                pass
        if len(bad) > max(1, len(chosen) // 20):
            first, reason = next(iter(bad.items()))
            raise InputError(
                f"data set {name!r}: {len(bad)} of {len(chosen)} images looked at are of a kind that can't "
                f"be taken, e.g. {printable(first)}: {reason}"
            )


def digest_of_files(files: Iterable[tuple[str, int]], root: Path, columns: str = "") -> str:
    """16 hex digits of the names, relative to `root`, and sizes."""
    digest = hashlib.sha256()
    for file, size in files:
        digest.update(os.fsencode(f"{os.path.relpath(file, root)} {size}\n"))
    digest.update(columns.encode())
    return digest.hexdigest()[:16]
