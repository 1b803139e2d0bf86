"""From the command to the first result, and the driver's memory: what a search costs before it trains.

    python benchmarks/start_up.py [--against CHECKOUT] [REPEATS]

Runs `nas search` on digits, two trials of one epoch, REPEATS times (5), and prints the seconds until Ray is
there and until the first trial has ended, its training included, and the driver's largest resident memory.
`--against` names another checkout, with the version to compare with: the two take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.parent
OPTIONS = ["search", "--data", "digits", "--trials", "2", "--concurrent", "2"]
OPTIONS += ["--epochs", "1", "--target", "2M"]
MARKS = {"Ray is there": "scored on", "first result": "[1/2]"}


def run_once(checkout: Path) -> dict[str, float]:
    """Seconds to each mark and to the end, and the driver's memory in MB."""
    seen = {}
    with tempfile.TemporaryDirectory() as folder:
        entry = [sys.executable, "-c", "from nas.cli import main; main()"]
        command = [*entry, *OPTIONS, "--out", f"{folder}/run"]
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            for mark, text in MARKS.items():
                if text in line:
                    seen.setdefault(mark, time.perf_counter() - began)
            if (status := Path(f"/proc/{process.pid}/status")).exists():
                peak = [row.split()[1] for row in status.read_text().splitlines() if row.startswith("VmHWM")]
                seen |= {"driver's memory": int(peak[0]) / 1024} if peak else {}
        if process.wait():
            raise SystemExit(f"{checkout}: exit code {process.returncode}")
        return seen | {"end": time.perf_counter() - began}


def main() -> None:
    """Print a line for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("repeats", nargs="?", type=int, default=5)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    checkouts = [HERE, *([arguments.against.resolve()] if arguments.against else [])]
    runs: dict[Path, list[dict[str, float]]] = {checkout: [] for checkout in checkouts}
    for _ in range(arguments.repeats):
        for checkout in checkouts:
            runs[checkout].append(run_once(checkout))
    for checkout, rows in runs.items():
        medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        print(f"{checkout}: median (and least) of {len(rows)}")
        for name, value in medians.items():
            unit = "MB" if name == "driver's memory" else "s"
            print(f"  {name:16} {value:6.1f} {unit} ({min(row[name] for row in rows):.1f})")


if __name__ == "__main__":
    main()
