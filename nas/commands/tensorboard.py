"""`nas tensorboard`: look at a search."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from nas.commands.common import print_json
from nas.search.journal import read_records
from search_spaces.errors import InputError


@click.command(epilog="Example: nas tensorboard runs/")
@click.argument("folder", default="runs")
@click.option("--trial", "trials", type=int, multiple=True, help="Also the curves of this trial by epoch.")
@click.option("--port", type=int, default=6006, help="Default: 6006.")
@click.option("--host", default="127.0.0.1", help="Address to listen on. Default: this machine only.")
@click.option("--json", "as_json", is_flag=True, help="First print where it will be as one JSON document.")
def tensorboard(folder: str, trials: tuple[int, ...], port: int, host: str, as_json: bool) -> None:
    """Start TensorBoard on a run folder, or on a folder of them."""
    if not Path(folder).is_dir():
        raise InputError(f"folder {folder!r}: no such folder")
    if not 0 <= port < 1 << 16:
        raise InputError(f"port {port}: expected 0 to 65535")
    if trials:
        from nas.report.tensorboard import write_trial_curves

        records = {record.trial: record for record in read_records(Path(folder))}
        for trial in trials:
            if trial not in records:
                raise InputError(f"trial {trial}: not among the {len(records)} ended trials of {folder}")
        write_trial_curves(Path(folder), [records[trial] for trial in trials])
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={folder}", f"--host={host}"]
    command += ["--port", str(port)]
    if as_json:
        # port 0 is any free one, which TensorBoard tells on stderr
        print_json({"folder": folder, "url": f"http://{host}:{port}/" if port else None, "command": command})
        sys.stdout.flush()
    sys.exit(subprocess.call(command))
