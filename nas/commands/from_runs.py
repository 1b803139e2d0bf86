"""`nas benchmark`: a benchmark made of the journals of runs."""

from __future__ import annotations

from pathlib import Path

import click

from nas.commands.common import out, print_json, progress
from nas.commands.outputs import OutPath, Target, declare
from nas.network.cost_words import si
from nas.report.ranking_table import print_ranking
from nas.runs.folder import Run
from nas.studies.run_benchmark import RunTrainings, make_run_benchmark
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command

_SURROGATE, _TABLE = "benchmark of runs", "table of trainings"


@click.command("benchmark", epilog="Example: nas benchmark --from runs/first --out first.json")
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    metavar="RUN",
    help="A run folder; several of one space that were scored alike, which tell the seeds' noise.",
)
@click.option(
    "--out",
    "target",
    type=OutPath(),
    required=True,
    metavar="FILE",
    help="FILE.json: a surrogate that answers for the whole space; FILE.csv: the trainings as a table.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def benchmark_command(sources: tuple[str, ...], target: str, as_json: bool) -> None:
    """Make a benchmark of runs, to choose controllers and settings on before the next search is paid for.

    Prints how well it ranks networks that it hadn't seen, beside what ranks them for nothing.
    """
    ending = Path(target).suffix.lower()
    if ending not in (".json", ".csv"):
        raise InputError(f"out {target!r}: expected a name that ends in .json (surrogate) or .csv (table)")
    declare([Target(target, _SURROGATE if ending == ".json" else _TABLE)])
    if doubled := [source for source in sources if sources.count(source) > 1]:
        raise InputError(f"from {doubled[0]!r}: is given twice")
    trained = RunTrainings([Run.open(Path(source)) for source in sources])
    compare = shell_command("nas", "compare", "--table", target)
    if ending == ".csv":
        write_atomically(target, trained.table())
        lines = sum(map(len, trained.accuracies))
        if as_json:
            print_json({"written": target, "networks": len(trained.networks), "trainings": lines})
            return
        _say(f"wrote {target}: {lines} trainings of {len(trained.networks)} networks; use it: {compare}")
        return
    progress().print("fitting on four fifths, five times, to check on the rest", style="dim")
    made, sheet = make_run_benchmark(trained)
    made.write(Path(target))
    if as_json:
        print_json(
            {"written": target, "digest": made.digest, "about": made.about, "ranking": sheet.to_dict()}
        )
        return
    print_ranking(sheet, out())
    noise = made.about["noise"]
    _say(
        "one training of each network, so that its noise isn't known"
        if noise is None
        else f"two trainings of one network differ by a standard deviation of {noise:.2f} points (--noise)"
    )
    if trained.epochs > 1:
        kept = "" if trained.curves else " not (they are too many)"
        _say(f"the accuracies after each of {trained.epochs} epochs are{kept} in it")
    search = shell_command("nas", "search", "--evaluator", "benchmark", "--benchmark-data", target)
    _say(f"wrote {target}: {made.about['networks']} networks, {si(Path(target).stat().st_size)}B")
    _say(f"use it: {compare}\n        {search}")


def _say(text: str) -> None:
    out().print(text, highlight=False, soft_wrap=True)
