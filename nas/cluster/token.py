"""Ray's token, by which a cluster knows its user: for nobody else to read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def private_token() -> None:
    """Keep Ray's own token (`~/.ray/auth_token`) and its folder to this user, where they are this user's.

    Ray makes both as any other file, readable by all: called before Ray starts here, the folder is closed
    when the token comes; afterwards, the token itself is.
    """
    with suppress(OSError, RuntimeError):  # no home, or one that can't be written: then Ray makes no token
        folder = Path.home() / ".ray"
        folder.mkdir(mode=0o700, exist_ok=True)
        for path, mode in ((folder, 0o700), (folder / "auth_token", 0o600)):
            found = path.stat()
            if found.st_uid == os.getuid() and found.st_mode & 0o077:
                path.chmod(mode)
