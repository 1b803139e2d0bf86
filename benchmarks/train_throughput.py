"""Training throughput on Fashion-MNIST at 32 px, side by side: ours, timm's loop, a bare loop.

    python benchmarks/train_throughput.py [ROUNDS]

The same network (EfficientNet-B0 at width .25, stem stride 1), batch (128), precision and optimizer. timm's
loop is that of its train.py with its default loader (4 processes, its default augmentation), in its default
memory format and in channels_last; the bare loop takes normalised floats from memory, without augmentation.
Each is warmed up; then they take turns, and the medians are compared.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch
from PIL import Image
from torch import nn

from nas.data.load import load_data
from nas.network.builder import build
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from nas.training.trainer import Trainer
from search_spaces import reference

BATCH, PIXELS, STEPS = 128, 32, 60
CPU = torch.device("cpu")


def network(channels_last: bool) -> nn.Module:
    spec = ProxyTask(PIXELS, 0.25, 1).apply(reference("efficientnet-b0"), 10, 1)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return build(spec, 0).to(memory_format=form)


class Turns:
    """Something that trains without end; each turn is so many steps of it, in images per second."""

    def __init__(self, steps) -> None:
        self.steps = steps
        self.turn()

    def turn(self) -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            next(self.steps)
        return STEPS * BATCH / (time.perf_counter() - began)


def ours(data, **changes):
    recipe = make_recipe("sgd", {"batch": BATCH, **changes})
    trainer = Trainer(network(True), Batches(data, recipe, CPU), recipe)
    trainer.model.train()
    total = torch.zeros(())
    epoch = 0
    while True:
        for images, labels in trainer.batches.train(epoch):
            trainer.step(images, labels, 0.05, total)
            yield
        epoch += 1


def bare(data):
    mean, std = (np.array(value, np.float32).reshape(1, -1, 1, 1) for value in (data.mean, data.std))
    images = torch.from_numpy((data.train.images / np.float32(255) - mean) / std)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.from_numpy(data.train.labels)
    model = network(True).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    while True:
        order = torch.randperm(len(labels))
        for step in range(len(labels) // BATCH):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            loss = loss_of(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


class Pictures(torch.utils.data.Dataset):
    """As torchvision's FashionMNIST: an image object for each access."""

    def __init__(self, split) -> None:
        self.split, self.transform = split, None

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.split.images[index, 0], "L")), int(
            self.split.labels[index]
        )


def by_timm(data, channels_last: bool):
    from timm.data import create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter

    loader = create_loader(
        Pictures(data.train),
        input_size=(1, PIXELS, PIXELS),
        batch_size=BATCH,
        is_training=True,
        mean=data.mean,
        std=data.std,
        num_workers=4,
        use_prefetcher=False,
        device=CPU,
    )
    model = network(channels_last).train()
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.05, momentum=0.9, weight_decay=5e-4)
    loss_of, losses = LabelSmoothingCrossEntropy(0.1), AverageMeter()
    while True:
        for step, (images, labels) in enumerate(loader):
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            loss = loss_of(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 50 == 0:
                losses.update(loss.item(), len(labels))
            yield


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    data = load_data("fashion-mnist")
    stored, data = data, data.at(PIXELS)
    assert stored.resolution == 28
    kinds = {
        "ours (shift, flip)": Turns(ours(data, ema=0)),
        "ours (shift, flip, EMA)": Turns(ours(data)),
        "bare loop": Turns(bare(data)),
        "timm": Turns(by_timm(stored, channels_last=False)),
        "timm, channels_last": Turns(by_timm(stored, channels_last=True)),
    }
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            rates[name].append(kind.turn())
    first = next(iter(rates))
    base = statistics.median(rates[first])
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"{name:26}{middle:8.0f} images/s ({min(found):.0f}-{max(found):.0f})", end="")
        print("" if name == first else f"   ours / this: {base / middle:.2f}")


if __name__ == "__main__":
    main()
