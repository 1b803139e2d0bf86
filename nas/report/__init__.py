"""Observers of a search: they write, they never decide."""
