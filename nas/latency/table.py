"""A device's latency table: what each part takes, and so what a whole network will take.

A look-up table of measured operations as in ProxylessNAS (Cai et al. 2019, appendix B) and FBNet (Wu et
al. 2019, section 3.3). The sum over the parts is mapped to the network's latency by a line, fitted on a
few measured networks: parts on their own differ a little from parts in a network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.latency.parts import Part, group_parts, parts, space_parts
from nas.latency.setting import Setting
from search_spaces.architecture import Architecture
from search_spaces.decision import Decision
from search_spaces.document import check_fields, check_schema, write_atomically
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.parsing import parse_json
from search_spaces.reading import read_regular
from search_spaces.spec import NetworkSpec
from search_spaces.together import HEAD, STEM

SCHEMA_VERSION = 1
_LONGEST = 16 << 20
"""Bytes of a table; one of three thousand parts has half a megabyte."""
LATENCY = "latency"
"""Name of the cost."""


@dataclass(frozen=True)
class LatencyTable:
    """Predicts the latency of networks whose parts were measured.

    Attributes:
        setting: how they were measured.
        entries: milliseconds by a part's key.
        offset, slope, per_part: latency = offset + slope x the sum over the parts + per_part x their number:
            a part on its own is also called, and takes its images in and out, on its own.
        about: the space, and how good the predictions were (`nas.latency.build_table`).
    """

    setting: Setting
    entries: Mapping[str, float]
    offset: float = 0.0
    slope: float = 1.0
    per_part: float = 0.0
    about: Mapping[str, Any] = field(default_factory=dict)
    _cache: dict[tuple[str, tuple[Decision, ...]], dict[tuple[int, int], tuple[float, int]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def total(self, spec: NetworkSpec) -> float:
        """The sum over the parts, milliseconds; raises `InputError` where a part was not measured."""
        return self._sum(spec, parts(spec))[0]

    def check(self, space: StagedSpace | ListedSpace) -> None:
        """Raise `InputError` unless every part of the space was measured."""
        missing = [part.key for part in space_parts(space) if part.key not in self.entries]
        if missing:
            raise InputError(
                f"latency table: {len(missing)} parts of space {space.name!r} are not in it, e.g. "
                f"{missing[0]!r}: it was made for space {self.about.get('space')!r}"
            )

    def _sum(self, spec: NetworkSpec, group: Sequence[Part]) -> tuple[float, int]:
        """Milliseconds of the parts together, and their number."""
        total = 0.0
        for part in group:
            if part.key not in self.entries:
                raise InputError(
                    f"network {spec.name!r}: the latency table has no {part.key!r}: it was made for space "
                    f"{self.about.get('space')!r}"
                )
            total += self.entries[part.key]
        return total, len(group)

    def __call__(self, spec: NetworkSpec) -> float:
        """The predicted latency of one batch, milliseconds; raises `InputError` as `total` does."""
        return float(self._line(np.array([self._sum(spec, parts(spec))]))[0])

    def _line(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The latency of networks with these sums and numbers of parts, shape (n, 2)."""
        line = self.offset + self.slope * sums[:, 0] + self.per_part * sums[:, 1]
        # what was fitted to large networks may cross zero far below the smallest
        return np.asarray(np.maximum(line, 0.05 * self.slope * sums[:, 0]), dtype=np.float64)

    def predict(
        self, space: StagedSpace | ListedSpace, architectures: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The predicted latencies of many architectures at once.

        Args:
            space: theirs.
            architectures: choice indices, shape (n, decisions).

        Returns:
            milliseconds, shape (n,).
        """
        if isinstance(space, ListedSpace):
            return np.array([self(space.decode(Architecture(row))) for row in architectures.tolist()])
        decisions = space.decisions
        total = np.zeros((len(architectures), 2))
        cache = self._cache.setdefault((space.name, decisions), {})
        # a group of parts (stem, slots, head) depends on its own choices and the width before it alone
        groups = [(STEM,), *(tuple(slot.keys.values()) for slot in space.slots)]
        groups = [group if not n else (space.width_key(n - 1), *group) for n, group in enumerate(groups)]
        last = space.slots[-1].keys
        groups.append((HEAD, last["channels"], last["repeats"], space.width_key(len(space.slots) - 1)))
        for group, keys in enumerate(groups):
            places = [place for place in map(space.place, keys) if place is not None]
            columns = list(dict.fromkeys(position for position, _ in places))
            radix = np.cumprod([1, *(len(decisions[column].choices) for column in columns)])
            codes, first, inverse = np.unique(
                architectures[:, columns] @ radix[:-1], return_index=True, return_inverse=True
            )
            sums = np.empty((len(codes), 2))
            for place, (code, row) in enumerate(zip(codes.tolist(), first.tolist(), strict=True)):
                key = (group, code)
                if key not in cache:
                    choices = [0] * len(decisions)
                    for column in columns:
                        choices[column] = int(architectures[row, column])
                    cache[key] = self._sum(space.template, group_parts(space, group, choices))
                sums[place] = cache[key]
            total += sums[inverse.reshape(-1)]
        return self._line(total)

    def write(self, path: str) -> None:
        """Write the table as JSON; raises `InputError` if that fails."""
        document = {
            "schema": SCHEMA_VERSION,
            "setting": asdict(self.setting),
            "offset": self.offset,
            "slope": self.slope,
            "per_part": self.per_part,
            "about": dict(self.about),
            "entries": dict(self.entries),
        }
        write_atomically(path, json.dumps(document, indent=1) + "\n")

    @classmethod
    def read(cls, path: str) -> LatencyTable:
        """The table in a file.

        Raises:
            InputError: missing, unreadable or no latency table; names the file and the rule.
        """
        try:
            document = parse_json(read_regular(path, _LONGEST, "latency table"), str(path))
        except InputError as error:
            raise InputError(f"latency table {error}") from None
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"latency table {path}: {reason}") from None
        where = f"latency table {path}"
        known = check_fields(
            document, where, ("schema", "setting", "entries", "offset", "slope", "per_part"), ("about",)
        )
        check_schema(document, where, SCHEMA_VERSION)
        entries = known["entries"]
        if not isinstance(entries, dict) or not entries:
            raise InputError(f"{where}: entries: expected a mapping with at least one part")
        line = {name: known[name] for name in ("offset", "slope", "per_part")}
        for name, value in (*entries.items(), *line.items()):
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InputError(f"{where}: {name} {shown(value)}: expected a finite number")
            if name not in ("offset", "per_part") and value <= 0:
                raise InputError(f"{where}: {name} {shown(value)}: expected a positive number")
        setting = check_fields(known["setting"], f"{where}: setting", (), [f.name for f in fields(Setting)])
        about = known.get("about", {})
        if not isinstance(about, dict):
            raise InputError(f"{where}: about {shown(about)}: expected a mapping")
        try:
            return cls(Setting(**setting), entries, about=about, **line)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
