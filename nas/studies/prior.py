"""What a search starts from where that is another run: a benchmark of its trainings is made first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.benchmark.load import keep_loaded
from nas.benchmark.prior import translation
from nas.runs.folder import Run
from nas.runs.mirror import fetch_run, is_copy
from nas.runs.named_prior import names_run
from nas.runs.settings import SearchSettings
from nas.studies.run_benchmark import RunTrainings, make_run_benchmark


def learn_prior(settings: SearchSettings, say: Callable[[str], None]) -> None:
    """Learn from the run that settings name as their prior, if they do, so that `make_prior` knows it.

    Args:
        settings: of a search.
        say: told what takes seconds.

    Raises:
        InputError: there is no such run, it has too few networks or too many, or others than the search's.
    """
    name = settings.prior
    if name is not None and names_run(name):
        with _at_hand(name) as folder:
            trained = RunTrainings([Run.open(folder)], "prior")
        trained.sources = [name]
        translation(name, settings.make_space(), trained.space)
        trained.trainings()
        say(f"learning from {name} ...")
        keep_loaded(name, make_run_benchmark(trained)[0])


@contextmanager
def _at_hand(name: str) -> Iterator[Path]:
    """A run's folder; a storage's copy of one is fetched to look at it."""
    if not is_copy(name):
        yield Path(name)
        return
    with TemporaryDirectory() as place:
        fetch_run(name, Path(place, "run"))
        yield Path(place, "run")
