"""Block notation: a stage as a short string, `ir_r2_k3_s2_e6_c24_se0.25` (MnasNet's and timm's style).

The words are timm's (`cn`, `ds`, `dsa`, `ir`; `noskip`), with `bb` and `bt` for ResNet's blocks and
`pool`, `proj` for the other two shortcuts. It is for reading and for writing reference networks
down; `nas.export` knows what a library makes of its own variant.
"""

from __future__ import annotations

import re

from search_spaces.block import OPS
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec, StageSpec

_SKIPS = {"none": "noskip", "identity": "", "pooling": "pool", "projection": "proj"}
_FIELDS = {"r": "repeats", "k": "kernel", "s": "stride", "e": "expansion", "c": "channels", "se": "se_ratio"}


def to_notation(stage: StageSpec) -> str:
    """The stage as one string; SE and skip are left out where they are the default."""
    parts = [OPS[stage.op].word, f"r{stage.repeats}", f"k{stage.kernel}", f"s{stage.stride}"]
    parts += [f"e{stage.expansion:g}", f"c{stage.channels}"]
    if stage.se_ratio:
        parts.append(f"se{stage.se_ratio:g}")
    if _SKIPS[stage.skip]:
        parts.append(_SKIPS[stage.skip])
    return "_".join(parts)


def from_notation(text: str) -> StageSpec:
    """The stage that a string describes.

    Raises:
        InputError: a part that is no word of the notation, or a value out of its rule.
    """
    word, *parts = text.split("_")
    ops = {op.word: op.name for op in OPS.values()}
    if word not in ops:
        raise InputError(f"block notation {text!r}: {word!r} is none of {', '.join(ops)}")
    skips = {name: skip for skip, name in _SKIPS.items() if name}
    fields: dict[str, object] = {"op": ops[word]}
    for part in parts:
        match = re.fullmatch(r"(se|[rksec])(\d+(?:\.\d+)?)", part)
        if part in skips:
            fields["skip"] = skips[part]
        elif match:
            value = float(match[2])
            fields[_FIELDS[match[1]]] = int(value) if value.is_integer() else value
        else:
            raise InputError(f"block notation {text!r}: {part!r} is no part of it")
    if "channels" not in fields:
        raise InputError(f"block notation {text!r}: the width (c...) is missing")
    return StageSpec(**fields)  # type: ignore[arg-type]


def network_notation(spec: NetworkSpec) -> str:
    """All stages of a network, separated by spaces."""
    return " ".join(to_notation(stage) for stage in spec.stages)
