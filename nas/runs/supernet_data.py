"""The data of a supernet: loaded as those of any search's trainings, and kept with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from nas.runs.checked import from_mapping
from nas.runs.train_settings import TrainSettings
from nas.search.train_evaluator import TrainEvaluator

if TYPE_CHECKING:
    from nas.supernet.plan import SupernetPlan

Say = Callable[[str], None]


def load_trained(settings: TrainSettings, download: bool, say: Say) -> tuple[TrainEvaluator, TrainSettings]:
    """What trains on the data, and its settings with all that was decided, to be kept.

    Raises:
        InputError: the data, or they are others than those kept.
    """
    made = settings.make(download, say=say)
    assert isinstance(made, TrainEvaluator)
    kept = replace(settings.kept(made.data_digest), **made.decided)
    return made, kept


def settings_of(plan: SupernetPlan, data: str | None = None, data_root: str | None = None) -> TrainSettings:
    """The settings that a supernet's data were loaded with, with the data where they lie now.

    Raises:
        InputError: the supernet keeps none.
    """
    kept = from_mapping(TrainSettings, dict(plan.data), "supernet: data")
    return kept.moved(data, data_root)


def kept_settings(settings: TrainSettings) -> dict[str, Any]:
    """As plain data, read again by `settings_of`."""
    return asdict(settings)
