"""Weight sharing: one network that has all networks of a space in it, its training, and what it is worth."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "network": ["Supernet"],
        "sampling": ["PathSampler"],
        "plan": ["SupernetPlan", "read_supernet"],
        "training": ["SupernetTraining"],
    },
)
