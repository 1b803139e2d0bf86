"""A file that grows by lines, in a storage whose objects can't be appended to.

New lines go up as objects of their own, named by their place in the file; putting them together gives the
file again. A file that was put in order goes up anew, as another generation of itself.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from nas.runs.storage import check_no_pipe, write_object
from search_spaces.errors import InputError

_NAME = re.compile(r"(?:(\d+)\.)?(\d+)")
"""`000000000000000`; of later generations `1.000000000000000`."""


class GrowingCopy:
    """The copy of one growing file.

    Args:
        files, root: of the storage, as `open_storage` gives them.
        name: of the file.
        url: for messages.

    Attributes:
        size: bytes that are up.
    """

    def __init__(self, files: Any, root: str, name: str, url: str) -> None:
        self.files, self.folder, self.name, self.url = files, f"{root}/{name}", name, url
        self.generation, self.size = 0, 0

    def read(self) -> bytes:
        """All of it, put together again; raises `InputError` if a part is missing."""
        listed = sorted(self._listed(), key=_place)
        # a generation counts from when its beginning is up
        self.generation = max((g for g, offset in map(_place, listed) if offset == 0), default=0)
        parts = [path for path in listed if _place(path)[0] == self.generation]
        check_no_pipe(self.files, *parts)
        # by their ranges: `cat` would take brackets in a path for a pattern
        data = self.files.cat_ranges(parts, [None] * len(parts), [None] * len(parts), on_error="raise")
        whole = bytearray()
        for path, part in zip(parts, data, strict=True):
            if _place(path)[1] != len(whole):
                raise InputError(f"{self.url}: {self.name} has a gap at byte {len(whole)}")
            whole += part
        self.size = len(whole)
        return bytes(whole)

    def append(self, lines: bytes) -> None:
        """Put up what comes next."""
        beginning = f"{self.generation}." if self.generation else ""
        write_object(self.files, f"{self.folder}/{beginning}{self.size:015d}", lines)
        self.size += len(lines)

    def replace(self, content: bytes) -> None:
        """Put up all of it anew; what was there counts until this does."""
        self.generation, self.size = self.generation + 1, 0
        self.append(content)
        for path in self._listed():
            if _place(path)[0] < self.generation:
                self.files.rm_file(path)

    def _listed(self) -> list[str]:
        try:
            found = self.files.ls(self.folder, detail=False, refresh=True)
        except TypeError:  # a folder has no listing to refresh
            found = self.files.ls(self.folder, detail=False)
        except FileNotFoundError:
            return []
        return [path for path in found if _NAME.fullmatch(path.rsplit("/", 1)[1])]


def _place(path: str) -> tuple[int, int]:
    """(generation, offset) of a part."""
    found = _NAME.fullmatch(path.rsplit("/", 1)[1])
    assert found is not None
    return int(found[1] or 0), int(found[2])


def trials_of(content: bytes) -> dict[Any, Any]:
    """The architectures in a growing file of a run, by trial; lines that are damaged say nothing."""
    found = {}
    for line in content.split(b"\n")[:-1]:
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            row = json.loads(line)
            found[row["trial"]] = row["architecture"]
    return found
