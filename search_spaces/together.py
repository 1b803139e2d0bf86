"""Fields of stages that one decision decides: where only some combinations of their values are meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.counting import MOST_DIGITS
from search_spaces.decision import Choice, Decision
from search_spaces.document import check_fields
from search_spaces.errors import InputError, shown

StageField = tuple[int, str]
"""A stage's number and a field of it, `op`, or of one of its blocks, `block2.op`."""

STEM: StageField = (-1, "channels")
HEAD: StageField = (-2, "channels")
"""The widths of stem and head, as fields of a space."""

_ENDS = {STEM[0]: "stem", HEAD[0]: "head"}


def place_name(number: int) -> str:
    """`stage3`, `stem` or `head`."""
    return _ENDS.get(number, f"stage{number}")


_NUMBER_BITS = 1024
_LABELS = {"kernel": "k", "se_ratio": "se", "channels": "c", "repeats": "r", "start_kernel": "a"}


@dataclass(frozen=True)
class JointChoices:
    """Two fields or more, of one stage or several, with the combinations that there are.

    Attributes:
        fields: in the order of a combination's values.
        choices: the combinations; at least one, all different.

    Raises:
        InputError: fewer than two fields, one of them twice, or a combination of another length.
    """

    fields: tuple[StageField, ...]
    choices: tuple[tuple[Choice, ...], ...]

    def __post_init__(self) -> None:
        where = f"together {self.name!r}"
        if len(self.fields) < 2 or len(set(self.fields)) != len(self.fields):
            raise InputError(f"{where}: expected two fields or more, each once")
        for choice in self.choices:
            if len(choice) != len(self.fields):
                raise InputError(f"{where}: choice {list(choice)}: expected {len(self.fields)} values")
        if not self.choices or len(set(self.choices)) != len(self.choices):
            raise InputError(f"{where}: expected at least one choice, none of them twice")

    @property
    def name(self) -> str:
        """The decision's name: `stage0.op+se_ratio`, or `stage0.channels+stage1.skip` over two stages."""
        parts, before = [], None
        for number, field in self.fields:
            parts.append(field if number == before else f"{place_name(number)}.{field}")
            before = number
        return "+".join(parts)

    def decision(self) -> Decision:
        """One decision; a choice names all values, `mbconv6_se0.25`."""
        return Decision(self.name, tuple(self._label(choice) for choice in self.choices))

    def _label(self, choice: tuple[Choice, ...]) -> str:
        pairs = zip(self.fields, choice, strict=True)
        labels = ((_LABELS.get(field.split(".")[-1], ""), value) for (_, field), value in pairs)
        return "_".join(f"{label}{'same' if value == '' else value}" for label, value in labels)

    def to_document(self) -> dict[str, Any]:
        """As plain data, readable again by `read_together`."""
        fields = [f"{place_name(number)}.{field}" for number, field in self.fields]
        return {"fields": fields, "choices": [list(choice) for choice in self.choices]}


def read_together(row: object, where: str) -> JointChoices:
    """The fields and their combinations in a mapping; `where` names it in errors.

    Raises:
        InputError: another form, or what `JointChoices` refuses.
    """
    found = check_fields(row, where, ("fields", "choices"))
    for name, value in found.items():
        if not isinstance(value, list):
            raise InputError(f"{where}: {name} {shown(value)}: expected a list")
    fields = []
    for name in found["fields"]:
        match = re.fullmatch(r"stage(\d{1,4})\.((?:block\d{1,4}\.)?\w+)", str(name))
        if end := [key for key in (STEM, HEAD) if str(name) == f"{place_name(key[0])}.{key[1]}"]:
            fields += end
        elif match is None:
            raise InputError(f"{where}: field {shown(name)}: expected e.g. 'stage0.op'")
        else:
            fields.append((int(match[1]), match[2]))
    for choice in found["choices"]:
        if not isinstance(choice, list) or not all(isinstance(value, str | int | float) for value in choice):
            raise InputError(f"{where}: choice {shown(choice)}: expected a list of single values")
    try:
        return JointChoices(tuple(fields), tuple(map(tuple, found["choices"])))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


@dataclass(frozen=True)
class Exportable:
    """What a space was constrained to.

    Attributes:
        to: names of formats that can express all of its networks.
        of: architectures of the whole space.
    """

    to: tuple[str, ...]
    of: int

    def to_document(self) -> dict[str, Any]:
        """As plain data, readable again by `from_document`."""
        # a document has no number of more than 300 digits: that count is written as text
        whole = self.of if self.of.bit_length() <= _NUMBER_BITS else str(self.of)
        return {"to": list(self.to), "of": whole}

    @staticmethod
    def from_document(row: Mapping[str, Any], where: str) -> Exportable:
        """As it stands in a space's document; raises `InputError` for another form."""
        found = check_fields(row, where, ("to", "of"))
        to, of = found["to"], found["of"]
        if not isinstance(to, list) or not to or not all(isinstance(name, str) for name in to):
            raise InputError(f"{where}: to {shown(to)}: expected a list of names")
        if isinstance(of, str) and re.fullmatch(rf"[1-9][0-9]{{0,{MOST_DIGITS - 1}}}", of):
            of = int(of)
        if not isinstance(of, int) or isinstance(of, bool) or of < 1:
            raise InputError(f"{where}: of {shown(of)}: expected an integer of at least 1")
        return Exportable(tuple(to), of)
