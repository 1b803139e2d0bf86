"""The columns of a data set, chosen by options, become a part of its name."""

from __future__ import annotations

from typing import Any

from nas.data.naming import with_columns
from search_spaces.errors import InputError


def take_columns(options: dict[str, Any], data: str | None) -> str | None:
    """The name of the data set with the columns, which are taken out of `options`.

    Raises:
        InputError: columns of a data set that has none.
    """
    image, label = options.pop("image_column", None), options.pop("label_column", None)
    if data is None:
        for key, value in (("image", image), ("label", label)):
            if value is not None:
                raise InputError(f"{key}-column {value!r}: give the data set with it, by --data")
        return None
    return with_columns(data, image, label)
