"""Surrogates of the ImageNet benchmark: any architecture of `accel-nasbench` -> predicted measurements.

Here they are only asked, in numpy; `nas.benchmark.fit` fits them with scikit-learn and torch. The
file is an npz of plain arrays, read without unpickling.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.benchmark.records import DEVICES
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.errors import unknown
from search_spaces.mbconv import StagedSpace

FORMAT = 1
FAMILIES = ("mlp", "gb")
"""Two kinds of surrogate of top-1: an ensemble of networks (smooth), and gradient boosting (steps)."""

EMBEDDED = Path(__file__).parent / "surrogate.npz"
"""The one that ships with the package, fitted on all records."""

_CHUNK = 8192
_DEPTH = 3  # of the boosted trees, and so the most decisions that one of their leaves depends on

Singles = NDArray[np.float32]


def one_hot(space: StagedSpace, architectures: ArrayLike) -> Singles:
    """Choice indices (n, decisions) as 0 and 1, shape (n, all choices)."""
    rows = np.asarray(architectures)
    lengths = [len(decision) for decision in space.decisions]
    columns = rows + np.cumsum([0, *lengths[:-1]])
    encoded = np.zeros((len(rows), sum(lengths)), dtype=np.float32)
    encoded[np.arange(len(rows))[:, None], columns] = 1
    return encoded


def thresholds(space: StagedSpace) -> list[tuple[int, int]]:
    """The binary questions that the trees ask: (decision d, index t) is whether choice d lies above t."""
    return [(d, t) for d, decision in enumerate(space.decisions) for t in range(len(decision) - 1)]


@dataclass(frozen=True)
class Networks:
    """An ensemble of networks of two hidden layers with SiLU.

    Attributes:
        weights: for each layer, shape (members, inputs, outputs).
        biases: for each layer, shape (members, 1, outputs).
        mean, scale: of each target; the networks predict standard units.
    """

    weights: tuple[Singles, Singles, Singles]
    biases: tuple[Singles, Singles, Singles]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __call__(self, encoded: Singles) -> NDArray[np.float64]:
        """Predictions of all members, shape (members, n, targets)."""
        parts = []
        members, inputs, hidden = self.weights[0].shape
        first = self.weights[0].transpose(1, 0, 2).reshape(inputs, members * hidden)
        for start in range(0, len(encoded), _CHUNK):
            x = encoded[start : start + _CHUNK] @ first
            x = x.reshape(-1, members, hidden).transpose(1, 0, 2) + self.biases[0]
            x = _silu(x) @ self.weights[1] + self.biases[1]
            parts.append(_silu(x) @ self.weights[2] + self.biases[2])
        return np.concatenate(parts, axis=1) * self.scale + self.mean


def _silu(x: Singles) -> Singles:
    activated: Singles = x / (1 + np.exp(-x))
    return activated


@dataclass(frozen=True)
class Trees:
    """Boosted trees of depth three over `thresholds`, as scikit-learn fitted them.

    Attributes:
        features: index of each inner node's question, in level order, shape (trees, 7).
        values: of the leaves, from all-no to all-yes, shape (trees, 8).
        base: what the trees' sum is added to.
    """

    features: NDArray[np.uint8]
    values: Singles
    base: float

    def tables(self, space: StagedSpace) -> BlockTables:
        """The same function as one table for every three blocks.

        A leaf depends on at most three decisions, so on at most three blocks: the sum over all trees
        is a sum over the triples of blocks, each looked up by what those three blocks are.
        """
        questions = thresholds(space)
        sizes = [len(decision) for decision in space.decisions]
        small: dict[tuple[int, ...], NDArray[np.float64]] = {}
        for features, values in zip(self.features, self.values, strict=True):
            for leaf, value in enumerate(values):
                if not value:
                    continue
                allowed: dict[int, NDArray[np.bool_]] = {}
                node = 0
                for level in reversed(range(_DEPTH)):
                    decision, index = questions[features[node]]
                    yes = leaf >> level & 1
                    mask = (np.arange(sizes[decision]) > index) == bool(yes)
                    allowed[decision] = allowed.get(decision, True) & mask
                    node = 2 * node + 1 + yes
                decisions = tuple(sorted(allowed))
                table = small.get(decisions)
                if table is None:
                    table = small[decisions] = np.zeros([sizes[d] for d in decisions])
                cells = table
                cells[np.ix_(*(allowed[d] for d in decisions))] += value
        return BlockTables(space, small, self.base)


class BlockTables:
    """A function of architectures as a sum of tables over triples of blocks."""

    def __init__(
        self, space: StagedSpace, small: dict[tuple[int, ...], NDArray[np.float64]], base: float
    ) -> None:
        names = [decision.name.partition(".")[0] for decision in space.decisions]
        blocks = list(dict.fromkeys(names))
        self.base = base
        self.place = np.array([blocks.index(name) for name in names])
        # a block's choices together as one number, the first decision counting most
        self.stride = np.ones(len(names), dtype=np.int64)
        self.count = np.ones(len(blocks), dtype=np.int64)
        for d in reversed(range(len(names))):
            self.stride[d] = self.count[self.place[d]]
            self.count[self.place[d]] *= len(space.decisions[d])
        self.triples = list(combinations(range(len(blocks)), 3))
        self.tables = [np.zeros(self.count[list(triple)], dtype=np.float32) for triple in self.triples]
        owner: dict[tuple[int, ...], int] = {}
        for number, triple in enumerate(self.triples):
            for size in (1, 2, 3):
                for part in combinations(triple, size):
                    owner.setdefault(part, number)
        for decisions, values in small.items():
            used = tuple(sorted({int(self.place[d]) for d in decisions}))
            number = owner[used]
            index = []
            for d in decisions:
                block = int(self.place[d])
                axis = self.triples[number].index(block)
                choice = np.arange(self.count[block]) // self.stride[d] % len(space.decisions[d])
                index.append(choice.reshape([-1 if a == axis else 1 for a in range(3)]))
            self.tables[number] += values[tuple(index)].astype(np.float32)

    def __call__(self, architectures: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values, shape (n,)."""
        blocks = np.zeros((len(self.count), len(architectures)), dtype=np.int64)
        for d, block in enumerate(self.place):
            blocks[block] += architectures[:, d] * self.stride[d]
        total = np.full(len(architectures), self.base)
        for (a, b, c), table in zip(self.triples, self.tables, strict=True):
            total += table[blocks[a], blocks[b], blocks[c]]
        return total


class Surrogate:
    """Predicted measurements of any architecture of `accel-nasbench`.

    Args:
        networks: of top-1.
        trees: of top-1.
        devices: networks of the logarithms of `DEVICES` and, last, of the training time.
        about: digest of the records, fidelity, measured noise.

    Attributes:
        space: `accel-nasbench`.
        families: `mlp` and `gb`.
    """

    families: tuple[str, ...] = FAMILIES

    def __init__(self, networks: Networks, trees: Trees, devices: Networks, about: dict[str, Any]) -> None:
        self.space = accel_nasbench()
        self.networks, self.trees, self.devices, self.about = networks, trees, devices, about

    @cached_property
    def _tables(self) -> BlockTables:
        return self.trees.tables(self.space)

    def top1(self, architectures: ArrayLike, family: str = "mlp") -> NDArray[np.float64]:
        """Predicted ImageNet top-1 in points (0 to 100), shape (n,); the same rows give the same bits.

        Args:
            architectures: choice indices, shape (n, decisions).
            family: one of `FAMILIES`.

        Raises:
            InputError: an unknown family.
        """
        if family not in FAMILIES:
            raise unknown("surrogate", family, FAMILIES)
        rows = np.asarray(architectures, dtype=np.int64)
        if family == "gb":
            return self._tables(rows)
        predicted: NDArray[np.float64] = self.networks(one_hot(self.space, rows)).mean(0)[:, 0]
        return predicted

    def top1_std(self, architectures: ArrayLike) -> NDArray[np.float64]:
        """Standard deviation of a prediction by the networks, points, shape (n,).

        The held-out error, and how far the members and the trees disagree on this architecture.
        """
        rows = np.asarray(architectures, dtype=np.int64)
        members = self.networks(one_hot(self.space, rows))[..., 0]
        between = (members.mean(0) - self._tables(rows)) / 2
        rmse = self.about["fidelity"]["mlp"]["rmse"]
        deviation: NDArray[np.float64] = np.sqrt(rmse**2 + members.var(0) / len(members) + between**2)
        return deviation

    def measured(self, architectures: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Predictions of `DEVICES` (ms, images/s) and of `train_time` (s), each of shape (n,)."""
        rows = one_hot(self.space, np.asarray(architectures, dtype=np.int64))
        logarithms = self.devices(rows).mean(0)
        names = (*DEVICES, "train_time")
        return {name: np.exp(logarithms[:, index]) for index, name in enumerate(names)}

    def to_bytes(self) -> bytes:
        """As the content of an npz file; the same surrogate gives the same bytes."""
        arrays: dict[str, NDArray[Any]] = {"features": self.trees.features, "values": self.trees.values}
        for name, part in (("networks", self.networks), ("devices", self.devices)):
            for layer in range(3):
                arrays[f"{name}_w{layer}"] = part.weights[layer]
                arrays[f"{name}_b{layer}"] = part.biases[layer]
            arrays[f"{name}_mean"], arrays[f"{name}_scale"] = part.mean, part.scale
        about = {"format": FORMAT, "base": self.trees.base, **self.about}
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        return stream.getvalue()

    @property
    def digest(self) -> str:
        """16 hex digits of everything that decides its answers."""
        parts: list[NDArray[Any]] = []
        for part in (self.networks, self.devices):
            parts += [*part.weights, *part.biases, part.mean, part.scale]
        content = hashlib.sha256(np.float64(self.trees.base).tobytes())
        for array in (*parts, self.trees.features, self.trees.values):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()[:16]
