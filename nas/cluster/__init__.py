"""All that imports Ray: nodes, searches as Tune trials, their workers, jobs, DDP trainings."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "controller_search": ["ControllerSearch"],
        "tune": ["run_on_ray", "share"],
        "nodes": ["Resources", "connect"],
        "worker": ["EvaluatorTrainable"],
        "processes": ["train_together"],
        "jobs": ["JobServer"],
    },
)
