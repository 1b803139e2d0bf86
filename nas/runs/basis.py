"""What a run's results depend on, kept beside them: trials compare only while it stays the same.

`search.yaml` says what a run is to do, and may be edited; `basis.yaml` says what the trials that have ended
were scored by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.benchmark.prior import prior_digest
from nas.runs.settings import SearchSettings
from search_spaces.document import check_fields, check_schema, read_document, write_document
from search_spaces.errors import InputError
from search_spaces.quoting import printable

SCHEMA_VERSION = 1
BASIS = "basis.yaml"
_MADE_GOOD = ("reward",)
"""Results of another one are recomputed."""
PRIOR = "prior"
"""What the controller starts from; there only if it does."""
COARSE = "coarse"
"""The stage that comes first; there only if one does."""
_STEERS = ("controller", "seed", PRIOR, COARSE)
"""These decide which networks are proposed, and not what a network's result is."""
COPIED = "copied_from"
"""The files of which a run keeps copies, by the settings that name them; there only if there are some."""
OWN = "own_costs"
"""There only if a run has some."""
_DECIDED = tuple(
    f"evaluator.{name}"
    for name in ("data_digest", "surrogate_digest", "supernet_digest", "cache", "held_out", "folds")
)
"""None as long as no search has begun that decided or measured them."""
_PARTS = ("space", "evaluator", "latency_table", *_MADE_GOOD, "controller", "seed")
_COMMENT = "what the trials that have ended were scored by; nas writes it, search.yaml is the one to edit"


def basis_of(settings: SearchSettings) -> dict[str, Any]:
    """What the results of a run with these settings depend on, as plain data."""
    table = settings.make_latency()
    line = None if table is None else [table.offset, table.slope, table.per_part]
    basis = {
        "space": _space(settings),
        "evaluator": {"kind": settings.evaluator.kind, **settings.evaluator.depends_on},
        "latency_table": None if table is None else _digest([dict(table.entries), line]),
        "reward": asdict(settings.reward),
        "controller": asdict(settings.controller),
        "seed": settings.seed,
    }
    if settings.own_costs:
        basis[OWN] = {name: own.function for name, own in settings.own_costs.items()}
    if settings.prior is not None:
        basis[PRIOR] = prior_digest(settings.prior)
    if settings.coarse is not None:
        basis[COARSE] = {"varied": settings.coarse.varied, "trials": settings.coarse.trials}
    return basis


def _space(settings: SearchSettings) -> dict[str, Any]:
    """Its parts, as digests: a document may be large."""
    space = asdict(settings.space)
    parts = {name: _digest(part) for name, part in space.pop("document").items()}
    return space | {"document": parts}


def _digest(part: Any) -> str:
    try:
        text = json.dumps(part, sort_keys=True, default=str)
    except TypeError:  # keys of several types, in what a space keeps about its networks
        text = repr(part)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def read_basis(folder: Path) -> dict[str, Any] | None:
    """What is kept in a run's folder; None if nothing. Raises `InputError` for a broken file."""
    parts = _read_parts(folder)
    if parts is None:
        return None
    return {name: parts[name] for name in (*_PARTS, OWN, PRIOR, COARSE) if name in parts}


def _read_parts(folder: Path) -> dict[str, Any] | None:
    path = folder / BASIS
    if not path.is_file():
        return None
    try:
        document = read_document(path)
        check_schema(document, str(path), SCHEMA_VERSION)
        parts = check_fields(document, str(path), ("schema", *_PARTS), (OWN, PRIOR, COARSE, COPIED))
        for name in ("space", "evaluator", "reward", "controller"):
            check_fields(parts[name], f"{path}: {name}", (), parts[name] or ())
        copied = check_fields(parts.get(COPIED, {}), f"{path}: {COPIED}", (), parts.get(COPIED, ()))
        if not all(isinstance(text, str) for item in copied.items() for text in item):
            raise InputError(f"{path}: {COPIED}: expected texts by setting")
    except InputError as error:
        raise InputError(f"{error}; remove the file if the trials were scored by search.yaml") from None
    return parts


def copied_from(folder: Path) -> dict[str, str]:
    """What the run's copies are of, by the setting that named it, as far as that was kept."""
    return dict((_read_parts(folder) or {}).get(COPIED, {}))


def write_basis(folder: Path, basis: Mapping[str, Any], copied: Mapping[str, str] | None = None) -> None:
    """Keep it in a run's folder, and what the run's copies are of; None: as it is kept."""
    copied = copied_from(folder) if copied is None else copied
    more = {COPIED: dict(copied)} if copied else {}
    write_document(folder / BASIS, {"schema": SCHEMA_VERSION, **basis, **more}, _COMMENT)


def refusal(kept: Mapping[str, Any], now: Mapping[str, Any], read: bool = False) -> str | None:
    """Why results of the kept basis don't compare with new ones; None if they do.

    With `read`, of settings as a file has them: what a search decides when it starts may not be there.
    """
    if read:
        scorer = now["evaluator"].items()
        told = {n: v for n, v in scorer if v is not None or f"evaluator.{n}" not in _DECIDED}
        now = {**now, "evaluator": kept["evaluator"] | told}
    return _words(kept, now, lambda part: part not in (*_MADE_GOOD, *_STEERS))


def steered(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What else of the search has changed, in words; None if nothing."""
    return _words(kept, now, lambda part: part in _STEERS)


def rewarded(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What of the reward has changed, in words; None if nothing."""
    return _words(kept, now, lambda part: part in _MADE_GOOD)


def _words(kept: Mapping[str, Any], now: Mapping[str, Any], of: Any) -> str | None:
    changed = [
        _change(name, before, after) for name, before, after in _changes(kept, now) if of(name.split(".")[0])
    ]
    return ", ".join(changed) or None


def _changes(
    kept: Mapping[str, Any], now: Mapping[str, Any], within: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, after) of what differs."""
    for name in dict.fromkeys([*kept, *now]):
        before, after, path = kept.get(name), now.get(name), f"{within}{name}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{path}.")
        elif before != after and not (before is None and path in _DECIDED):
            yield path, before, after


def _change(name: str, before: Any, after: Any) -> str:
    name = printable(name[:80])
    if name.startswith("space.document") or name in ("latency_table", PRIOR):
        if before is None or after is None:
            return f"{name} {'was none, is one' if before is None else 'was one, is none'}"
        return f"{name} is another one"
    return f"{name} was {_quoted(before)}, is {_quoted(after)}"


def _quoted(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
