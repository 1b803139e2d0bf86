"""Batches of a split, ready on the device: augmented for training, plain for evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nas.training.augment import normalise, random_flip, random_shift
from nas.training.data import ArraySplit, DataSet, FileSplit, Split
from nas.training.recipe import Recipe

_EVALUATION_BATCH = 500


class Batches:
    """The batches of a data set on one device.

    Images in memory are copied to the device once (on the CPU they stay where they are, shared by
    all processes); files are decoded by `workers` processes.

    Args:
        data: at the resolution to train at.
        recipe: batch size, shifts and flips.
        device: where the batches are wanted.
        workers: decoding processes, for files only.
    """

    def __init__(self, data: DataSet, recipe: Recipe, device: torch.device, workers: int = 1) -> None:
        self.data, self.recipe, self.device, self.workers = data, recipe, device, workers
        self.mean = torch.tensor(data.mean, device=device)
        self.std = torch.tensor(data.std, device=device)
        self._on_device: dict[str, tuple[Tensor, Tensor]] = {}

    def train(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training split in an order given by `seed`: (images, labels).

        Images are floats (batch, C, H, W). An incomplete last batch is left out, unless it is the only
        one: BN's statistics of a few images would disturb.
        """
        generator = torch.Generator().manual_seed(seed)
        pixels = round(self.recipe.shift * self.data.resolution)
        for images, labels in self._raw_train(generator):
            images = random_shift(images, pixels, generator)
            if self.recipe.flip and self.data.flips:
                images = random_flip(images, generator)
            yield normalise(images, self.mean, self.std), labels

    def evaluation(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """All of `held_out` or `test` in order: (images, labels)."""
        part: Split = getattr(self.data, split)
        if isinstance(part, FileSplit):
            raw: Iterator[tuple[Tensor, Tensor]] = self._decode(part, train=False, seed=0)
        else:
            images, labels = self._arrays(split, part)
            size = _EVALUATION_BATCH
            raw = zip(torch.split(images, size), torch.split(labels, size), strict=True)
        for batch, labels in raw:
            yield normalise(batch, self.mean, self.std), labels

    @property
    def steps(self) -> int:
        """Training batches in one epoch."""
        return max(1, len(self.data.train) // self.recipe.batch)

    def _raw_train(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        part = self.data.train
        if isinstance(part, FileSplit):
            seed = int(torch.randint(1 << 31, (), generator=generator))
            yield from self._decode(part, train=True, seed=seed)
            return
        images, labels = self._arrays("train", part)
        order = torch.randperm(len(part), generator=generator).to(self.device)
        for step in range(self.steps):
            chosen = order[step * self.recipe.batch : (step + 1) * self.recipe.batch]
            yield images[chosen], labels[chosen]

    def _arrays(self, name: str, split: ArraySplit) -> tuple[Tensor, Tensor]:
        if name not in self._on_device:
            with warnings.catch_warnings():
                # arrays out of Ray's object store are read-only; nothing here writes to them
                warnings.filterwarnings("ignore", message=".*not writable.*")
                images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
            self._on_device[name] = images.to(self.device), labels.to(self.device)
        return self._on_device[name]

    def _decode(self, split: FileSplit, train: bool, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(
            _Decoded(split, self.data.resolution, train),
            batch_size=self.recipe.batch,
            shuffle=train,
            drop_last=train and len(split) >= self.recipe.batch,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator().manual_seed(seed),
        )
        for images, labels in loader:
            yield (
                images.to(self.device, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )


class _Decoded(Dataset[tuple[Tensor, int]]):
    """Files as uint8 tensors: a random resized crop for training, the centre for evaluation."""

    def __init__(self, split: FileSplit, resolution: int, train: bool) -> None:
        from torchvision.transforms import v2

        self.split = split
        if train:
            crop = [v2.RandomResizedCrop(resolution, antialias=True)]
        else:
            # 224 of 256, the usual share of the image
            crop = [v2.Resize(round(resolution * 256 / 224), antialias=True), v2.CenterCrop(resolution)]
        self.transform = v2.Compose([v2.ToImage(), *crop, v2.ToDtype(torch.uint8, scale=True)])

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from torchvision.datasets.folder import default_loader

        image = self.transform(default_loader(self.split.paths[index]))
        return image, self.split.labels[index]
