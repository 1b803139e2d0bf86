"""How settings name what a controller starts from."""

from __future__ import annotations

import os

from controller.registry import learns_from_prior
from nas.benchmark.prior import EMBEDDED
from nas.data.place import absolute
from nas.runs.storage import is_url
from nas.search.journal_file import TRIALS
from search_spaces.errors import InputError

NO_PRIOR = "none"


def named_prior(name: str | None) -> str | None:
    """The name as settings keep it: a path from the root, or as it is where it names no path.

    Raises:
        InputError: it names nothing.
    """
    if name is None or name == NO_PRIOR:
        return None
    if not name.strip():
        raise InputError(
            f"prior {name!r}: expected {', '.join(EMBEDDED)}, a run's folder, a FILE.json by "
            f"`nas benchmark`, or {NO_PRIOR}"
        )
    return name if name in EMBEDDED or is_url(name) else absolute(name)


def names_run(name: str) -> bool:
    """Whether it is a run, or the copy of one, of which a benchmark has to be made."""
    return is_url(name) or any(os.path.exists(os.path.join(name, kept)) for kept in ("search.yaml", TRIALS))


def check_learns(controller: str, prior: str) -> None:
    """Raise `InputError` for a controller that has no use for a prior."""
    if not learns_from_prior(controller):
        raise InputError(
            f"prior {prior!r}: controller {controller!r} learns from none; use --controller predictor, or "
            f"--prior {NO_PRIOR}"
        )
