"""A run's life on disk: its folder, settings, storage and copy, its state and logs."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "folder": ["Run"],
        "settings": ["SearchSettings"],
        "storage": ["Checkpoints"],
        "mirror": ["Mirror"],
        "status": ["Status"],
        "logs": ["TrialLogs"],
    },
)
