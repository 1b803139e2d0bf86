"""The spec's own document format, as YAML or JSON."""

from __future__ import annotations

import json

from nas.export.formats import Wanted, Written
from search_spaces.document import dump_yaml
from search_spaces.errors import unknown
from search_spaces.spec import NetworkSpec

FORMATS = ("yaml", "json")


def to_text(spec: NetworkSpec, form: str) -> str:
    """The spec as text in the format `form`, readable again by `search_spaces.read_spec`.

    Raises:
        InputError: an unknown format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    document = spec.to_document()
    return dump_yaml(document) if form == "yaml" else json.dumps(document, indent=2) + "\n"


def write_spec(spec: NetworkSpec, model: object, wanted: Wanted) -> Written:
    """The spec's document; weights have no place in it."""
    return Written(to_text(spec, wanted.form))
