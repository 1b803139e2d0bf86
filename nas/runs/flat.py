"""Settings by flat names, as the command line writes them and as the first version's files kept them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from nas.runs.coarse_settings import as_coarse
from nas.runs.cost_settings import own_costs
from nas.runs.evaluators import EVALUATORS
from nas.runs.function_settings import FunctionSettings
from nas.runs.named_targets import resolve_targets
from nas.runs.settings import SearchSettings
from search_spaces.document import check_fields
from search_spaces.errors import InputError, shown, unknown

_PARTS = {
    "space": ("space", "name"),
    "space_document": ("space", "document"),
    "exportable_to": ("space", "exportable_to"),
    "full_resolution": ("space", "full_resolution"),
    "controller": ("controller", "name"),
    "controller_options": ("controller", "options"),
    "reward": ("reward", "form"),
    "targets": ("reward", "targets"),
    "exponent": ("reward", "exponent"),
}
_TOP = ("latency_table", "trials", "until", "price", "seed", "own_costs", "prior", "coarse")
_OF_KIND = {
    kind: {part.flat_names.get(field.name, field.name): field.name for field in fields(part)}
    for kind, part in EVALUATORS.items()
}
NAMES = ("evaluator", *_TOP, *_PARTS, *dict.fromkeys(name for names in _OF_KIND.values() for name in names))
_LATER = (
    *("exportable_to", "full_resolution", "cache", "held_out", "folds", "recipe_init"),
    *("function", "module_folder", "function_epochs", "function_code", "own_costs"),
    *("supernet", "supernet_digest", "prior", "coarse"),
)
_FIRST = tuple(name for name in NAMES if name not in _LATER)
"""What the first version's files have."""
_PLACED = ("cpus_per_trial", "gpus_per_trial")
"""The first version kept them among the settings; they say where a search runs (`nas.runs.placement`)."""


def make_settings(**flat: Any) -> SearchSettings:
    """The defaults with these changes; see `change`."""
    return change(SearchSettings(), **flat)


def change(settings: SearchSettings, **flat: Any) -> SearchSettings:
    """The settings with some changed, by flat names (`NAMES`); targets may be texts.

    Another evaluator starts from its own defaults; `module:function` is one too, or, in targets, a cost.

    Raises:
        InputError: an unknown name, one of another evaluator, or what the parts refuse.
    """
    kind = flat.pop("evaluator", settings.evaluator.kind)
    if isinstance(kind, str) and ":" in kind:
        kind, flat = FunctionSettings.kind, {**FunctionSettings.named(kind), **flat}
    if not isinstance(kind, str) or kind not in EVALUATORS:
        raise unknown("evaluator", str(kind), EVALUATORS)
    scorer = settings.evaluator if kind == settings.evaluator.kind else EVALUATORS[kind]()
    top = {name: flat.pop(name) for name in _TOP if name in flat}
    if "coarse" in top:
        top["coarse"] = as_coarse(top["coarse"])
    scored = {_OF_KIND[kind][name]: flat.pop(name) for name in list(flat) if name in _OF_KIND[kind]}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        if name in _PARTS:
            part, field = _PARTS[name]
            parts.setdefault(part, {})[field] = value
        elif name in NAMES:
            other = next(other for other, names in _OF_KIND.items() if name in names)
            raise InputError(f"{name.replace('_', '-')} {shown(value)}: only for --evaluator {other}")
        else:
            raise unknown("setting", name, NAMES)
    scorer = replace(scorer, **scored)
    if "targets" in parts.get("reward", {}):
        table = top.get("latency_table", settings.latency_table)
        own, targets = own_costs(parts["reward"]["targets"], top.get("own_costs", settings.own_costs))
        parts["reward"]["targets"] = resolve_targets(targets, scorer, table, own)
        top["own_costs"] = own
    made = {part: replace(getattr(settings, part), **values) for part, values in parts.items()}
    return replace(settings, evaluator=scorer, **top, **made)


def from_first_version(document: Mapping[str, Any], where: str) -> SearchSettings:
    """The settings in a document of schema 1, which was flat.

    Raises:
        InputError: an unknown field, or a value that breaks its rule.
    """
    values = check_fields(document, where, ("schema",), [*_FIRST, *_PLACED])
    kind = values.get("evaluator", "train")
    others: set[str] = set()
    if set(_FIRST) <= {"evaluator", *values}:  # by a run, which kept the settings of both evaluators
        others = {name for other, names in _OF_KIND.items() if other != kind for name in names}
        others -= set(_OF_KIND.get(str(kind), {}))
    flat = {name: value for name, value in values.items() if name not in ("schema", *_PLACED, *others)}
    try:
        return make_settings(**flat)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def read_settings(document: Mapping[str, Any], where: str) -> SearchSettings:
    """The settings in a document, of this version or the first.

    Raises:
        InputError: another schema, or as `SearchSettings.from_document`.
    """
    if document.get("schema") == 1:
        return from_first_version(document, where)
    return SearchSettings.from_document(document, where)
