"""Memory of the data set with several trials on one node: held once, or once for each?

    python benchmarks/shared_data.py [TRIALS]

Starts Ray, puts an evaluator with Fashion-MNIST at 128 px (1.1 GB) into the object store as a search does,
and lets 4 trials at once read all of it. Meanwhile the proportional set size (PSS, which divides shared pages
among those who share them) of all their processes, the driver and the store is added up. The same with a
fiftieth of the data is taken off: what remains is the data.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from itertools import chain, count, islice
from pathlib import Path

import torch

from nas.cluster.nodes import Resources, connect
from nas.cluster.tune import run_on_ray, share
from nas.data.load import load_data
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.search.evaluator import Evaluation
from nas.search.journal import Journal
from nas.search.train_evaluator import TrainEvaluator
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask

SECONDS, PIXELS, BATCHES = 12, 128, 500


class Reader(TrainEvaluator):
    """Reads all images as a training does, then waits to be looked at, with a mark that it does."""

    checkpoints = False
    marks = Path()

    def start(self, spec, seed):
        return _Reading(Batches(self.data, self.recipe, torch.device("cpu")), self.marks)


class _Reading(Evaluation):
    def __init__(self, batches: Batches, marks: Path) -> None:
        self.batches, self.marks, self.done = batches, marks, False

    def __next__(self):
        # as many batches of much data as of little, so that the working memory is the same
        passes = chain.from_iterable(self.batches.train(epoch) for epoch in count())
        for images, _ in islice(passes, BATCHES):
            images.sum()
        self.batches.data.held_out.images.ravel()[::512].sum()  # its pages
        mark = self.marks / f"{os.getpid()}"
        mark.touch()
        time.sleep(SECONDS)
        mark.unlink()
        self.done = True
        return {"epoch": 1, "accuracy": 0.5}

    @property
    def finished(self) -> bool:
        return self.done


def pss() -> int:
    """Bytes, of all processes of this user's that belong to Ray or to this script."""
    total = 0
    for place in Path("/proc").iterdir():
        try:
            command = (place / "cmdline").read_bytes()
            if place.name != str(os.getpid()) and b"ray" not in command:
                continue
            for line in (place / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += 1024 * int(line.split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return total


def measure(share_of_data: float, trials: int) -> tuple[int, int]:
    """(bytes of the data, the sum of PSS while all trials have read it and wait)."""
    settings = make_settings(trials=trials, controller="random")
    recipe = make_recipe("adamw", {"epochs": 1, "batch": 100})
    connect()
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "marks"
        marks.mkdir()
        data = load_data("fashion-mnist").subset(share_of_data).at(PIXELS)
        size = sum(s.images.nbytes + s.labels.nbytes for s in (data.train, data.held_out, data.test))
        reader = Reader(data, recipe, ProxyTask(PIXELS, 0.25))
        reader.marks = marks
        shared = share(reader)
        del data, reader
        run = Run.create(Path(folder) / "run", settings)
        over = threading.Event()
        seen: list[int] = []

        def watch() -> None:
            while not over.wait(0.5):
                if len(list(marks.iterdir())) == trials:
                    seen.append(pss())

        watcher = threading.Thread(target=watch)
        watcher.start()
        with Journal(run.folder) as journal:
            loop = run.loop(journal, trials, ())
            run_on_ray(loop, shared, run.folder, Resources(trials, 0.5, 0, False), disconnect=True)
        over.set()
        watcher.join()
    return size, int(statistics.median(seen))


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    small, large = (measure(share_of_data, trials) for share_of_data in (0.02, 1.0))
    data, more = (b - a for a, b in zip(small, large, strict=True))
    print(
        f"data set {data / 1e6:.0f} MB, {trials} trials at once: {more / 1e6:.0f} MB more in all processes,"
    )
    print(f"driver and store included: {more / data:.2f} times the data")


if __name__ == "__main__":
    main()
