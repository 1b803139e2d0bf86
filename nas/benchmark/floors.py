"""What ranks the benchmark's networks for nothing, on the records that its surrogates didn't see."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.benchmark.records import BenchmarkRecords
from nas.search.free_features import free_features
from nas.search.ranking import FLOOR, Labelled, ranking_sheet
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.architecture import Architecture


def held_out_order(count: int, seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """(places that are held out, the others) of a split."""
    order = np.random.default_rng(seed).permutation(count)
    held = round(share * count)
    return order[:held], order[held:]


def free_floors(records: BenchmarkRecords, seed: int, splits: int, share: float) -> dict[str, float]:
    """Kendall tau of each free ranking on the held-out parts, the mean over splits.

    The ridge has the labels of the others, as the surrogates have.
    """
    space = accel_nasbench()
    features = free_features([space.decode(Architecture(row)) for row in records.architectures.tolist()])
    taus: dict[str, list[float]] = {}
    for split in range(splits):
        held, rest = held_out_order(len(records), seed + split, share)
        sheet = ranking_sheet(
            features[held], records.top1[held], {}, labelled=Labelled(features[rest], records.top1[rest])
        )
        for row in sheet.rows:
            if row.kind == FLOOR:
                taus.setdefault(row.name, []).append(row.all.tau)
    return {name: float(np.mean(values)) for name, values in taus.items()}


def floors_line(about: dict[str, Any], family: str) -> str | None:
    """How well a surrogate ranks, beside what is free; None: its file, of an earlier version, doesn't say."""
    free = about.get("free")
    if not isinstance(free, dict) or not free or not all(isinstance(tau, float) for tau in free.values()):
        return None
    beside = ", ".join(f"{name} {tau:.3f}" for name, tau in free.items())
    tau = about["fidelity"][family]["kendall_tau"]
    return f"{family}: held-out Kendall tau {tau:.3f}; for nothing: {beside}"
