"""How the best networks of a search are trained fully, as `nas train --top` and `nas finalists` take it."""

from __future__ import annotations

from typing import Any

from nas.data.sources import source_of
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.runs.train_settings import TrainSettings
from search_spaces.mbconv import StagedSpace


def full_settings(
    run: Run,
    data: str | None,
    data_root: str | None,
    resolution: int | None,
    stem_stride: int | None,
    **more: Any,
) -> SearchSettings:
    """Settings of the training; the space is filled in by who trains.

    Args:
        run: the search, whose data they are on where no other is given.
        data, data_root: where the images are.
        resolution, stem_stride: of the networks; None: the data set's, of photographs the networks' own.
        more: as `nas.runs.flat` takes it.
    """
    searched = run.settings.evaluator
    if data is None and isinstance(searched, TrainSettings):
        data, data_root = searched.data, data_root or searched.data_root
    data = data or "digits"
    if source_of(data).located and isinstance(run.space, StagedSpace):  # as the networks are, not smaller
        own = run.space.template
        resolution, stem_stride = resolution or own.resolution, stem_stride or own.stem.stride
    return make_settings(
        data=data, data_root=data_root, resolution=resolution, stem_stride=stem_stride, **more
    )
