"""baseline-nas: search for a baseline network, scale it, train it, export it."""

__version__ = "0.1.0"
