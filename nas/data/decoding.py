"""Image files decoded once, by several processes, into squares that every epoch of every trial reads.

A square is stored larger than the resolution that is trained at, so that random crops are left to draw. Its
pixels lie on the grid of evaluation's centre crop: its own centre is what evaluation sees of the file.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import ArraySplit, FileSplit
from nas.data.images import CENTRE, UnreadableImageError, read_image
from search_spaces.errors import InputError

Pixels = NDArray[np.uint8]

_CHUNK = 64
"""Images that a process decodes before it hands them over."""
_WORTH = 512
"""Images from which another process saves more than its start takes."""


def stored_side(resolution: int) -> int:
    """Side of the squares that are kept for a training at `resolution`, pixels.

    Evaluation shows `CENTRE` of the shorter side in `resolution` pixels, so the whole side would have
    resolution / CENTRE of them. As many whole ones as fit, in pairs around the centre: then the middle of
    the square is pixel by pixel what evaluation makes of the file.
    """
    most = math.floor(resolution / CENTRE)
    return most - (most - resolution) % 2


def decode_file(
    split: FileSplit, index: int, resolution: int, crops: random.Random | None = None, centre: float = CENTRE
) -> Pixels | str:
    """An image of a split as `read_image` gives it, or why it can't be read."""
    try:
        return read_image(split.content(index), resolution, crops, centre)
    except MemoryError:
        raise
    except (OSError, UnreadableImageError) as error:
        return str(error) or type(error).__name__
    except Exception as error:  # decoders and file formats raise many kinds for broken content
        return f"{type(error).__name__}: {error}"


def decode_split(split: FileSplit, resolution: int) -> tuple[ArraySplit, dict[int, str]]:
    """The squares of a split, (N, 3, `stored_side`, `stored_side`), and which images can't be read, with why.

    The order is the split's, without those.

    Raises:
        InputError: a decoding process was ended from outside.
    """
    side = stored_side(resolution)
    images = np.empty((len(split), 3, side, side), np.uint8)
    readable: list[int] = []
    bad: dict[int, str] = {}
    for start, pixels, reasons in _decode(split, resolution):
        images[len(readable) : len(readable) + len(pixels)] = pixels
        stop = min(start + _CHUNK, len(split))
        readable += [index for index in range(start, stop) if index not in reasons]
        bad |= reasons
    labels = np.array([split.labels[index] for index in readable], np.int64)
    return ArraySplit(images[: len(readable)], labels), bad


Chunk = tuple[int, Pixels, dict[int, str]]
"""The first index, the readable images, and the reasons of the others by their index."""


def _decode(split: FileSplit, resolution: int) -> Iterator[Chunk]:
    starts = range(0, len(split), _CHUNK)
    count = decoding_processes(len(split))
    if count == 1:
        yield from (_chunk(split, resolution, start) for start in starts)
        return
    # forked, as torch's loader does it: the list of files needn't be sent, and no main module is run again
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(count, context, _prepare, (split, resolution))
    try:
        with warnings.catch_warnings():
            # of forking beside threads, which is fine for processes that touch none of what those hold
            warnings.simplefilter("ignore", DeprecationWarning)
            yield from pool.map(_prepared_chunk, starts)
    except BrokenProcessPool:
        raise InputError(
            f"one of the {count} processes that decode {split.name(0)} and the other {len(split) - 1:,} "
            "images was ended from outside (out of memory, most often): go on with --cache off"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def decoding_processes(images: int) -> int:
    """How many processes decode so many images: all CPUs that this one may use, fewer for few images."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, images // _WORTH + 1))


_work: tuple[FileSplit, int] | None = None
"""Of a decoding process."""


def _prepare(split: FileSplit, resolution: int) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _work = split, resolution


def _prepared_chunk(start: int) -> Chunk:
    assert _work is not None
    return _chunk(*_work, start)


def _chunk(split: FileSplit, resolution: int, start: int) -> Chunk:
    side = stored_side(resolution)
    share = min(1.0, CENTRE * side / resolution)
    found = {
        index: decode_file(split, index, side, centre=share)
        for index in range(start, min(start + _CHUNK, len(split)))
    }
    images = [image for image in found.values() if not isinstance(image, str)]
    pixels = np.stack(images) if images else np.empty((0, 3, side, side), np.uint8)
    return start, pixels, {index: reason for index, reason in found.items() if isinstance(reason, str)}
