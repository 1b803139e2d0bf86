"""Image files below a folder, by rules: what is left out is counted and named.

Links are followed. Hidden names (`.ipynb_checkpoints`, `._x.jpg`) and what systems leave behind are no
data. A file or folder that a link reaches a second time is taken once, so that loops end.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nas.data.pixels import extensions
from search_spaces.errors import InputError

_LEFT_BEHIND = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "lost+found", "$recycle.bin",
    "system volume information", "__pycache__",
}  # fmt: skip
_CLUTTER = (".ds_store", "._", ".directory", ".localized", ".gitkeep", ".gitignore")
"""Hidden names that are found everywhere and never held an image: not worth a word."""

Identity = tuple[int, int]


@dataclass
class Skipped:
    """What was left out, by reason, with an example of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Count one more."""
        self.counts[reason] += 1
        self.examples.setdefault(reason, example)

    def remark(self) -> list[str]:
        """One line, or none."""
        if not self.counts:
            return []
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.counts.most_common())
        example = self.examples[self.counts.most_common(1)[0][0]]
        total = self.counts.total()
        return [f"skipped {total:,} {'entry' if total == 1 else 'entries'}: {reasons}; e.g. {example}"]


@dataclass
class Walk:
    """A walk over the folders of a data set.

    Attributes:
        data: name of the data set, for messages.
        skipped: what was left out.
    """

    data: str
    skipped: Skipped = field(default_factory=Skipped)

    def __post_init__(self) -> None:
        self._ends = extensions()

    def folders(self, path: str) -> tuple[list[str], list[str]]:
        """The folders in `path` and the image files that lie in it, by name, in order.

        Raises:
            InputError: `path` is no folder, or can't be read.
        """
        folders, files = [], []
        for entry, found in self._entries(path):
            if stat.S_ISDIR(found.st_mode):
                folders.append(entry.name)
            elif self._is_image(entry.name):
                files.append(entry.name)
        return sorted(folders), sorted(files)

    def images(self, path: str, above: Iterator[str] | list[str]) -> list[tuple[str, int, Identity]]:
        """All image files below `path`: (path, bytes, identity), folder by folder, in order.

        Args:
            path: a folder.
            above: folders that hold it; a link back to one of them isn't followed.

        Raises:
            InputError: a folder can't be read.
        """
        visited = {_identity(os.stat(folder)) for folder in above}
        taken: set[Identity] = set()
        by_folder: list[tuple[str, list[tuple[str, int, Identity]]]] = []
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            identity = _identity(os.stat(folder))
            if identity in visited:
                self.skipped.add("links to folders read already", folder)
                continue
            visited.add(identity)
            files: list[tuple[str, int, Identity]] = []
            links: list[str] = []
            for entry, found in self._entries(folder):
                if stat.S_ISDIR(found.st_mode):
                    # the folder itself before links to it
                    (links if entry.is_symlink() else waiting).append(entry.path)
                elif not stat.S_ISREG(found.st_mode):
                    self.skipped.add("no regular files", entry.path)
                elif not self._is_image(entry.name):
                    end = os.path.splitext(entry.name)[1].lower()
                    self.skipped.add(end or "without extension", entry.path)
                elif not found.st_size:
                    self.skipped.add("empty files", entry.path)
                elif _identity(found) in taken:
                    self.skipped.add("links to files read already", entry.path)
                else:
                    taken.add(_identity(found))
                    files.append((entry.path, found.st_size, _identity(found)))
            waiting[:0] = links
            by_folder.append((folder, sorted(files)))
        return [file for _, files in sorted(by_folder) for file in files]

    def _is_image(self, name: str) -> bool:
        return name.lower().endswith(self._ends)

    def _entries(self, path: str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
        """What is in a folder, links followed; hidden names and dangling links are counted."""
        try:
            with os.scandir(path) as entries:
                listed = list(entries)
        except OSError as error:
            raise InputError(
                f"data set {self.data!r}: {path}: cannot be read: {error.strerror or error}"
            ) from None
        for entry in listed:
            name = entry.name.lower()
            if name in _LEFT_BEHIND or name.startswith(_CLUTTER):
                continue
            if name.startswith("."):
                self.skipped.add("hidden", entry.path)
                continue
            try:
                found = entry.stat()
            except OSError as error:  # of a link that leads nowhere, or round in a circle
                reason = "dangling links" if entry.is_symlink() else f"{error.strerror or error}"
                self.skipped.add(reason, entry.path)
                continue
            yield entry, found


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
