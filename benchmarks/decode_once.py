"""An epoch of a search's trial on image files: decoded once and kept, beside decoded again each epoch.

    python benchmarks/decode_once.py FOLDER [ROUNDS] [THREADS]

FOLDER is one of class folders, with or without train/ and val/. A trial is EfficientNet-B0 at width .25,
64 px, stem stride 2, batch 50, by the default recipe, on a fifth of the images; on a GPU if there is one.
An epoch trains on all training images and scores all held-out ones. The streaming trial has the
one decoding process that a trial of two CPUs has. Both are warmed up by an epoch; then they take turns, and
the medians are compared: of whole epochs, and of the training images' input alone (read, cropped, flipped,
normalised).
"""

from __future__ import annotations

import statistics
import sys
import time

import torch

from nas.runs.train_settings import TrainSettings
from nas.training.batches import Batches
from nas.training.trainer import pick_device
from search_spaces import reference

PIXELS, WIDTH, SHARE = 64, 0.25, 0.2


class Turns:
    """A trial as a worker of a search has it, and its input without it."""

    def __init__(self, folder: str, cache: str, threads: int, epochs: int) -> None:
        settings = TrainSettings(
            f"imagefolder:{folder}",
            resolution=PIXELS,
            width=WIDTH,
            subset=SHARE,
            cache=cache,
            recipe_changes={"epochs": epochs},
        )
        evaluator = settings.make(say=print)
        self.training = evaluator.start(reference("efficientnet-b0"), 0)
        self.batches = Batches(evaluator.data, evaluator.recipe, pick_device(), evaluator.workers)
        self.epochs: list[float] = []
        self.passes: list[float] = []
        self.turn()

    def turn(self) -> None:
        began = time.perf_counter()
        row = next(self.training)
        self.epochs.append(time.perf_counter() - began)
        self.accuracy = row["accuracy"]
        began = time.perf_counter()
        count = sum(len(labels) for _, labels in self.batches.train(len(self.passes)))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.passes.append(count / (time.perf_counter() - began))


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    torch.set_num_threads(threads)
    kinds = {
        "kept": Turns(sys.argv[1], "on", threads, rounds + 1),
        "decoded each epoch": Turns(sys.argv[1], "off", threads, rounds + 1),
    }
    for _ in range(rounds):
        for kind in kinds.values():
            kind.turn()
    for name, kind in kinds.items():
        seconds, rates = kind.epochs[1:], kind.passes[1:]
        print(
            f"{name:20}{statistics.median(seconds):8.2f} s an epoch ({min(seconds):.2f}-{max(seconds):.2f}), "
            f"input alone {statistics.median(rates):6.0f} images/s ({min(rates):.0f}-{max(rates):.0f}), "
            f"held-out accuracy {kind.accuracy:.3f}"
        )
    kept, again = kinds.values()
    print(
        f"ratio of epochs {statistics.median(again.epochs[1:]) / statistics.median(kept.epochs[1:]):.2f}, "
        f"of the input {statistics.median(kept.passes[1:]) / statistics.median(again.passes[1:]):.2f}"
    )


if __name__ == "__main__":
    main()
