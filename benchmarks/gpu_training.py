"""Proxy training on a GPU: recorded steps (CUDA graphs) against steps one by one.

    python benchmarks/gpu_training.py [ROUNDS]

EfficientNet-B0 at width .25 on random 64 px images in the GPU's memory, batch 100, the default recipe; no
data are needed. The two ways take turns; medians of images per second and their ratio are printed.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

from nas.data.dataset import ArraySplit, DataSet
from nas.network.builder import build
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from nas.training.trainer import Trainer, pick_device
from search_spaces import reference

IMAGES, PIXELS = 4000, 64


def data() -> DataSet:
    rng = np.random.default_rng(0)

    def split(count: int) -> ArraySplit:
        images = rng.integers(0, 256, (count, 3, PIXELS, PIXELS), dtype=np.uint8)
        return ArraySplit(images, rng.integers(0, 10, count))

    colours = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return DataSet("random", split(IMAGES), split(500), split(1), 10, 3, PIXELS, *colours, True, "")


def trainer(batches: Batches, recipe, width: float, recorded: bool) -> Trainer:
    spec = recipe.adapt(ProxyTask(PIXELS, width, 2).apply(reference("efficientnet-b0"), 10, 3))
    made = Trainer(build(spec, 0), batches, recipe)
    if not recorded:
        made._graphed = None
    return made


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    device = pick_device()
    if device.type != "cuda":
        sys.exit("torch sees no GPU here")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for width in (0.25, 1.0):
        recipe = make_recipe("adamw", {"epochs": 10_000, "batch": 100})
        batches = Batches(data(), recipe, device)
        ways = {
            name: trainer(batches, recipe, width, name == "recorded") for name in ("recorded", "one by one")
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, one in ways.items():
                rate = one.run_epoch()["images_per_second"]
                if turn:  # the first one warms up
                    rates[name].append(rate)
        middle = {name: statistics.median(found) for name, found in rates.items()}
        for name, found in rates.items():
            spread = f"({min(found):,.0f}-{max(found):,.0f})"
            print(f"width {width:4g}, {name:11}{middle[name]:9,.0f} images/s {spread}")
        print(f"width {width:4g}, recorded / one by one: {middle['recorded'] / middle['one by one']:.2f}")
        used = torch.cuda.max_memory_allocated() / 2**20
        print(f"width {width:4g}, memory of both: {used:,.0f} MiB")
        del ways, batches
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
