"""What a search prints when it has ended, and whom it tells."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.commands.common import out, print_json, progress
from nas.commands.on_end import told_at_the_end
from nas.commands.show import run_document, show_run
from nas.runs.folder import BEST, Run
from nas.runs.scored_on import read_scored
from search_spaces.quoting import shell_command


def report_search(work: Callable[[], Run], folder: str, as_json: bool, on_end: str | None) -> None:
    """Do it and print the run, or how it goes on; `on_end` is a command, as `told_at_the_end` takes it."""
    done: list[Run] = []
    with told_at_the_end(on_end, {"run": folder}, lambda: run_document(done[0])):
        done.append(_run(work, folder, as_json))


def _run(work: Callable[[], Run], folder: str, as_json: bool) -> Run:
    from nas.commands.scaling import report_scaling

    try:
        run: Run = work()
    except KeyboardInterrupt:
        begun = "what had ended is kept, and running trials go on from their last epoch. Continue with: "
        progress().print(
            f"\ninterrupted; {begun}{shell_command('nas', 'resume', Path(folder))}"
            if Run.is_run(Path(folder))
            else "\ninterrupted before the search began: nothing was kept",
            soft_wrap=True,
            highlight=False,
        )
        sys.exit(130)
    if as_json:
        report_scaling(run, quiet=True)
        print_json(run_document(run))
        return run
    show_run(run)
    report_scaling(run)
    out().print(
        f"\nbest network: {run.folder / BEST}\n"
        f"curves:       {shell_command('nas', 'tensorboard', run.folder)}",
        highlight=False,
        soft_wrap=True,
    )
    return run


def remind(command: list[str]) -> None:
    """Of a plan's command that searched, say at the end of all once more what its accuracies can't tell."""
    if command[0] != "search":
        return
    run = Run.open(Path(command[command.index("--out") + 1]))
    scored = run.results(run.records()).scored
    for remark in read_scored(run.folder).remarks([record.accuracy for record in scored]):
        out().print(f"mind of the search: {remark}", style="yellow", highlight=False, soft_wrap=True)


def start_document(place: Path, commands: list[list[str]]) -> dict[str, Any]:
    """What a `nas start` has made, for programs."""
    made = [command[command.index("--out") + 1] for command in commands[1:]]
    found = [path for path in made if Path(path).exists()]
    return {"search": run_document(Run.open(place / "search")), "made": found}
