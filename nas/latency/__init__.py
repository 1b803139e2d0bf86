"""Measured latency: of whole networks, and of their parts as a table that predicts any network's.

Import from the modules: `parts` and `table` load no torch, `runtimes` and `build_table` do.
"""
