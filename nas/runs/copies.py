"""A run's copies of what its settings name: it doesn't depend on those files any more.

`search.yaml` still says what was named. What each copy is of stands in `basis.yaml`, so that what is named
there later counts, and isn't taken for what there is a copy of.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.benchmark.prior import EMBEDDED, prior_content, read_prior
from nas.runs.basis import BASIS, basis_of, copied_from, write_basis
from nas.runs.settings import SearchSettings
from nas.runs.storage import is_url
from search_spaces.document import write_atomically
from search_spaces.errors import InputError

LATENCY_TABLE, PRIOR = "latency.json", "prior.json"
COPIES = {"latency_table": LATENCY_TABLE, "prior": PRIOR}
"""By setting, the file in the run's folder."""


def named_files(settings: SearchSettings) -> dict[str, str]:
    """What settings name of which a run keeps copies, by setting."""
    named = {setting: getattr(settings, setting) for setting in COPIES}
    return {setting: name for setting, name in named.items() if name is not None and name not in EMBEDDED}


def with_copies(folder: Path, settings: SearchSettings) -> SearchSettings:
    """Settings as a run's `search.yaml` has them, with its copies in place of what they are of.

    Raises:
        InputError: `basis.yaml` is broken.
    """
    for setting, name in named_files(settings).items():
        copy = folder / COPIES[setting]
        # of an earlier version, which didn't keep it, a copy is of what was named
        if copy.is_file() and copied_from(folder).get(setting, name) == name:
            settings = _with(settings, setting, str(copy))
    return settings


def _with(settings: SearchSettings, setting: str, name: str) -> SearchSettings:
    changed: dict[str, Any] = {setting: name}
    return replace(settings, **changed)


def check_lost(folder: Path, settings: SearchSettings) -> None:
    """Raise `InputError` for a copy that is gone and can't be made again, of settings by `with_copies`."""
    for setting, name in named_files(settings).items():
        copy = folder / COPIES[setting]
        lost = name != str(copy) and copied_from(folder).get(setting) == name
        if lost and not is_url(name) and not Path(name).exists():
            raise InputError(
                f"{folder}: its {copy.name} is lost, and so is {name}, which it was the copy of: bring "
                f"back one of them, or change {setting!r} in search.yaml"
            )


def begin_copies(folder: Path, settings: SearchSettings) -> None:
    """Write a new run's copies, before it is a run.

    What they are of is written first: of a start that is killed, `are_begun` tells them from others' files.
    """
    if named := named_files(settings):
        write_basis(folder, basis_of(settings), named)
        for setting in named:
            _copy(folder, settings, setting)


def are_begun(folder: Path, names: set[str]) -> bool:
    """Whether these are what `begin_copies` has written into a folder until it was killed."""
    if not names or not names <= {BASIS, *COPIES.values()} or any((folder / n).is_symlink() for n in names):
        return False
    try:
        copied = copied_from(folder)
    except InputError:
        return False
    return names <= {BASIS, *(COPIES[setting] for setting in copied)}


def renew_copies(folder: Path, settings: SearchSettings, written: SearchSettings) -> SearchSettings:
    """Copy what a run's settings name now, and say in `basis.yaml` what it is.

    Args:
        folder: of the run.
        settings: by `with_copies`.
        written: as `search.yaml` has them.

    Returns:
        The settings with the copies.
    """
    named = named_files(written)
    for setting in named:
        if getattr(settings, setting) != str(folder / COPIES[setting]):
            _copy(folder, settings, setting)
    kept = copied_from(folder)
    if kept | named != kept:  # only now: until then the copy is what was kept
        write_basis(folder, basis_of(settings), kept | named)
    return with_copies(folder, written) if named else settings


def _copy(folder: Path, settings: SearchSettings, setting: str) -> None:
    path = folder / COPIES[setting]
    if setting == "latency_table" and (table := settings.make_latency()) is not None:
        table.write(str(path))
    elif setting == "prior" and settings.prior is not None:
        read_prior(settings.prior)  # raises
        content = prior_content(settings.prior)
        assert content is not None
        write_atomically(path, content)
