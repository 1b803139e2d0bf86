"""A spec in the formats that other programs read."""

from nas.export.document import FORMATS, to_text

__all__ = ["FORMATS", "to_text"]
