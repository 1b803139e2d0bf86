"""Reading photographs for a training, side by side: our batches, timm's loader, torchvision's.

    python benchmarks/loaders.py FOLDER [ROUNDS] [PROCESSES]

FOLDER has train/CLASS/IMAGE; its photographs are read at 64 px, and 1,000 of them, enlarged to JPEGs of
500 x 375 px with some grain (about 65 kB each) in a temporary folder, at 224 px. All three give batches of 64
normalised floats on the CPU: a random resized crop (8% to all of the image, bilinear), half of them mirrored.
They take turns; the medians are compared, of images for each second of CPU time, where one process does all,
and of images a second with so many decoding processes (2), an epoch each turn after one to warm up.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nas.data.load import load_data
from nas.training.batches import Batches
from nas.training.presets import make_recipe

BATCH = 64
LARGE, SIZE = 1000, (500, 375)
CPU = torch.device("cpu")

Epoch = Callable[[], Iterator[torch.Tensor]]


def ours(folder: str, pixels: int, processes: int) -> Epoch:
    recipe = make_recipe("sgd", {"batch": BATCH, "shift": 0})
    batches = Batches(load_data(f"imagefolder:{folder}").at(pixels), recipe, CPU, processes)
    seeds = iter(range(1 << 31))
    return lambda: (images for images, _ in batches.train(next(seeds)))


def by_timm(folder: str, pixels: int, processes: int) -> Epoch:
    from timm.data import ImageDataset, create_loader

    loader = create_loader(
        ImageDataset(str(Path(folder) / "train")),
        input_size=(3, pixels, pixels),
        batch_size=BATCH,
        is_training=True,
        color_jitter=None,
        interpolation="bilinear",
        num_workers=processes,
        persistent_workers=processes > 0,
        device=CPU,
    )
    return lambda: (images for images, _ in loader)


def by_torchvision(folder: str, pixels: int, processes: int) -> Epoch:
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [
        transforms.RandomResizedCrop(pixels),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
    loader = DataLoader(
        ImageFolder(str(Path(folder) / "train"), transforms.Compose(steps)),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=processes,
        persistent_workers=processes > 0,
    )
    return lambda: (images for images, _ in loader)


class Turns:
    """A loader; each turn is an epoch of it."""

    def __init__(self, epoch: Epoch, clock: Callable[[], float], most: int) -> None:
        self.epoch, self.clock, self.most = epoch, clock, most
        self.found: list[float] = []

    def turn(self) -> None:
        began, count = self.clock(), 0
        for images in self.epoch():
            assert images.dtype == torch.float32
            count += len(images)
            if count >= self.most:
                break
        self.found.append(count / (self.clock() - began))


MAKERS = {"ours": ours, "timm": by_timm, "torchvision": by_torchvision}


def enlarged(folder: Path, place: Path) -> None:
    """Photographs of the size and weight that cameras and ImageNet have, in the same classes."""
    files = sorted(path for path in (folder / "train").rglob("*") if path.is_file())
    for number, path in enumerate(random.Random(0).sample(files, min(LARGE, len(files)))):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), np.float32)
        grain = np.random.default_rng(number).normal(0, 8, (*pixels.shape[:2], 1))
        target = place / path.relative_to(folder).with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(target, quality=90)


def compare(folder: str, pixels: int, rounds: int, processes: int) -> None:
    # in one process an epoch need not be whole: nothing is read ahead
    clock, most = (time.perf_counter, 1 << 62) if processes else (time.process_time, 640)
    kinds = {name: Turns(make(folder, pixels, processes), clock, most) for name, make in MAKERS.items()}
    for _ in range(rounds + 1):
        for kind in kinds.values():
            kind.turn()
    base = statistics.median(kinds["ours"].found[1:])
    unit = f"images/s by {processes} processes" if processes else "images a CPU second"
    print(f"{pixels} px:")
    for name, kind in kinds.items():
        found = kind.found[1:]
        middle = statistics.median(found)
        ratio = "" if name == "ours" else f"   ours / this: {base / middle:.2f}"
        print(f"  {name:12}{middle:7.0f} {unit} ({min(found):.0f}-{max(found):.0f}){ratio}", flush=True)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        enlarged(Path(sys.argv[1]), Path(place))
        for count in (0, processes):
            compare(sys.argv[1], 64, rounds, count)
            compare(place, 224, rounds, count)


if __name__ == "__main__":
    main()
