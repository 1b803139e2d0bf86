"""Data sets: where images and labels come from, checked and held out; loads torch when a set is loaded."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "load": ["load_data"],
        "dataset": ["ArraySplit", "DataSet", "FileSplit"],
        "preparation": ["Preparation"],
        "sources": ["DataSource", "proxy_defaults"],
    },
)
