"""Shards in WebDataset's layout: KEY.jpg (or another image) with KEY.cls, or with a label in KEY.json."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.data.dataset import DataSet
from nas.data.file_set import TEST_NAMES, RawSplit, digest_of_files, file_set
from nas.data.labels import read_labels
from nas.data.naming import DataName
from nas.data.pixels import extensions
from nas.data.shards import Shards, members
from nas.data.walk import Skipped
from search_spaces.errors import InputError
from search_spaces.parsing import parse_json
from search_spaces.quoting import printable

_LARGEST = 1 << 24
"""Bytes of a .cls or .json that are read; longer ones are no JSON then."""
_SET_NAME = re.compile(rf"(?:^|[-_.])(train|{'|'.join(TEST_NAMES)})(?=[-_.0-9]|$)", re.IGNORECASE)


def web_dataset(name: DataName) -> DataSet:
    """PATH/train/*.tar and PATH/val/*.tar, or PATH/*.tar, whose names may say train and val.

    As WebDataset has it, a sample's key ends at the first dot of its file's name, and the rest is the
    field: `a.b.jpg` is the field `b.jpg` of `a`. The image is the one field that ends as image files do
    and has no dot in it, or the one that `image` chooses; the label is `cls`, or `label` in the `json`, or
    what `label` chooses (`cls`, or a name in the `json`). Keys need to differ within a shard only.

    The shards are indexed once, then read at random, since a search holds out and takes subsets; the
    library itself would read them in their order only.

    Raises:
        InputError: folders or shards are missing, damaged or cut off; a key with several images, an image
            without a label, or labels that disagree.
    """
    path = os.path.abspath(os.path.expanduser(name.location))
    remarks: list[str] = []
    found = _find(name, path, remarks)
    files = {part: tuple(shards) for part, shards in found.items()}
    splits = {part: _index(name, part, shards, remarks) for part, shards in files.items()}

    def digest(parts: Sequence[tuple[RawSplit, tuple[int, ...]]]) -> str:
        used = [file for split, _ in parts for file in files[split.labels.part]]
        return digest_of_files(((file, os.path.getsize(file)) for file in used), Path(path), name.columns)

    folders = tuple(dict.fromkeys(os.path.dirname(shards[0]) for shards in files.values()))
    tests = [splits[part] for part in TEST_NAMES if part in splits]
    return file_set(name.text, splits["train"], tests, digest, folders, remarks)


def _find(name: DataName, path: str, remarks: list[str]) -> dict[str, list[str]]:
    """The shards of each split."""
    if not os.path.isdir(path):
        pattern = any(char in name.location for char in "*{[")
        hint = ": give the folder, not a pattern" if pattern else ""
        raise InputError(f"data set {name.text!r}: no folder {printable(path)}{hint}")
    parts = [part for part in ("train", *TEST_NAMES) if os.path.isdir(os.path.join(path, part))]
    found: dict[str, list[str]] = {}
    if parts:
        if "train" not in parts:
            raise InputError(f"data set {name.text!r}: no folder {path}/train (expected train/*.tar)")
        for part in parts:
            found[part] = _shards(name, os.path.join(path, part), remarks)
        loose = glob.glob(os.path.join(glob.escape(path), "*.tar"))
        if loose:
            remarks.append(f"{len(loose):,} shards beside train/ are not read, e.g. {loose[0]}")
        return found
    for shard in _shards(name, path, remarks):
        match = _SET_NAME.search(os.path.basename(shard)[: -len(".tar")])
        found.setdefault(match[1].lower() if match else "", []).append(shard)
    if "" in found and len(found) > 1:
        raise InputError(
            f"data set {name.text!r}: {found[''][0]}: neither train nor {' nor '.join(TEST_NAMES)} in its "
            "name, as in others' names"
        )
    if "" in found:
        found["train"] = found.pop("")
    if "train" not in found:
        raise InputError(f"data set {name.text!r}: no shard in {path} has train in its name")
    return found


def _shards(name: DataName, folder: str, remarks: list[str]) -> list[str]:
    try:
        names = sorted(entry for entry in os.listdir(folder) if not entry.startswith("."))
    except OSError as error:
        raise InputError(f"data set {name.text!r}: {folder}: cannot be read: {error.strerror}") from None
    packed = [n for n in names if re.search(r"\.(tar\.\w+|tgz|tbz2?|txz|zip)$", n.lower())]
    if packed:
        file = os.path.join(folder, packed[0])
        raise InputError(
            f"data set {name.text!r}: {file}: compressed: its images can't be read at random; unpack it to "
            ".tar"
        )
    shards = [entry for entry in names if entry.lower().endswith(".tar")]
    if not shards:
        raise InputError(f"data set {name.text!r}: no *.tar in {printable(folder)}")
    for shard in shards:
        if not os.path.isfile(os.path.join(folder, shard)):
            raise InputError(f"data set {name.text!r}: {os.path.join(folder, shard)}: no regular file")
    remarks += _gaps(shards, folder)
    return [os.path.join(folder, shard) for shard in shards]


def _gaps(shards: Sequence[str], folder: str) -> list[str]:
    """A word where the numbers of the shards have gaps: one may not have been copied."""
    numbered: dict[tuple[str, str], list[int]] = {}
    for shard in shards:
        if match := re.fullmatch(r"(.*?)([0-9]{1,9})([^0-9]*)", shard):
            numbered.setdefault((match[1], match[3]), []).append(int(match[2]))
    remarks = []
    for (start, _), numbers in numbered.items():
        absent = sorted(set(range(max(numbers))) - set(numbers)) if max(numbers) < 10**6 else []
        absent = [number for number in absent if number > min(numbers) or min(numbers) > 1]
        if len(numbers) > 1 and absent:
            remarks.append(
                f"{len(absent):,} shards are missing by their numbers in {folder}, e.g. {start}{absent[0]}"
            )
    return remarks


@dataclass
class _Sample:
    """The fields of one key: places of its images, and what its labels' files say."""

    images: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)


def _index(name: DataName, part: str, files: tuple[str, ...], remarks: list[str]) -> RawSplit:
    """The images of a split with their labels."""
    keys: list[str] = []
    values: list[Any] = []
    skipped, unread, without, again = Skipped(), Counter[str](), [], 0
    known: set[str] = set()
    for number, shard in enumerate(files):
        try:
            samples = _samples(number, shard, skipped)
            for key, sample in samples.items():
                chosen = _image(name.image, key, sample, unread)
                if chosen is None:
                    without.append(f"{shard}: {key}")
                    continue
                keys.append(chosen)
                values.append(_label(name.label, key, sample))
        except OSError as error:
            raise InputError(f"data set {name.text!r}: {shard}: unreadable: {error}") from None
        except InputError as error:
            place = "" if str(error).startswith(shard) else f"{shard}: "
            raise InputError(f"data set {name.text!r}: {printable(f'{place}{error}')}") from None
        again += len(known & samples.keys())
        known |= samples.keys()
    source = Shards(files)
    said = [f"{part}: {remark}" for remark in skipped.remark()]
    if not keys:
        raise InputError(
            f"data set {name.text!r}: no images in {files[0]} and the other {len(files) - 1} shards"
            + "".join(f" ({remark})" for remark in said)
        )
    labels = read_labels(name.text, part, values, lambda index: source.name(keys[index]))
    if labels.missing and (part == "train" or labels.missing < len(keys)):
        first = labels.values.index(None)
        hint = "" if name.label else "; a key ends at the first dot of the name"
        raise InputError(
            f"data set {name.text!r}: {labels.missing:,} of {len(keys):,} images of {part} without a label: "
            f"{printable(source.name(keys[first]))} has no .cls or .json with a label{hint}"
            + "".join(f" ({remark})" for remark in said)
        )
    if without:
        remarks.append(f"{part}: {len(without):,} keys have a label but no image, e.g. {without[0]}")
    if unread:
        fields = ", ".join(f".{suffix} {count:,}" for suffix, count in unread.most_common(5))
        remarks.append(f"{part}: further images of the keys are not read: {fields}")
    if again:
        remarks.append(f"{part}: {again:,} keys occur in several shards: each is an image of its own")
    remarks += said
    return RawSplit(labels, keys, source)


def _samples(number: int, shard: str, skipped: Skipped) -> dict[str, _Sample]:
    """The samples in a shard by their key, in their order."""
    samples: dict[str, _Sample] = {}
    ends = extensions()
    with open(shard, "rb") as stream:
        for member in members(shard):
            if isinstance(member, str):
                skipped.add("no regular files", f"{shard}: {member}")
                continue
            folder, _, file = member.name.rpartition("/")
            stem, _, suffix = file.partition(".")
            if not stem or "__MACOSX" in folder.split("/"):
                continue  # hidden, and no sample for WebDataset either
            key, suffix = f"{folder}/{stem}".removeprefix("./").lstrip("/"), suffix.lower()
            if f".{suffix}".endswith(ends):
                if member.size:
                    place = f"{number}:{member.offset}:{member.size}:{member.name}"
                    _put(samples.setdefault(key, _Sample()).images, suffix, place, member.name)
                else:
                    skipped.add("empty files", f"{shard}: {member.name}")
            elif suffix in ("cls", "json"):
                stream.seek(member.offset)
                found = _parse(member.name, suffix, stream.read(min(member.size, _LARGEST)))
                _put(samples.setdefault(key, _Sample()).labels, suffix, found, member.name)
            else:
                skipped.add(f".{suffix}" if suffix else "without extension", f"{shard}: {member.name}")
    return samples


def _put(fields: dict[str, Any], suffix: str, value: Any, name: str) -> None:
    if suffix in fields:
        raise InputError(f"{name!r}: its key has the field {suffix!r} twice")
    fields[suffix] = value


def _parse(name: str, suffix: str, content: bytes) -> Any:
    """What a label's file says: a text, or the fields of a JSON object."""
    try:
        text = content.decode("utf-8-sig").strip()
        if suffix == "cls":
            return text
    except ValueError as error:
        raise InputError(f"{name!r}: unreadable: {error}") from None
    found = parse_json(text, repr(name))
    if not isinstance(found, dict):
        raise InputError(f"{name!r}: expected a JSON object with a label")
    return found


def _image(wanted: str | None, key: str, sample: _Sample, unread: Counter[str]) -> str | None:
    """The one image of a key; None: it has none."""
    if wanted is not None:
        return sample.images.get(wanted.lower())
    if not sample.images:
        return None
    plain = [suffix for suffix in sample.images if "." not in suffix]
    if len(plain) != 1:
        several = f"has {len(sample.images)} images" if len(sample.images) > 1 else "has an image"
        fields = ", ".join(f".{suffix}" for suffix in list(sample.images)[:4])
        raise InputError(
            f"key {key!r} (it ends at the first dot of a name) {several}: {fields}: expected one such as "
            f".jpg; choose with --image-column {next(iter(sample.images))}"
        )
    unread.update(suffix for suffix in sample.images if suffix != plain[0])
    return sample.images[plain[0]]


def _label(wanted: str | None, key: str, sample: _Sample) -> Any:
    """The label of a key; None: it has none."""
    fields, text = sample.labels.get("json", {}), sample.labels.get("cls")
    if wanted is not None:
        return text if wanted == "cls" else fields.get(wanted)
    value = fields.get("label")
    if value is None or text is None:
        return value if text is None else text
    if str(value).strip() != text:
        raise InputError(
            f"key {key!r}: its .cls says {text!r} and its .json {value!r}: choose with --label-column cls or "
            "label"
        )
    return value
