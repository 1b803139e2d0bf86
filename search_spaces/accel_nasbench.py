"""Accel-NASBench's space (Ahmad et al., DAC 2024), exactly, and the way from its records to architectures."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.architecture import Architecture
from search_spaces.decision import Choice
from search_spaces.errors import InputError, shown
from search_spaces.mbconv import StageChoices, StagedSpace
from search_spaces.reference import efficientnet_b0

_OPS = {1: "ds", 4: "mbconv4", 6: "mbconv6"}
_BLOCKS = len(efficientnet_b0().stages)


def accel_nasbench() -> StagedSpace:
    """Seven blocks of B0's widths and strides; e in {1, 4, 6}, k in {3, 5}, SE, l in {1, 2, 3} (block 5: 4).

    104,485,552,128 architectures, EfficientNet-B0 among them.
    """
    stages = tuple(
        StageChoices(
            op=tuple(_OPS.values()),
            channels=(stage.channels,),
            kernel=(3, 5),
            repeats=(1, 2, 3, 4) if index == 5 else (1, 2, 3),
            se_ratio=(0, 0.25),
            skip=("identity",),
            stride=stage.stride,
        )
        for index, stage in enumerate(efficientnet_b0().stages)
    )
    return StagedSpace("accel-nasbench", stages, efficientnet_b0())


def from_record(space: StagedSpace, record: Mapping[str, object]) -> Architecture:
    """The architecture of a record's `architecture` field (`block0_e` ... `block6_se`).

    Raises:
        InputError: a field is missing, or its value lies outside the space.
    """
    choices: dict[str, Choice] = {}
    for block in range(_BLOCKS):
        try:
            e, k, layers, se = (record[f"block{block}_{field}"] for field in ("e", "k", "l", "se"))
        except KeyError as error:
            raise InputError(f"benchmark record: field {error.args[0]!r} is missing") from None
        if not isinstance(e, int) or e not in _OPS:
            raise InputError(f"benchmark record: block{block}_e {shown(e)}: expected one of 1, 4, 6")
        choices[f"stage{block}.op"] = _OPS[e]
        choices[f"stage{block}.kernel"] = k  # type: ignore[assignment]
        choices[f"stage{block}.repeats"] = layers  # type: ignore[assignment]
        choices[f"stage{block}.se_ratio"] = 0.25 if se else 0
    return space.from_choices(choices)
