"""What TensorBoard's events cost a search: time beside trials of a second, size and loading at 8000 trials.

python benchmarks/report_cost.py [TRIALS] [LARGE]
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from nas.report.tensorboard import TensorBoardWriter
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.search.journal import TRIALS, read_records
from nas.session import start_search

WORKERS = 2
PORT = 6189


class _Clock(TensorBoardWriter):
    """Adds up the time that it takes, and believes that each trial takes half a second of the search."""

    taken = 0.0

    def ended(self, record, replayed=False):
        self._began -= 1 / WORKERS
        began = time.perf_counter()
        super().ended(record, replayed)
        self.taken += time.perf_counter() - began

    def close(self):
        began = time.perf_counter()
        super().close()
        self.taken += time.perf_counter() - began


def writing(folder, trials):
    """Seconds of writing in a search of trials of one second, two at once, and all of its seconds."""
    run = Run.open(folder)
    records = read_records(folder)[:trials]
    began = time.perf_counter()
    writer = _Clock(run)
    opened = time.perf_counter() - began
    for record in records:
        writer.ended(replace(record, started=record.trial / WORKERS, seconds=1.0))
    writer.close()
    return opened + writer.taken, trials / WORKERS


def loading(folder):
    """Seconds from the start of a TensorBoard until it serves the last point of a curve and the table."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(PORT)]
    began = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    count = len(read_records(folder))
    try:
        while time.perf_counter() - began < 120:
            try:
                points = get("/data/plugin/scalars/scalars?tag=trial%2Freward&run=.&format=json")
                if points and points[-1][1] == count:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        curves = time.perf_counter() - began
        every = {"startIndex": 0, "sliceSize": 10, "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"]}
        rows = get("/data/plugin/hparams/session_groups", every | {"colParams": []})
        return curves, time.perf_counter() - began, rows["totalSize"]
    finally:
        server.terminate()
        server.wait()


def get(path, document=None):
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def main(trials=400, large=8000):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        settings = make_settings(
            space="accel-nasbench", evaluator="benchmark", controller="evolution", trials=large,
            targets={"benchmark_macs": "400M"},
        )  # fmt: skip
        start_search(settings, folder, Placement(), Console(quiet=True))
        size = sum(path.stat().st_size for path in folder.glob("events.out.*")) / 1e6
        curves, table, rows = loading(folder)
        journal = (folder / TRIALS).stat().st_size / 1e6
        print(
            f"{large} trials: journal {journal:.0f} MB, event files {size:.1f} MB; TensorBoard serves the "
            f"curves after {curves:.1f} s and the table of {rows} trials after {table:.1f} s"
        )
        for count in (100, trials):
            taken, whole = writing(folder, count)
            print(
                f"{count} trials of 1 s, {WORKERS} at once: writing takes {taken:.2f} s of {whole:.0f} s, "
                f"{100 * taken / whole:.2f}% (wanted: at most 2%)"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
