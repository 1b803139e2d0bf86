"""What a search may start from: accuracies that ImageNet, or another run, lets expect of its networks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.load import CURVES, is_loaded, is_run_benchmark, load_surrogate
from nas.benchmark.run_surrogate import RunSurrogate, describe_runs
from nas.benchmark.truth import AccuracyModel
from search_spaces.document import MAX_BYTES
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.reading import read_regular
from search_spaces.translation import Translation

IMAGENET = "imagenet"
"""A prior that is embedded: ImageNet's accuracies by the benchmark's surrogate."""
EMBEDDED = (IMAGENET, CURVES)


class Prior:
    """Accuracies of a space's architectures in another task; called with choice indices (n, decisions).

    Args:
        name: one of `EMBEDDED`, or the path of a benchmark by `nas benchmark`.
        space: whose architectures are asked for.
        scored_by: what scores the search, where that is a benchmark: another one.

    Attributes:
        surrogate: what answers.

    Raises:
        InputError: there is no such benchmark, it knows nothing of such networks, or it is what scores them.
    """

    def __init__(self, name: str, space: StagedSpace | ListedSpace, scored_by: object = None) -> None:
        self.surrogate, self._family = read_prior(name)
        if getattr(scored_by, "digest", None) == self.surrogate.digest:
            raise InputError(f"prior {shown(name)}: scores this search too, whose answers it would know")
        self._translation = translation(name, space, self.surrogate.space)

    def __call__(self, architectures: NDArray[np.int64]) -> NDArray[np.float64]:
        """Fractions, shape (n,)."""
        known: NDArray[np.float64] = self.surrogate.top1(self._translation(architectures), self._family) / 100
        return known

    def describe(self) -> str:
        """What it is, and how much of it concerns this space."""
        about, decisions = self.surrogate.about, len(self.surrogate.space.decisions)
        what = "ImageNet top-1 by a surrogate" if "fidelity" in about else describe_runs(about)
        followed = self._translation.followed
        return f"{what}; {followed} of its {decisions} decisions follow from this space's"


def translation(name: str, space: StagedSpace | ListedSpace, known: StagedSpace) -> Translation:
    """What a space's networks are in that which the prior called `name` knows.

    Raises:
        InputError: none of them is any.
    """
    if not isinstance(space, StagedSpace):
        raise InputError(f"prior {shown(name)}: acts on spaces of decisions, this one lists its networks")
    try:
        return Translation(space, known)
    except InputError as error:
        raise InputError(f"prior {shown(name)}: {error}") from None


def prior_content(name: str) -> bytes | None:
    """The file that a run keeps of it; None where it needs none, or there is no such prior."""
    if name not in EMBEDDED and is_loaded(name):
        made = load_surrogate(name)
        assert isinstance(made, RunSurrogate)
        return made.to_bytes()
    return read_regular(name, MAX_BYTES) if name not in EMBEDDED and Path(name).is_file() else None


def prior_digest(name: str) -> str:
    """Of that file, which isn't understood for that; the embedded one goes by its name."""
    content = prior_content(name)
    return Path(name).name if content is None else hashlib.sha256(content).hexdigest()[:16]


def read_prior(name: str) -> tuple[AccuracyModel, str]:
    """What answers, and by which family of its surrogates; raises `InputError` where nothing does."""
    if name == IMAGENET:
        surrogate = load_surrogate()
    elif is_run_benchmark(name) or is_loaded(name):
        surrogate = load_surrogate(name)
    else:
        raise InputError(
            f"prior {shown(name)}: expected {' or '.join(EMBEDDED)}, a run's folder, or a FILE.json by "
            "`nas benchmark`"
        )
    return surrogate, surrogate.families[0]
