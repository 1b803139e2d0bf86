"""Fetches Accel-NASBench's records for users who have a network."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from search_spaces.document import make_folder, write_atomically
from search_spaces.errors import InputError

_COMMIT = "42603572d530310e6bac7191d00cf45625a6b197"
URL = (
    f"https://raw.githubusercontent.com/afzalxo/Accel-NASBench/{_COMMIT}/anb_dataset/anb_dataset_jsons.tar.gz"
)
SHA256 = "3520992d42e368b7c08c99fc3f6612855b5b366bf98668a7f19d49f3131aa4ae"

_MAX_BYTES = 1 << 26
_PART = 1 << 16


def download(
    target: Path,
    url: str = URL,
    sha256: str = SHA256,
    progress: Callable[[int, int], None] = lambda done, of: None,
    timeout: float = 30,
) -> Path:
    """Fetch the records' archive into the file `target`, or leave it if it is there already.

    Args:
        target: where to; only complete and checked content is written there.
        url: where from.
        sha256: what the content must be.
        progress: told bytes received, and bytes in all (0: unknown).
        timeout: seconds without an answer.

    Raises:
        InputError: no network, an error of the server, other content than expected, or a full disk.
    """
    if target.is_file():
        if hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
            return target
        raise InputError(
            f"{target}: exists, but is not the records' archive; remove it or choose another --out"
        )
    parts: list[bytes] = []
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            while part := answer.read(_PART):
                parts.append(part)
                received += len(part)
                if received > _MAX_BYTES:
                    raise InputError(f"{url}: more than {_MAX_BYTES} bytes, not the records' archive")
                progress(received, size)
    except (urllib.error.URLError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{url}: download failed: {reason}; is there a network? The embedded surrogate needs none"
        ) from None
    content = b"".join(parts)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"{url}: content has sha256 {found[:16]}..., expected {sha256[:16]}...; nothing was kept"
        )
    make_folder(target.parent)
    write_atomically(target, content)
    return target
