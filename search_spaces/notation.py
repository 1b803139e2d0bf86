"""Block notation: a stage as a short string, `ir_r2_k3_s2_e6_c24_se0.25` (MnasNet's and timm's style).

The codes are timm's (`cn`, `ds`, `dsa`, `ir`, `er`; `noskip`), with `bb` and `bt` for ResNet's blocks and
`pool`, `proj` for the other two shortcuts. They are for pasting and for writing reference networks down;
`nas.export` knows what a library makes of its own variant. Where people read, a stage stands in words,
`2 x MBConv6 k3 s2 SE c24`.
"""

from __future__ import annotations

import re

from search_spaces.block import OPS
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec, StageSpec

_SKIPS = {"none": "noskip", "identity": "", "pooling": "pool", "projection": "proj"}
_FIELDS = {
    "r": "repeats",
    "k": "kernel",
    "s": "stride",
    "e": "expansion",
    "c": "channels",
    "se": "se_ratio",
    "a": "start_kernel",
    "gs": "group_width",
}

WORDS_LEGEND = (
    "3 x MBConv6 k5 s2 SE c40: 3 blocks; expansion 6 (MBConv1: none, depthwise separable), kernel 5, the "
    "first with stride 2, squeeze-and-excitation (to a quarter of the input; SE0.5: to half), 40 channels; "
    "no skip, pool, proj: another shortcut than the identity; hard SE: MobileNetV3's; ReLU, h-swish: an "
    "activation other than the network's; UIB4 k5+3: a kernel before the expansion and one behind it, 0: "
    "none; g8: its k x k convolution in groups of 8 channels"
)
"""What the words mean, for people."""

CODE_LEGEND = (
    "ir_r3_k5_s2_e6_c40_se0.25, to paste: ir MBConv, er FusedMBConv, uir UIB, ds MBConv1, dsa SepConv (an "
    "activation after the 1x1, too), cn Conv, bb Basic, bt Bottleneck; r blocks, k kernel, a UIB's first "
    "kernel, s stride, e expansion, c channels, gs group width, se ratio of SE, hard MobileNetV3's; nre, "
    "nr6, nsw, nhs: its own activation; noskip, pool, proj: the skip"
)
"""What the codes mean, for people."""

_ACTIVATION_CODES = {"relu": "nre", "relu6": "nr6", "silu": "nsw", "hard_swish": "nhs"}
_ACTIVATION_WORDS = {"relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU", "hard_swish": "h-swish"}
_HARD_GATE = "hard"

_SKIP_WORDS = {"none": "no skip", "pooling": "pool", "projection": "proj"}
_OWN_SE = 0.25
"""The SE ratio that words leave out: nearly all networks have it."""


def to_notation(stage: StageSpec) -> str:
    """The stage as one string; SE, activation and skip are left out where they are the default."""
    parts = [OPS[stage.op].word, f"r{stage.repeats}", f"k{stage.kernel}", f"s{stage.stride}"]
    if stage.start_kernel:
        parts.insert(2, f"a{stage.start_kernel}")
    parts += [f"e{stage.expansion:g}", f"c{stage.channels}"]
    if stage.group_width:
        parts.append(f"gs{stage.group_width}")
    if stage.se_ratio:
        parts.append(f"se{stage.se_ratio:g}")
    if stage.gate == "hard_sigmoid":
        parts.append(_HARD_GATE)
    if stage.activation:
        parts.append(_ACTIVATION_CODES[stage.activation])
    if _SKIPS[stage.skip]:
        parts.append(_SKIPS[stage.skip])
    return "_".join(parts)


def from_notation(text: str) -> StageSpec:
    """The stage that a string describes.

    Raises:
        InputError: a part that is no word of the notation, or a value out of its rule.
    """
    word, *parts = text.split("_")
    ops = {op.word: op.name for op in OPS.loaded().values()}
    if word not in ops:
        raise InputError(f"block notation {text!r}: {word!r} is none of {', '.join(ops)}")
    skips = {name: skip for skip, name in _SKIPS.items() if name}
    activations = {code: name for name, code in _ACTIVATION_CODES.items()}
    fields: dict[str, object] = {"op": ops[word]}
    for part in parts:
        match = re.fullmatch(r"(se|gs|[arksec])(\d+(?:\.\d+)?)", part)
        if part in skips:
            fields["skip"] = skips[part]
        elif part in activations:
            fields["activation"] = activations[part]
        elif part == _HARD_GATE:
            fields["gate"] = "hard_sigmoid"
        elif match:
            value = float(match[2])
            fields[_FIELDS[match[1]]] = int(value) if value.is_integer() else value
        else:
            raise InputError(f"block notation {text!r}: {part!r} is no part of it")
    if "channels" not in fields:
        raise InputError(f"block notation {text!r}: the width (c...) is missing")
    return StageSpec(**fields)  # type: ignore[arg-type]


def parse_stages(*rows: str) -> tuple[StageSpec, ...]:
    """The stages that strings describe, one each; raises `InputError` as `from_notation`."""
    return tuple(from_notation(row) for row in rows)


def network_notation(spec: NetworkSpec) -> str:
    """All stages of a network, separated by spaces."""
    return " ".join(to_notation(stage) for stage in spec.stages)


def stage_words(stage: StageSpec) -> str:
    """The stage as people read it: `3 x MBConv6 k5 s2 SE c40`; what is usual is left out."""
    return f"{stage.repeats} x {block_words(stage)}"


def block_words(stage: StageSpec) -> str:
    """Its block alone: `MBConv6 k5 s2 SE c40`; the stride is that of the first."""
    kernel = f"k{stage.kernel}"
    if OPS[stage.op].universal:
        kernels = [str(size) for size in (stage.start_kernel, stage.kernel) if size]
        kernel = f"k{'+'.join(kernels)}" if stage.kernel else f"k{stage.start_kernel}+0"
    parts = [op_words(stage), kernel]
    if stage.stride > 1:
        parts.append(f"s{stage.stride}")
    if stage.group_width:
        parts.append(f"g{stage.group_width}")
    if stage.se_ratio:
        hard = "hard " if stage.gate == "hard_sigmoid" else ""
        parts.append(hard + ("SE" if stage.se_ratio == _OWN_SE else f"SE{stage.se_ratio:g}"))
    if stage.activation:
        parts.append(_ACTIVATION_WORDS[stage.activation])
    if stage.skip != "identity":
        parts.append(_SKIP_WORDS[stage.skip])
    return " ".join([*parts, f"c{stage.channels}"])


def op_words(stage: StageSpec) -> str:
    """Its op with the expansion: `MBConv6`, `Bottleneck e0.25`, `Conv`."""
    op = OPS[stage.op]
    name = op.short or op.label
    if not op.expands:
        return name
    return f"{name}{stage.expansion:g}" if stage.expansion >= 1 else f"{name} e{stage.expansion:g}"


def stem_words(spec: NetworkSpec) -> str:
    """The stem as people read it: `Conv k3 s2 c32`."""
    stem = spec.stem
    stride = f" s{stem.stride}" if stem.stride > 1 else ""
    return f"Conv k{stem.kernel}{stride} c{stem.channels}{', max pool s2' if stem.pool else ''}"


def head_words(spec: NetworkSpec) -> str:
    """The head as people read it: `Conv k1 c1280, pool, linear 1000`."""
    before = f"Conv k1 c{spec.head_channels}, " if spec.head_channels else ""
    behind = f"Conv k1 c{spec.pooled_channels}, " if spec.pooled_channels else ""
    return f"{before}pool, {behind}linear {spec.num_classes}"


def network_words(spec: NetworkSpec) -> str:
    """All stages of a network, separated by commas."""
    return ", ".join(map(stage_words, spec.stages))
