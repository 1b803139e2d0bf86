"""The launch files that come with the package, written where somebody can edit them."""

from __future__ import annotations

import os
from pathlib import Path

from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.targets import check_file, check_folder

FILES = Path(__file__).parent / "files"
"""In a checkout a link to launch/; in an installed package the files themselves."""


def write_launch_files(folder: str) -> list[str]:
    """Write all launch files into `folder`, which is made; one that is there already as it would be stays.

    Args:
        folder: for them; a folder may hold other files too.

    Returns:
        The paths, in the order of their names.

    Raises:
        InputError: the folder can't be written, or has another file of that name; nothing is written then.
    """
    check_folder(folder, "files")
    found = {
        path.name: path.read_bytes()
        for path in sorted(FILES.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }
    for name, content in found.items():
        place = Path(folder, name)
        if not os.path.lexists(place):
            continue
        check_file(place, "files")
        if not place.is_file() or place.stat().st_size != len(content) or place.read_bytes() != content:
            raise InputError(
                f"files {folder!r}: {name} is there already and is another; choose another folder"
            )
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        place = Path(folder, name)
        write_atomically(place, content)
        if content.startswith(b"#!"):  # for whoever may read it
            mode = place.stat().st_mode
            place.chmod(mode | (mode & 0o444) >> 2)
    return [str(Path(folder, name)) for name in found]
