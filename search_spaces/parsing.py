"""Text of strangers as plain data: mappings by name, lists, texts, numbers, truth values and nothing.

What is small on disk may be large in memory, or take long to be read: aliases of aliases, numbers of a
million digits, mappings merged over and over. All that is bounded here, for YAML and JSON alike.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from typing import Any

import yaml

from search_spaces.errors import InputError, shown

MOST_VALUES = 1 << 18
MOST_CHARACTERS = 1 << 24
MOST_LEVELS = 50
MOST_DIGITS = 300
"""Of a document with its aliases written out; of a number."""


def parse_document(data: bytes, where: str) -> Any:
    """What a document says, as plain data: YAML, of which JSON is a part.

    Args:
        data: its content, in UTF-8.
        where: names it in errors.

    Raises:
        InputError: no UTF-8, no YAML, a name twice in a mapping, or no plain data within the bounds above.
    """
    text = _decoded(data, where)
    if text.lstrip().startswith("{"):  # JSON, most often, which is read fifty times as fast
        try:
            return _from_json(text, where)
        except InputError:
            raise
        except ValueError:
            pass  # if YAML can't be made of it either, it says the line
    # each value but the first has one of these before it
    if sum(map(text.count, (",", "\n", ":", "- ", "? "))) > MOST_VALUES:
        raise InputError(f"{where}: more than {MOST_VALUES:,} values, expected fewer")
    try:
        document = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InputError(f"{where}: malformed YAML{line}: {problem[:_LONG]}") from None
    check_plain(document, where)
    return document


def parse_csv(data: bytes, where: str) -> list[list[str]]:
    """The rows of a CSV text (RFC 4180), empty ones left out; spaces around a value are none of it.

    Raises:
        InputError: no UTF-8, or no CSV.
    """
    try:
        found = csv.reader(io.StringIO(_decoded(data, where), newline=""), strict=True)
        return [[value.strip() for value in row] for row in found if row]
    except csv.Error as error:
        raise InputError(f"{where}: no CSV: {error}") from None


def parse_json(data: bytes | str, where: str) -> Any:
    """What a JSON text says, as plain data; NaN and Infinity are taken for numbers.

    Raises:
        InputError: as `parse_document`.
    """
    try:
        return _from_json(_decoded(data, where), where)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: malformed JSON: {str(error)[:_LONG]}") from None


_LONG = 200
"""Characters of what a parser says, which may quote what it read."""


def _decoded(data: bytes | str, where: str) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not a text in UTF-8, at byte {error.start:,}") from None


def _from_json(text: str, where: str) -> Any:
    """Raises `InputError` for what is no plain data, another ValueError for what is no JSON."""
    try:
        found = json.loads(text, parse_int=_integer, object_pairs_hook=_mapping)
    except RecursionError:
        raise InputError(f"{where}: nested more than {MOST_LEVELS} deep") from None
    check_plain(found, where)
    return found


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    return int(text)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name is twice in a mapping: {shown(twice)}")
    return made


def check_plain(document: object, where: str) -> None:
    """Raise `InputError` unless a document is plain data within the bounds, its aliases written out."""
    left, count, characters = [(document, 1)], 0, 0
    while left:
        value, level = left.pop()
        count += 1
        if count > MOST_VALUES:
            raise InputError(f"{where}: stands for more than {MOST_VALUES:,} values, with its aliases")
        if level > MOST_LEVELS:
            raise InputError(f"{where}: nested more than {MOST_LEVELS} deep")
        if isinstance(value, str):
            characters += len(value)
            if characters > MOST_CHARACTERS:
                raise InputError(
                    f"{where}: stands for more than {MOST_CHARACTERS:,} characters, with its aliases"
                )
            # U+DC80 to U+DCFF are what Python makes of bytes in a path that are no UTF-8
            if not value.isascii() and (odd := _SURROGATE.search(value)):
                raise InputError(f"{where}: {shown(odd[0])} is half of a character")
        elif isinstance(value, dict):
            left += [(part, level + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            left += [(part, level + 1) for part in value]
        elif isinstance(value, int) and abs(value) >= _TOO_LARGE:
            raise InputError(f"{where}: a number of more than {MOST_DIGITS} digits")
        elif value is not None and not isinstance(value, (int, float)):
            raise InputError(f"{where}: found a {type(value).__name__}, expected plain data")


_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_TOO_LARGE = 10**MOST_DIGITS

_TAG = "tag:yaml.org,2002:"
_KINDS = {"int": "an integer", "float": "a number", "bool": "true or false", "null": "nothing"}
_MERGED = 10_000
"""Names that `<<` may bring into one mapping."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader for plain data, which also takes 1e-5 for a number: YAML 1.1 wants a point in it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._flat: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put in what `<<` refers to; merged mappings that are merged again may grow without an end."""
        if id(node) in self._flat:
            return
        self._flat.add(id(node))
        size, own = 0, set()
        for key, value in node.value:
            if key.tag != f"{_TAG}merge":
                if key.tag != f"{_TAG}str" and key.tag != f"{_TAG}value":
                    raise _refused(key, "expected a text as a name", "; put it in quotes")
                if key.value in own:
                    raise _refused(key, "the name is twice in a mapping")
                own.add(key.value)
                continue
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(part, yaml.MappingNode):
                    self.flatten_mapping(part)
                    size += len(part.value)
        if size > _MERGED:
            raise _refused(node, f"more than {_MERGED:,} names are merged into a mapping")
        super().flatten_mapping(node)

    def construct_plain(self, node: yaml.Node) -> Any:
        """A scalar that isn't a text."""
        kind = node.tag.removeprefix(_TAG)
        if not isinstance(node, yaml.ScalarNode) or kind not in _KINDS:
            words = "a date or time" if kind == "timestamp" else shown(kind)
            raise _refused(node, f"found {words}, expected plain data", "; put a text in quotes")
        if len(node.value) > MOST_DIGITS:
            raise _refused(node, f"a number of more than {MOST_DIGITS} digits")
        try:
            return getattr(self, f"construct_yaml_{kind}")(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            raise _refused(node, f"expected {_KINDS[kind]}", "; put a text in quotes") from None


def _refused(node: yaml.Node, rule: str, hint: str = "") -> yaml.YAMLError:
    value = f": {shown(node.value)}" if isinstance(node, yaml.ScalarNode) else ""
    return yaml.constructor.ConstructorError(None, None, f"{rule}{value}{hint}", node.start_mark)


_NUMBER = re.compile(r"^[-+]?\d+[eE][-+]?\d+$")


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which knows what `_Loader` takes for a number, and puts such texts in quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(f"{_TAG}float", _NUMBER, list("-+0123456789"))
for _tag in (*_KINDS, "timestamp", "binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"{_TAG}{_tag}", _Loader.construct_plain)


def dump_yaml(document: Any) -> str:
    """`document` as YAML in its own order, the innermost collections on one line each."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=160)
    return text
