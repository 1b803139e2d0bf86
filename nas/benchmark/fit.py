"""Fits the benchmark's surrogates from its records: scikit-learn's boosted trees, torch's networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from nas.benchmark.floors import free_floors, held_out_order
from nas.benchmark.records import DEVICES, BenchmarkRecords, read_benchmark
from nas.benchmark.surrogate import FORMAT, Networks, Surrogate, Trees, one_hot, thresholds
from nas.benchmark.surrogate_file import read_surrogate
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.document import make_folder, write_atomically
from search_spaces.errors import InputError

_VERSION = 1
"""Counts changes of the settings below, so that a cached fit of older ones isn't used."""

_MEMBERS, _HIDDEN, _EPOCHS, _BATCH, _LR, _DECAY = 6, 64, 50, 64, 5e-3, 0.1
_BOOSTERS, _TREES, _RATE = 3, 2000, 0.06
_FEWEST = 200
HELD_OUT_SHARE = 0.1
"""Of the records, on which a surrogate is checked."""


def fit(
    records: BenchmarkRecords,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    splits: int = 1,
) -> Surrogate:
    """Fit both families and the device networks on all records; the fidelity is of a held-out tenth.

    Args:
        records: at least 200.
        seed: of the split, the initial weights and the order.
        splits: that the fidelity is the mean of.
        progress: told what is being fitted.

    Raises:
        InputError: too few records.
    """
    if len(records) < _FEWEST:
        raise InputError(f"{len(records)} records: expected at least {_FEWEST} to fit a surrogate")
    say = progress or (lambda text: None)
    say(f"fitting on 90% of {len(records)} records to check on the rest")
    checks = [check(records, seed + split) for split in range(splits)]
    fidelity = {
        part: {key: float(np.mean([c[part][key] for c in checks])) for key in scores}
        for part, scores in checks[0].items()
    }
    say("fitting on all records")
    rows = np.arange(len(records))
    about = {"records": len(records), "digest": records.digest, "fidelity": fidelity, "splits": splits}
    about["free"] = free_floors(records, seed, splits, HELD_OUT_SHARE)
    return _fit(records, rows, seed, about | {"noise": records.noise(), "seed": seed, "settings": _VERSION})


def check(records: BenchmarkRecords, seed: int) -> dict[str, dict[str, float]]:
    """Fidelity on a random tenth, fitted on the rest.

    Returns:
        for each family and `devices` (mean over them): `r2`, `mae`, `rmse` (points; for the devices of
        the logarithm), `kendall_tau`.
    """
    held, rest = held_out_order(len(records), seed, HELD_OUT_SHARE)
    fitted = _fit(records, rest, seed, {})
    rows = records.architectures[held]
    result = {family: _scores(records.top1[held], fitted.top1(rows, family)) for family in ("mlp", "gb")}
    measured = fitted.measured(rows)
    parts = []
    for name, values in _device_targets(records).items():
        there = np.isfinite(values[held])
        parts.append(_scores(np.log(values[held][there]), np.log(measured[name][there])))
    result["devices"] = {key: float(np.mean([part[key] for part in parts])) for key in parts[0]}
    return result


def _scores(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    from scipy.stats import kendalltau
    from sklearn.metrics import mean_absolute_error, r2_score

    return {
        "r2": float(r2_score(truth, predicted)),
        "mae": float(mean_absolute_error(truth, predicted)),
        "rmse": float(np.sqrt(np.mean((truth - predicted) ** 2))),
        "kendall_tau": float(kendalltau(truth, predicted).statistic),
    }


def _device_targets(records: BenchmarkRecords) -> dict[str, NDArray[np.float64]]:
    return {**{name: records.devices[name] for name in DEVICES}, "train_time": records.train_time}


def _fit(records: BenchmarkRecords, rows: NDArray[np.int64], seed: int, about: dict[str, Any]) -> Surrogate:
    space = accel_nasbench()
    encoded = one_hot(space, records.architectures[rows])
    top1 = records.top1[rows][:, None]
    devices = np.log(np.stack(list(_device_targets(records).values()), axis=1)[rows])
    return Surrogate(
        fit_networks(encoded, top1, seed, _MEMBERS),
        _fit_trees(records.architectures[rows], top1[:, 0], seed),
        fit_networks(encoded, devices, seed, 2),
        about,
    )


def fit_networks(
    encoded: NDArray[np.float32], targets: NDArray[np.float64], seed: int, members: int
) -> Networks:
    """Networks of two hidden layers, all trained at once; NaN targets are left out.

    Args:
        encoded: shape (n, inputs).
        targets: shape (n, targets).
        seed: of weights and order; every member has its own of both.
        members: of the ensemble.
    """
    mean, scale = np.nanmean(targets, axis=0), np.nanstd(targets, axis=0) + 1e-12
    wanted = torch.tensor((targets - mean) / scale, dtype=torch.float32)
    there = wanted.isfinite()
    wanted = wanted.nan_to_num()
    x = torch.tensor(encoded)
    generator = torch.Generator().manual_seed(seed)

    def layer(inputs: int, outputs: int, gain: float) -> list[torch.Tensor]:
        weight = torch.randn(members, inputs, outputs, generator=generator) * gain
        return [weight.requires_grad_(), torch.zeros(members, 1, outputs, requires_grad=True)]

    # an input row has a one for each decision, about 28 of them, which the first gain allows for
    ones = float(encoded[0].sum())
    layers = [layer(x.shape[1], _HIDDEN, ones**-0.5), layer(_HIDDEN, _HIDDEN, _HIDDEN**-0.5)]
    layers.append(layer(_HIDDEN, wanted.shape[1], _HIDDEN**-0.5))
    parameters = [tensor for pair in layers for tensor in pair]
    optimizer = torch.optim.AdamW(parameters, _LR, weight_decay=_DECAY)
    steps = _EPOCHS * (len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=steps + 1, pct_start=0.1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums in the same order, whatever the machine has
    try:
        for _ in range(_EPOCHS):
            orders = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(members)])
            for start in range(0, len(x) - _BATCH + 1, _BATCH):
                batch = orders[:, start : start + _BATCH]
                hidden = x[batch]
                for weight, bias in layers[:2]:
                    hidden = F.silu(hidden @ weight + bias)
                error = (hidden @ layers[2][0] + layers[2][1] - wanted[batch]) * there[batch]
                optimizer.zero_grad()
                error.square().mean((1, 2)).sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    finally:
        torch.set_num_threads(threads)
    weights = tuple(pair[0].detach().numpy() for pair in layers)
    biases = tuple(pair[1].detach().numpy() for pair in layers)
    return Networks(weights, biases, mean, scale)  # type: ignore[arg-type]


def _fit_trees(architectures: NDArray[np.int64], top1: NDArray[np.float64], seed: int) -> Trees:
    """Several boosted ensembles, averaged: one bag of `Trees`."""
    from sklearn.ensemble import GradientBoostingRegressor

    questions = thresholds(accel_nasbench())
    answers = np.stack([architectures[:, d] > t for d, t in questions], axis=1).astype(np.float32)
    features, values, base = [], [], 0.0
    for index in range(_BOOSTERS):
        model = GradientBoostingRegressor(
            n_estimators=_TREES,
            learning_rate=_RATE,
            max_depth=3,
            subsample=0.5,
            max_features=0.3,
            min_samples_leaf=5,
            random_state=1000 * seed + index,
        ).fit(answers, top1)
        base += float(model.init_.constant_.item()) / _BOOSTERS
        for (tree,) in model.estimators_:
            nodes, leaves = _perfect(tree.tree_)
            features.append(nodes)
            values.append(np.array(leaves) * (_RATE / _BOOSTERS))
    return Trees(np.array(features, dtype=np.uint8), np.array(values, dtype=np.float32), base)


def _perfect(tree: Any) -> tuple[list[int], list[float]]:
    """(questions in level order, leaves) of a tree of depth three; a shallow leaf is written twice."""
    nodes, leaves = [0] * 7, [0.0] * 8

    def walk(source: int, target: int, depth: int) -> None:
        if depth == 3:
            leaves[target - 7] = float(tree.value[source].item())
            return
        left, right = tree.children_left[source], tree.children_right[source]
        if left < 0:
            left = right = source
        else:
            nodes[target] = int(tree.feature[source])
        walk(left, 2 * target + 1, depth + 1)
        walk(right, 2 * target + 2, depth + 1)

    walk(0, 0, 0)
    return nodes, leaves


def surrogate_of(path: str, cache: Path, progress: Callable[[str], None] | None = None) -> Surrogate:
    """The surrogate of the records at `path`, fitted once and then kept in `cache` by their digest.

    Raises:
        InputError: as `read_benchmark` and `fit`.
    """
    records = read_benchmark(path)
    kept = cache / f"accel-nasbench-{records.digest}-{FORMAT}.{_VERSION}.npz"
    if kept.is_file():
        try:
            return read_surrogate(kept)
        except InputError:  # damaged: fitted anew
            kept.unlink()
    surrogate = fit(records, progress=progress)
    make_folder(cache)
    write_atomically(kept, surrogate.to_bytes())
    return surrogate
