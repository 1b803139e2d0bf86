"""A job's outputs on their way back: a run folder, packed where Ray serves files, fetched and unpacked.

A job runs in a temporary copy of the working tree on the cluster. Ray's own state API serves the files
of a node's log folder through the dashboard's port, so nothing else needs to be open.

    python -m nas.launch.outputs RUN JOB      # the end of a job: packs the run folder
"""

from __future__ import annotations

import io
import sys
import tarfile
import zlib
from pathlib import Path

from nas.runs.status import RUNNING
from nas.search.journal_file import LOCK
from search_spaces.errors import InputError

MAX_UNPACKED = 1 << 30
"""Bytes: a run of 10,000 trials has less than a tenth of it."""
_LEFT_OUT = ("ray", "checkpoints", LOCK, RUNNING)


def file_name(job: str) -> str:
    """Of a job's packed outputs, in the log folder."""
    return f"outputs-{job}.tar.gz"


def pack(folder: Path) -> bytes:
    """A run folder as a compressed archive, its temporary parts left out."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(member.name).parts
        return None if len(parts) > 1 and parts[1] in _LEFT_OUT else member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(folder, arcname=folder.name, filter=kept)
    return buffer.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Unpack a run into a folder that doesn't exist yet, or is empty.

    Raises:
        InputError: the folder is in use; or the archive is broken, too large, or has anything but plain
            files in their place.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"out {folder}: exists; the outputs were not fetched")
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            members = archive.getmembers()
            if sum(member.size for member in members) > MAX_UNPACKED:
                raise InputError(f"the job's outputs are larger than {MAX_UNPACKED} bytes")
            for member in members:
                parts = Path(member.name).parts[1:]
                if member.isdir() or not parts:
                    continue
                # tarfile's own filter="data" says the same, but not every Python 3.10 has it
                if not member.isfile() or ".." in parts or Path(member.name).is_absolute():
                    raise InputError(f"the job's outputs hold {member.name!r}, which is no file of a run")
                source = archive.extractfile(member)
                assert source is not None
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"the job's outputs are broken: {error}") from None
    except OSError as error:  # a full disk; or gzip's own kind for what is no archive
        raise InputError(f"out {folder}: cannot write: {error.strerror or error}") from None


def pack_outputs(folder: str, job: str) -> None:
    """Pack, on the cluster."""
    from nas.cluster.jobs import log_folder

    if not Path(folder).is_dir():
        sys.exit(f"no outputs: there is no {folder}")
    data = pack(Path(folder).resolve())
    (log_folder() / file_name(job)).write_bytes(data)


if __name__ == "__main__":
    pack_outputs(*sys.argv[1:])
