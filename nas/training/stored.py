"""What `torch.save` wrote, read without executing any of it, and within what the file itself takes.

A stranger's file of a kilobyte may ask for a terabyte: packed parts, storages that are not there, views that
show one number many times, lists in lists. Each of these is refused before it takes memory.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from search_spaces.errors import InputError
from search_spaces.reading import check_archive, open_regular, strange_content

_MOST_PICKLED = 8 << 20
"""Bytes of what isn't tensors: the names and places of 10,000 of those take a quarter of it."""
_MOST_PARTS, _MOST_LEVELS = 1_000_000, 50
_ZIP = b"PK\x03\x04"


def read_stored(source: Path | bytes, where: str) -> Any:
    """The content of a file by `torch.save`, or of such a file's bytes: tensors on the CPU and plain data.

    Args:
        source: where it is, or its bytes.
        where: how an error begins.

    Raises:
        OSError: it can't be read.
        InputError: it is none; the message says what it is, as far as that can be told.
    """
    stream: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else open_regular(source)
    with stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        head = stream.read(16)
        if not head:
            raise InputError(f"{where}: the file is empty")
        # by its head, as torch decides it; a file that only ends as an archive would be read as a pickle
        if not head.startswith(_ZIP) or not zipfile.is_zipfile(stream):
            raise InputError(f"{where}: {_no_archive(head, size)}")
        with strange_content(f"{where}: the file is damaged"):
            # torch writes parts as they are; packed ones could be a thousand times as large in memory
            check_archive(stream, size, where, stored=True)
            with zipfile.ZipFile(stream) as archive:
                kind = _archive(archive)
                broken = archive.testzip()  # torch itself looks at no checksum
        if broken is not None:
            raise InputError(f"{where}: the file is damaged, in {broken[:100]}")
        stream.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickles that are refused, or of a future default
                content = torch.load(stream, weights_only=True, map_location="cpu")
        except Exception:  # many kinds, for what is none of its own, with advice to trust it
            raise InputError(f"{where}: {kind}") from None
    for name, tensor in tensors(content, where):
        if odd := _odd(tensor, size):
            raise InputError(f"{where}: {name[:100]} is {odd}")
    return content


def tensors(content: object, where: str) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of all tensors in what was read, by their path in it; floats are tensors, too.

    Raises:
        InputError: it is nested deeply, or refers to itself, or to parts of it over and over.
    """
    left: list[tuple[str, object, int]] = [("", content, 1)]
    count = 0
    while left:
        name, value, level = left.pop()
        count += 1
        if count > _MOST_PARTS or level > _MOST_LEVELS:
            raise InputError(f"{where}: nested too deeply, or it refers to itself")
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, float):
            yield name, torch.tensor(value)
        elif isinstance(value, dict):
            parts = [(f"{name}.{key}" if name else str(key), part) for key, part in value.items()]
            left += [(own, part, level + 1) for own, part in reversed(parts)]
        elif isinstance(value, list | tuple | set):
            rows = list(enumerate(value))
            left += [(f"{name}.{index}", part, level + 1) for index, part in reversed(rows)]


def _odd(tensor: Tensor, size: int) -> str | None:
    """What is strange of a tensor in a file of so many bytes."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return "no dense tensor"
    if tensor.numel() * tensor.element_size() > size:
        return f"{tuple(tensor.shape)}, more than the file has"
    return None


def _no_archive(head: bytes, size: int) -> str:
    """What a file is whose first bytes are these."""
    if head.startswith(b"PK"):
        return "the file ends early"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "a safetensors file: weights without the network they are of"
    if head.startswith(b"\x80"):
        return "a pickle of an old kind or of Python objects"
    return "no file of PyTorch's"


def _archive(archive: zipfile.ZipFile) -> str:
    """What an archive is that torch doesn't read; raises `InputError` where it shouldn't try."""
    names = {name.partition("/")[2]: name for name in archive.namelist()}
    if "data.pkl" not in names:
        return "an archive of something else"
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return "a TorchScript program, which can't be trained on"
    if archive.getinfo(names["data.pkl"]).file_size > _MOST_PICKLED:
        return f"more than {_MOST_PICKLED:,} bytes beside its tensors"
    return "it holds Python objects (a whole module, say), not just weights and plain data"
