"""Observers of a search, and what is shown of its results: they write, they never decide."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "progress": ["SearchProgress"],
        "tensorboard": ["TensorBoardWriter", "TrainingCurves"],
        "html": ["write_report"],
        "diagram": ["to_svg", "write_diagram"],
        "importance": ["Importance", "importances"],
        "training": ["model_card"],
    },
)
