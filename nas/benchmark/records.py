"""Accel-NASBench's records (Ahmad et al., DAC 2024): 5138 MnasNet-space networks trained on ImageNet.

The records are public (Apache-2.0) but not ours: they are read from where the user has them, or
fetched by `nas data accel-nasbench`.
"""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.accel_nasbench import accel_nasbench, from_record
from search_spaces.errors import InputError, shown
from search_spaces.parsing import parse_json
from search_spaces.reading import open_regular, read_regular

DEVICES: dict[str, str] = {
    "latency_zcu102": "ms",
    "latency_vck190": "ms",
    "throughput_a100": "images/s",
    "throughput_3090": "images/s",
    "throughput_tpuv2": "images/s",
    "throughput_tpuv3": "images/s",
    "throughput_zcu102": "images/s",
    "throughput_vck190": "images/s",
}
"""What was measured on six accelerators, and its unit: the further costs of a benchmark search."""

_MAX_RECORD = 1 << 16
_MAX_RECORDS = 1_000_000


@dataclass(frozen=True)
class BenchmarkRecords:
    """All records, one row each.

    Attributes:
        architectures: choice indices in `accel-nasbench`, shape (N, decisions).
        top1: validation accuracy, points (0 to 100), shape (N,).
        train_time: seconds of the training, shape (N,).
        macs, params: in millions, by the benchmark's own convention, shape (N,).
        devices: by name in `DEVICES`, shape (N,); NaN where it was not measured.
        digest: 16 hex digits of the content, whatever the order or the packing of the files.
    """

    architectures: NDArray[np.int64]
    top1: NDArray[np.float64]
    train_time: NDArray[np.float64]
    macs: NDArray[np.float64]
    params: NDArray[np.float64]
    devices: dict[str, NDArray[np.float64]]
    digest: str

    def __len__(self) -> int:
        return len(self.top1)

    def noise(self) -> float:
        """Standard deviation, points, of top-1 between trainings of one architecture (0: no two of any)."""
        groups: dict[tuple[int, ...], list[float]] = {}
        for architecture, value in zip(self.architectures, self.top1, strict=True):
            groups.setdefault(tuple(architecture), []).append(float(value))
        repeated = [np.array(values) for values in groups.values() if len(values) > 1]
        freedom = sum(len(values) - 1 for values in repeated)
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated)
        return math.sqrt(squares / freedom) if freedom else 0.0


def read_benchmark(path: str) -> BenchmarkRecords:
    """The records in a folder of JSON files, or in a tar archive of them.

    Raises:
        InputError: no such file, not an archive, no records in it, or a record with a field missing
            or out of its rule; the message names the file.
    """
    space = accel_nasbench()
    rows: list[tuple[object, ...]] = []
    lines: list[str] = []
    for name, document in _documents(Path(path)):
        try:
            architecture = from_record(space, _mapping(document, "architecture"))
            metrics, info = _mapping(document, "metrics"), _mapping(document, "model_info")
            row = [
                _number(metrics, "val_top1", 0, 100),
                _number(metrics, "train_time", 0, math.inf),
                _number(info, "macs", 0, math.inf),
                _number(info, "params", 0, math.inf),
            ]
            row += [_device(document, device) for device in DEVICES]
        except InputError as error:
            raise InputError(f"{path}: {name}: {str(error).removeprefix('benchmark record: ')}") from None
        rows.append((architecture, row))
        lines.append(json.dumps([list(architecture), [None if math.isnan(x) else x for x in row]]))
    if not rows:
        raise InputError(f"{path}: no records in it (expected JSON files, one a network)")
    numbers = np.array([row for _, row in rows], dtype=np.float64)
    return BenchmarkRecords(
        architectures=np.array([architecture for architecture, _ in rows], dtype=np.int64),
        top1=numbers[:, 0],
        train_time=numbers[:, 1],
        macs=numbers[:, 2],
        params=numbers[:, 3],
        devices={device: numbers[:, 4 + index] for index, device in enumerate(DEVICES)},
        digest=hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16],
    )


def _documents(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(file name, document) of every JSON file, in a fixed order."""
    if path.is_dir():
        for found in sorted(path.rglob("*.json")):
            try:
                content = read_regular(found, _MAX_RECORD, "record of the benchmark")
            except OSError as error:
                raise InputError(f"{found}: {error.strerror or error}") from None
            yield found.name, _parse(path, found.name, content)
        return
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r") as archive:
            members: list[tuple[str, bytes]] = []
            for member in archive:
                if len(members) > _MAX_RECORDS or member.size > _MAX_RECORD:
                    raise InputError(f"{path}: {member.name}: too large for Accel-NASBench's records")
                stream = archive.extractfile(member) if member.name.endswith(".json") else None
                if stream is not None:
                    members.append((Path(member.name).name, stream.read()))
    except FileNotFoundError:
        raise InputError(f"benchmark data {str(path)!r}: no such file or folder") from None
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"{path}: unreadable as an archive of records: {error}") from None
    for name, content in sorted(members):
        yield name, _parse(path, name, content)


def _parse(path: Path, name: str, content: bytes) -> Mapping[str, object]:
    try:
        document = parse_json(content, name)
    except InputError:
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{path}: {name}: not a JSON document of a record")
    return document


def _mapping(document: Mapping[str, object], field: str) -> Mapping[str, object]:
    value = document.get(field)
    if not isinstance(value, dict):
        raise InputError(f"field {field!r} is missing")
    return value


def _number(document: Mapping[str, object], field: str, low: float, high: float) -> float:
    if field not in document:
        raise InputError(f"field {field!r} is missing")
    value = document[field]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low < value <= high:
        raise InputError(f"{field} {shown(value)}: expected a number above {low:g} and up to {high:g}")
    return float(value)


def _device(document: Mapping[str, object], device: str) -> float:
    """A measurement, NaN where the benchmark has none (null)."""
    entry = _mapping(_mapping(document, "platform_perf"), device)
    field = f"{device.partition('_')[0]}_mean"
    if entry.get(field, "") is None:
        return math.nan
    return _number(entry, field, 0, math.inf)
