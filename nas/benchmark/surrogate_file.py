"""The surrogate in a file, checked: whose arrays would not fit each other is none, however it came about."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.records import DEVICES
from nas.benchmark.surrogate import EMBEDDED, FAMILIES, FORMAT, Networks, Surrogate, Trees, thresholds
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.errors import InputError, shown
from search_spaces.parsing import parse_json
from search_spaces.reading import check_archive, open_regular, strange_content

_MAX_BYTES = 1 << 26
"""Of a surrogate, unpacked."""


def read_surrogate(path: Path = EMBEDDED) -> Surrogate:
    """The surrogate in a file; the embedded one by default.

    Raises:
        InputError: the file is missing, damaged, of another format, or its arrays don't fit each other.
    """
    where = f"{path}: unreadable as a surrogate"
    try:
        arrays = _arrays(path, where)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    if "about" not in arrays:
        raise InputError(f"{where}: it has no 'about'")
    about = parse_json(arrays["about"].tobytes(), where)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = shown(about.get("format") if isinstance(about, dict) else about)
        raise InputError(f"{path}: surrogate format {found} is unknown, this release reads {FORMAT}")
    base: Any = about.get("base")
    if not _number(base):
        raise InputError(f"{where}: base {shown(base)}: expected a finite number")
    _check_about(about, where)
    questions = len(thresholds(accel_nasbench()))
    features = _array(arrays, "features", (None, 7), where)
    if not np.issubdtype(features.dtype, np.integer) or features.min(initial=0) < 0:
        raise InputError(f"{where}: features: expected whole numbers from 0 on")
    if features.max(initial=0) >= questions:
        raise InputError(f"{where}: features: expected numbers below {questions}")
    trees = Trees(features, _array(arrays, "values", (len(features), 8), where), base)
    parts = [_networks(arrays, name, count, where) for name, count in (("networks", 1), ("devices", _TOLD))]
    kept = {key: value for key, value in about.items() if key not in ("format", "base")}
    return Surrogate(parts[0], trees, parts[1], kept)


_TOLD = len(DEVICES) + 1
"""What the networks of the devices predict: those, and the training time."""


def _arrays(path: Path, where: str) -> dict[str, NDArray[Any]]:
    """The arrays in an npz file, none of which is larger than what the file has of it."""
    with open_regular(path) as stream, strange_content(where):
        check_archive(stream, _MAX_BYTES, where)
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                with archive.open(member) as part:
                    version = np.lib.format.read_magic(part)
                    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
                    shape, _, kind = read[version[0]](part)
                    if int(np.prod([int(n) for n in shape], dtype=object)) * kind.itemsize > member.file_size:
                        raise InputError(f"{where}: {member.filename[:100]}: ends early")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def _networks(arrays: dict[str, NDArray[Any]], name: str, targets: int, where: str) -> Networks:
    inputs = sum(len(decision) for decision in accel_nasbench().decisions)
    first = _array(arrays, f"{name}_w0", (None, inputs, None), where)
    members, _, hidden = first.shape
    second = _array(arrays, f"{name}_w1", (members, hidden, None), where)
    third = _array(arrays, f"{name}_w2", (members, second.shape[2], targets), where)
    biases = tuple(
        _array(arrays, f"{name}_b{layer}", (members, 1, weight.shape[2]), where)
        for layer, weight in enumerate((first, second, third))
    )
    mean, scale = (_array(arrays, f"{name}_{part}", (targets,), where) for part in ("mean", "scale"))
    return Networks((first, second, third), biases, mean, scale)  # type: ignore[arg-type]


def _array(
    arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], where: str
) -> NDArray[Any]:
    """One of these, at least one of everything; None in its shape: any number."""
    if name not in arrays:
        raise InputError(f"{where}: it has no {name!r}")
    found = arrays[name]
    fits = found.ndim == len(shape) and all(w in (None, n) for n, w in zip(found.shape, shape, strict=True))
    if not fits or not found.size:
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise InputError(f"{where}: {name} is {found.shape}, expected ({wanted})")
    if not (np.issubdtype(found.dtype, np.floating) or np.issubdtype(found.dtype, np.integer)):
        raise InputError(f"{where}: {name} has {found.dtype}, expected numbers")
    if not np.isfinite(found).all():
        raise InputError(f"{where}: {name} has values that are NaN or infinite")
    return found


def _check_about(about: dict[str, Any], where: str) -> None:
    """What is told of a surrogate: its noise, and how well it predicts."""
    fidelity = about.get("fidelity")
    rows = [fidelity.get(family) for family in FAMILIES] if isinstance(fidelity, dict) else [None]
    figures = {"r2", "mae", "rmse", "kendall_tau"}
    if not _number(about.get("records")):
        raise InputError(f"{where}: records {shown(about.get('records'))}: expected their number")
    if not _number(about.get("noise")) or about["noise"] < 0:
        found = shown(about.get("noise"))
        raise InputError(f"{where}: noise {found}: expected a number from 0 on")
    if not all(isinstance(r, dict) and figures <= set(r) and all(map(_number, r.values())) for r in rows):
        raise InputError(
            f"{where}: fidelity {shown(fidelity)}: expected the figures of {' and '.join(FAMILIES)}"
        )


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
