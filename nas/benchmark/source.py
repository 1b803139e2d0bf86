"""Which oracles a comparison is made on, by the names and files that a user gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nas.benchmark.floors import floors_line
from nas.benchmark.load import is_run_benchmark, load_surrogate
from nas.benchmark.oracle import Oracle, benchmark_oracle, run_oracle
from nas.benchmark.run_surrogate import describe_runs
from nas.benchmark.surrogate import FAMILIES
from nas.benchmark.synthetic import SYNTHETIC, synthetic_oracle
from nas.benchmark.table import parse_table_targets, read_table
from nas.network.analytic import check_cost_name
from search_spaces.errors import InputError, unknown
from search_spaces.quoting import printable


@dataclass(frozen=True)
class OracleSource:
    """Which oracle: small, as each process makes its own.

    Attributes:
        name: of the benchmark's surrogate, of a synthetic function, or the path of a table or of a benchmark
            that was made of runs.
        kind: `surrogate`, `synthetic` or `table`.
        data: of the benchmark, as `load_surrogate` takes it.
        target: of the benchmark's `benchmark_macs`.
        targets: of a table's costs, by name.
        exponent: of a table's reward; None: -0.07.
    """

    name: str
    kind: str = "surrogate"
    data: str | None = None
    target: str = "400M"
    targets: tuple[tuple[str, float], ...] = ()
    exponent: float | None = None

    @property
    def label(self) -> str:
        """What tables and pictures call it."""
        return Path(self.name).name if self.kind == "table" else self.name


@lru_cache(maxsize=32)
def make_oracle(source: OracleSource) -> Oracle:
    """The oracle of a source; raises `InputError` where there is none."""
    if source.kind == "table":
        targets = dict(source.targets)
        if is_run_benchmark(source.name):
            return run_oracle(source.name, targets, source.exponent)
        return read_table(source.name, list(targets)).oracle(targets, source.exponent)
    if source.kind == "synthetic":
        return synthetic_oracle(source.name)
    return benchmark_oracle(source.name, source.data, source.target)


def sources_of(
    families: Sequence[str],
    tables: Sequence[str],
    functions: Sequence[str],
    data: str | None,
    targets: Sequence[str],
    exponent: float | None,
    say: Callable[[str], None],
) -> list[OracleSource]:
    """What a user's words mean: the benchmark's surrogates where nothing else is named.

    Args:
        families: of surrogates.
        tables: paths.
        functions: names, `all` for each.
        data: of the benchmark.
        targets: `400M` of the surrogates, `COST=NUMBER` of the tables.
        exponent: of the tables' reward.
        say: told how each table was understood.

    Raises:
        InputError: an unknown name, or words that concern nothing that is compared.
    """
    for family in families:
        if family not in FAMILIES:
            raise unknown("surrogate", family, FAMILIES)
    if not (families or tables or functions):
        families = FAMILIES
    own = parse_table_targets([text for text in targets if tables and "=" in text])
    rest = [text for text in targets if not (tables and "=" in text)]
    if len(rest) > 1:
        raise InputError(f"target {rest[1]!r}: {rest[0]!r} is given already; of a table's costs: COST=NUMBER")
    for name, given, use in (
        ("target", rest[:1], families),
        ("benchmark-data", [data] if data else [], families),
        ("exponent", [] if exponent is None else [exponent], own),
    ):
        if given and not use:
            raise InputError(f"{name} {given[0]!r}: nothing that is compared here has use for it")
    found = [OracleSource(name, data=data, target=rest[0] if rest else "400M") for name in families]
    for family in families:
        if line := floors_line(load_surrogate(data).about, family):
            say(printable(line))
    for path in tables:
        if is_run_benchmark(path):
            for cost in own:
                check_cost_name(cost)
            say(printable(f"{path}: ") + describe_runs(load_surrogate(path).about))
        else:
            say(read_table(path, list(own)).describe())
        found.append(OracleSource(path, "table", targets=tuple(own.items()), exponent=exponent))
    names = [name for text in functions for name in (SYNTHETIC if text == "all" else [text])]
    return [*found, *(OracleSource(name, "synthetic") for name in names)]
