"""Measured latency: of whole networks, and of their parts as a table that predicts any network's."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {"setting": ["Setting"], "timing": ["Timing", "time_network"], "table": ["LatencyTable"]},
)
