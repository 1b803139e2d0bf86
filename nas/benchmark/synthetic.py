"""Functions over choices whose structure is known: what a controller can and can't take advantage of.

Each stands for a kind of space that users have. All are made from a seed: `ordered:3` is the fourth of its
kind, so that a setting chosen on some can be tried on others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.choice_space import ChoiceSpace
from nas.benchmark.landmarks import climbed_landmarks
from nas.benchmark.oracle import Oracle
from nas.search.reward import Reward, reward_of
from search_spaces.decision import Decision
from search_spaces.errors import InputError, unknown

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Function = Callable[[Rows], Floats]
"""Choice indices (n, decisions) -> raw scores (n,), of any scale; higher is better."""

_LOOKED_AT = 20_000
_LOW, _HIGH = 0.3, 0.6
"""The accuracies of the worst and the best of `_LOOKED_AT` random architectures."""


def _smooth(sizes: list[int], rng: np.random.Generator, shuffled: bool = False) -> Function:
    """A hill in every decision, at a place of its own, and neighbouring decisions that should agree."""
    peaks = [rng.uniform(0, size - 1) for size in sizes]
    widths = [max(size - 1, 1) for size in sizes]
    heights, ties = rng.uniform(0.3, 1, len(sizes)), rng.uniform(-0.5, 0.5, len(sizes) - 1)
    tables = [
        -height * ((np.arange(size) - peak) / width) ** 2
        for size, peak, width, height in zip(sizes, peaks, widths, heights, strict=True)
    ]
    labels = [rng.permutation(size) if shuffled else np.arange(size) for size in sizes]

    def score(rows: Rows) -> Floats:
        places = np.stack([label[rows[:, d]] for d, label in enumerate(labels)], axis=1)
        total = sum(table[places[:, d]] for d, table in enumerate(tables))
        share = places / np.array(widths) - 0.5
        return np.asarray(total + (share[:, :-1] * share[:, 1:]) @ ties)

    return score


def _unordered(sizes: list[int], rng: np.random.Generator) -> Function:
    """Independent effects of every choice, and of every pair of choices of neighbouring decisions."""
    ones = [rng.normal(size=size) for size in sizes]
    pairs = [rng.normal(scale=0.5, size=(a, b)) for a, b in pairwise(sizes)]

    def score(rows: Rows) -> Floats:
        total = sum(table[rows[:, d]] for d, table in enumerate(ones))
        return np.asarray(total + sum(t[rows[:, d], rows[:, d + 1]] for d, t in enumerate(pairs)))

    return score


def _conditional(sizes: list[int], rng: np.random.Generator) -> Function:
    """Threes: the second matters under the first's first choice only, the third under its second."""
    firsts = [rng.normal(size=sizes[d]) for d in range(0, len(sizes), 3)]
    others = [[rng.normal(size=sizes[d + k]) for k in (1, 2)] for d in range(0, len(sizes), 3)]

    def score(rows: Rows) -> Floats:
        total = np.zeros(len(rows))
        for group, (first, (second, third)) in enumerate(zip(firsts, others, strict=True)):
            a, b, c = rows[:, 3 * group : 3 * group + 3].T
            total += first[a] + np.where(a == 0, second[b], 0) + np.where(a == 1, third[c], 0)
        return total

    return score


def _triples(sizes: list[int], rng: np.random.Generator) -> Function:
    """Effects of three decisions together, of as many triples as there are decisions, and of each alone."""
    ones = [rng.normal(size=size) for size in sizes]
    picked = [rng.choice(len(sizes), 3, replace=False) for _ in sizes]
    tables = [rng.normal(scale=0.7, size=tuple(sizes[d] for d in triple)) for triple in picked]

    def score(rows: Rows) -> Floats:
        total = sum(table[rows[:, d]] for d, table in enumerate(ones))
        return np.asarray(total + sum(t[tuple(rows[:, p].T)] for t, p in zip(tables, picked, strict=True)))

    return score


def _deceptive(sizes: list[int], rng: np.random.Generator) -> Function:
    """Traps of three decisions (Deb & Goldberg 1993): each step away from the best choices pays, but the best
    together pay most."""
    best = [int(rng.integers(size)) for size in sizes]
    weights = rng.uniform(0.5, 1, len(sizes) // 3)

    def score(rows: Rows) -> Floats:
        hits = (rows == np.array(best)).reshape(len(rows), -1, 3).sum(2)
        return np.asarray(np.where(hits == 3, 1.0, (2 - hits) * 0.4) @ weights)

    return score


def _sparse(sizes: list[int], rng: np.random.Generator) -> Function:
    """A few decisions that matter among many that hardly do."""
    scales = np.where(rng.permutation(len(sizes)) < len(sizes) // 10, 1.0, 0.05)
    tables = [scale * rng.normal(size=size) for size, scale in zip(sizes, scales, strict=True)]
    return lambda rows: np.asarray(sum(table[rows[:, d]] for d, table in enumerate(tables)))


def _cell(sizes: list[int], rng: np.random.Generator) -> Function:
    """A cell of four nodes with an operation on each of its six edges, as NAS-Bench-201 has it (Dong & Yang
    2020): none, a skip, pooling and two convolutions. What no path reaches is worth nothing, and convolutions
    that follow one another bring less each; so a few architectures are far worse than all others."""
    gains = np.concatenate([[0.0, 0.0], rng.uniform(-0.4, 0.1, 1), rng.uniform(0.5, 1.5, 2)])
    passes = np.array([0.0, 1.0, 0.8, 0.9, 0.9])
    places = rng.uniform(0.7, 1.3, 6)
    order = np.stack([rng.permutation(5) for _ in sizes])

    def score(rows: Rows) -> Floats:
        operations = np.stack([order[d][rows[:, d]] for d in range(6)], axis=1)
        reached, depth = [np.ones(len(rows))], [np.zeros(len(rows))]
        for node, first in ((1, 0), (2, 1), (3, 3)):
            edges = [
                (source, operations[:, first + source], places[first + source]) for source in range(node)
            ]
            signals = [passes[op] * reached[before] for before, op, _ in edges]
            gained = [depth[before] + gains[op] * place for before, op, place in edges]
            total = np.maximum(sum(signals), 1e-9)
            depth.append(np.asarray(sum(s * g for s, g in zip(signals, gained, strict=True)) / total))
            reached.append(np.minimum(total, 1.5))
        return np.asarray(np.where(reached[3] < 0.1, -4.0, -3 * np.exp(-2.5 * depth[3])) + 0.1 * reached[3])

    return score


_Maker = Callable[[list[int], np.random.Generator], Function]

FUNCTIONS: dict[str, tuple[list[int], _Maker, bool]] = {
    "ordered": ([9] * 15, _smooth, False),
    "shuffled": ([9] * 15, partial(_smooth, shuffled=True), False),
    "unordered": ([5] * 9, _unordered, False),
    "cell": ([5] * 6, _cell, False),
    "conditional": ([3, 4, 4] * 5, _conditional, False),
    "triples": ([4] * 12, _triples, False),
    "deceptive": ([3] * 12, _deceptive, False),
    "two": ([30] * 2, _smooth, False),
    "hundred": ([3] * 100, _sparse, False),
    "wide": ([200] * 5, _smooth, False),
    "costly": ([3] * 8, _unordered, True),
    "costly-ordered": ([5] * 12, _smooth, True),
}
"""By name: the number of choices of each decision, what makes the function, and whether a cost is weighed."""


SYNTHETIC = tuple(FUNCTIONS)


def synthetic_oracle(name: str) -> Oracle:
    """The function of a name of `FUNCTIONS`, with `:SEED` behind it or not; raises `InputError`."""
    family, colon, text = name.partition(":")
    if family not in FUNCTIONS:
        raise unknown("synthetic function", family, list(FUNCTIONS))
    if colon and not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise InputError(
            f"synthetic function {name!r}: expected a number of at most 9 digits behind the colon"
        )
    sizes, make, costly = FUNCTIONS[family]
    rng = np.random.default_rng([int(text or 0), *family.encode()])
    space = ChoiceSpace(
        name.replace(":", "-"), tuple(Decision(f"d{d}", tuple(range(size))) for d, size in enumerate(sizes))
    )
    score = make(sizes, rng)
    # each choice multiplies the cost, as widths and depths do
    factors = [np.exp(np.sort(rng.uniform(-0.35, 0.35, size))) for size in sizes]
    some = np.random.default_rng(0).integers(sizes, size=(_LOOKED_AT, len(sizes)))
    scores = score(some)
    if costly:  # what costs more is better, so that there is something to weigh
        costs = _product(factors, some)
        rate = float(np.std(scores) / np.std(np.log(costs)))
        plain, score = score, lambda rows: plain(rows) + rate * np.log(_product(factors, rows))
        scores = score(some)
    low, high = float(scores.min()), float(scores.max())

    def accuracies(rows: Rows) -> Floats:
        return np.asarray(np.clip(_LOW + (_HIGH - _LOW) * (score(rows) - low) / (high - low), 0.0, 1.0))

    reward: Reward = reward_of("soft", {"macs": 1.0} if costly else {})

    def line(rows: Rows) -> tuple[Floats, Floats]:
        slope, offset = reward.line(lambda _: _product(factors, rows))
        return np.broadcast_to(slope, len(rows)), np.broadcast_to(offset, len(rows))

    def rewards(rows: Rows) -> Floats:
        slope, offset = line(rows)
        return np.asarray(slope * accuracies(rows) + offset)

    return Oracle(
        name,
        space,
        reward,
        rewards,
        lambda architecture: float(accuracies(np.array([architecture]))[0]),
        lambda architecture: {"macs": float(_product(factors, np.array([architecture]))[0])},
        line if costly else None,
        lambda: climbed_landmarks(space, rewards),
        0.01,
    )


def _product(factors: list[Floats], rows: Rows) -> Floats:
    return np.asarray(np.prod([factor[rows[:, d]] for d, factor in enumerate(factors)], axis=0))
