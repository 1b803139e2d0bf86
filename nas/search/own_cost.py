"""A cost of the user's own: a function of a network's spec, asked once for each network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from nas.latency.table import LATENCY, LatencyTable
from nas.search.evaluator import Evaluator
from nas.search.own_function import OwnFunction
from nas.search.trial import Record
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec


class OwnCost:
    """Gives that cost of networks.

    It is taken for an exact function of the spec, so that a controller may know it of any network before one
    is trained. Where the function says `exact = False` of itself (it measures, say, or takes long), it is
    asked for proposed networks alone, and the controller learns the reward as it comes.

    Args:
        name: of the cost.
        function: takes a `NetworkSpec`, gives a positive number.
        where: what it is called in an error, `module:function`.

    Attributes:
        exact: whether the same network always has the same.
    """

    def __init__(self, name: str, function: OwnFunction, where: str) -> None:
        self.name, self.function, self.where = name, function, where
        self.exact = bool(getattr(function, "exact", True))
        self._known: dict[str, float] = {}
        self._rows: dict[bytes, float] = {}

    def __call__(self, spec: NetworkSpec) -> float:
        """The cost of a network; raises `InputError` where the function gives none."""
        if spec.digest not in self._known:
            self._known[spec.digest] = self._ask(spec)
        return self._known[spec.digest]

    def predict(
        self, space: StagedSpace | ListedSpace, architectures: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The cost of many architectures of one space.

        Args:
            space: theirs; always the same one.
            architectures: choice indices, shape (n, decisions).

        Returns:
            shape (n,).
        """
        rows = np.ascontiguousarray(architectures, dtype=np.int64)
        keys = [row.tobytes() for row in rows]
        for key, row in zip(keys, rows.tolist(), strict=True):
            if key not in self._rows:
                self._rows[key] = self._ask(space.decode(Architecture(row)))
        return np.array([self._rows[key] for key in keys], dtype=np.float64)

    def recall(self, records: Iterable[Record]) -> None:
        """What is kept of networks counts, so that they aren't asked for again."""
        known = {record.digest: record.costs for record in records}
        self._known |= {digest: costs[self.name] for digest, costs in known.items() if self.name in costs}

    def check(self, records: Iterable[tuple[Record, NetworkSpec]]) -> None:
        """Raise `InputError` where the function gives another cost of a trial than is kept of it."""
        for record, spec in records if self.exact else ():
            before, now = record.costs.get(self.name), self._ask(spec)
            if before is None or not math.isclose(before, now, rel_tol=1e-9):
                was = "is not kept" if before is None else f"was {before:g}"
                raise InputError(
                    f"cost {self.name!r} of trial {record.trial} {was}, {self.where} gives {now:g} now: "
                    "results would not compare; put it back, or start a new search"
                )

    def _ask(self, spec: NetworkSpec) -> float:
        try:
            answer = self.function(spec)
            value = float(answer)
        except Exception as error:  # whatever a user's function raises
            said = " ".join(str(error).split())
            raise InputError(f"cost {self.name!r}: {self.where}: {type(error).__name__}: {said}") from error
        if not (value > 0 and math.isfinite(value)):
            raise InputError(
                f"cost {self.name!r}: {self.where} gives {shown(answer)} for {spec.name}: expected a "
                "positive number"
            )
        return value


def other_costs(
    evaluator: Evaluator, latency: LatencyTable | None, own: Mapping[str, OwnCost]
) -> Callable[[NetworkSpec], dict[str, float]]:
    """What gives the costs of a network beside the analytic ones."""

    def costs(spec: NetworkSpec) -> dict[str, float]:
        known = evaluator.costs(spec) | ({} if latency is None else {LATENCY: latency(spec)})
        return known | {name: cost(spec) for name, cost in own.items()}

    return costs
