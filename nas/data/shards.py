"""Tar files whose members are read where they lie: what is in them, and whether they are whole."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from search_spaces.errors import InputError
from search_spaces.reading import open_regular

_BLOCK = tarfile.BLOCKSIZE
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True)
class ShardMember:
    """A file in a shard.

    Attributes:
        name: with its folders.
        offset, size: where its bytes are, in the shard.
    """

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Shards:
    """Members of tar files, read where they lie; a key is `shard:offset:size:name`."""

    files: tuple[str, ...]

    def content(self, key: str) -> bytes:
        """The member's bytes; raises OSError."""
        shard, offset, size, _ = key.split(":", 3)
        with open(self.files[int(shard)], "rb") as stream:
            stream.seek(int(offset))
            return stream.read(int(size))

    def name(self, key: str) -> str:
        """The shard and the member's name in it."""
        shard, _, _, name = key.split(":", 3)
        return f"{self.files[int(shard)]}: {name}"


def members(shard: str) -> Iterator[ShardMember | str]:
    """The files in a shard in their order; a text for a member that is neither file, folder nor link.

    Raises:
        InputError: compressed, unreadable, damaged, cut off at its end, or several archives in one file.
    """
    try:
        with open_regular(shard) as stream:
            _require_tar(shard, stream)
            with tarfile.open(fileobj=stream, mode="r:", errors="surrogateescape") as archive:
                for member in archive:
                    if member.isdir():
                        continue
                    target = _target(shard, archive, member)
                    if target is None:
                        yield member.name
                    else:
                        yield ShardMember(member.name, target.offset_data, target.size)
                end = archive.offset
            _require_end(shard, stream, end)
    except (OSError, tarfile.TarError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{shard}: unreadable: {error}") from None


def _require_tar(shard: str, stream: IO[bytes]) -> None:
    head = stream.read(_BLOCK)
    stream.seek(0)
    for start, name in _PACKED.items():
        if head.startswith(start):
            raise InputError(
                f"{shard}: compressed with {name}: its images can't be read at random; unpack it"
            )
    if not head:
        raise InputError(f"{shard}: an empty file, no tar archive")


def _require_end(shard: str, stream: IO[bytes], end: int) -> None:
    """tarfile takes a damaged header, and the end of a file that was cut off, for the end of the archive."""
    stream.seek(end)
    block = stream.read(_BLOCK)
    if len(block) < _BLOCK:
        raise InputError(
            f"{shard}: ends early, at byte {end + len(block):,}, without the end mark of a tar archive"
        )
    at = end
    while block:
        if block.strip(b"\0"):
            what = "a damaged header" if at == end else "more after the archive's end (joined with cat?)"
            raise InputError(f"{shard}: {what} at byte {at:,}")
        at += len(block)
        block = stream.read(1 << 16 if at > end + _BLOCK else _BLOCK)


def _target(shard: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The member itself or what it links to; None for a device or a FIFO."""
    if member.issparse():
        raise InputError(f"{shard}: {member.name!r} is a sparse file: write the shard without --sparse")
    if member.isfile():
        return member
    if not (member.islnk() or member.issym()):
        return None
    name = member.linkname
    if member.issym():
        name = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), name))
    try:
        target = archive.getmember(name)
    except KeyError:
        target = member
    if not target.isfile() or target.issparse():
        raise InputError(f"{shard}: {member.name!r} is a link to {member.linkname!r}, which is no file in it")
    return target
