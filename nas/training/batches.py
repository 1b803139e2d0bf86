"""Batches of a split, ready on the device: augmented for training, plain for evaluation."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from nas.data.decoding import decode_file
from nas.data.load import ArraySplit, DataSet, FileSplit, Split
from nas.data.unreadable import MAX_UNREADABLE, SPLITS, allowed_unreadable
from nas.errors import TrialFailedError
from nas.training.augment import (
    AugmentPolicy,
    centre_crop,
    make_mixing,
    normalise,
    random_crop,
    random_erase,
    random_flip,
    random_shift,
)
from nas.training.gpu_memory import IMAGES_SHARE
from nas.training.gpu_share import memory_left
from nas.training.progressive import TrainingStage
from nas.training.recipe import Recipe
from search_spaces.errors import InputError

Sample = tuple[Tensor, int] | tuple[str, str]

_PREFETCH = 4
"""Batches that each decoding process has ready."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train one model together.

    Attributes:
        rank: from 0.
        size: processes.
    """

    rank: int = 0
    size: int = 1


def check_ranks(processes: int, batch: int) -> None:
    """Raise `InputError` for a number of processes that can't share a batch of so many images evenly."""
    if processes < 1:
        raise InputError(f"processes {processes}: expected an integer of at least 1")
    if batch % processes:
        raise InputError(
            f"processes {processes}: the batch of {batch} images is no multiple of it; change "
            "one of them (--set batch=...)"
        )


ALONE = Ranks()


class Batches:
    """The batches of a data set on one device.

    Images in memory are copied to the device once (on the CPU they stay where they are, shared by
    all processes; so they do on a GPU that they would fill). Of files that were decoded into larger squares
    (`DataSet.stored`) each epoch crops others; files on disk are decoded by `workers` processes that read
    ahead.

    Args:
        data: at the resolution to train at.
        recipe: batch size and augmentation.
        device: where the batches are wanted.
        workers: decoding processes, for files only; 0: this one.
        ranks: each process takes its part of every batch, and of an evaluation.

    Attributes:
        lost: files of a split that this process could not read in its present pass.
    """

    def __init__(
        self,
        data: DataSet,
        recipe: Recipe,
        device: torch.device,
        workers: int = 1,
        ranks: Ranks = ALONE,
    ) -> None:
        self.data, self.recipe, self.device = data, recipe, device
        self.workers, self.ranks = workers, ranks
        self.mean = torch.tensor(data.mean, device=device)
        self.std = torch.tensor(data.std, device=device)
        self._enter(TrainingStage(data.resolution, 1.0, recipe))
        self.lost: dict[str, int] = {}
        self._unreadable: dict[str, dict[str, str]] = {}
        self._on_device: dict[str, tuple[Tensor, Tensor]] = {}
        self._loaders: dict[str, tuple[DataLoader[Sample], _Order]] = {}

    def enter(self, stage: TrainingStage) -> None:
        """Train with this stage's images and augmentation from now on; evaluations stay as they are."""
        if stage != self.stage:
            self._enter(stage)
            self._loaders.pop("train", None)  # its processes have the policy of before

    def _enter(self, stage: TrainingStage) -> None:
        recipe, self.stage = stage.recipe, stage
        self.policy = None if recipe.augment == "none" else AugmentPolicy(recipe.augment, recipe.magnitude)
        self.mixing = make_mixing(recipe, self.data.num_classes)

    def train(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training split in an order given by `seed`: (images, labels).

        Images are floats (batch, C, H, W); labels are classes (batch,), or with mixup and CutMix their
        shares (batch, classes). An incomplete last batch is left out, unless it is the only one: BN's
        statistics of a few images would disturb. AugmentPolicy and mixing draw from torch's random state.
        There are `steps` batches in every rank; one whose files are all unreadable here is empty.
        """
        order = torch.Generator().manual_seed(seed)  # the same in all ranks
        generator = torch.Generator(self.device).manual_seed(seed + 1 + self.ranks.rank)
        pixels = round(self.recipe.shift * self.data.resolution)
        for images, labels in self._raw_train(order, generator):
            if not len(labels):
                yield images, labels
                continue
            images = random_shift(images, pixels, generator)
            if self.recipe.flip and self.data.flips:
                images = random_flip(images, generator)
            if self.policy is not None and isinstance(self.data.train, ArraySplit):
                images = self.policy(images)
            images = normalise(images, self.mean, self.std)
            if self.stage.resolution != images.shape[-1]:
                images = functional.interpolate(
                    images, size=(self.stage.resolution,) * 2, mode="bilinear", antialias=True
                )
            images = random_erase(images, self.stage.recipe.erase, generator)
            if self.mixing is not None:
                images, labels = self.mixing(images, labels)
            yield images, labels

    def evaluation(self, split: str, at_once: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All of `held_out` or `test` in order, or this process's part of it: (images, labels).

        What can't be read is left out, and so are batches of nothing else.

        Args:
            split: which.
            at_once: images of a batch in this process, at most; None: as many as in a training step.
        """
        part: Split = getattr(self.data, split)
        size = at_once or max(1, self.recipe.batch // self.ranks.size)
        if isinstance(part, FileSplit):
            raw: Iterator[tuple[Tensor, Tensor]] = self._decode(split, part, 0, size * self.ranks.size)
        else:
            images, labels = self._arrays(split, part)
            images, labels = (x[self.ranks.rank :: self.ranks.size] for x in (images, labels))
            raw = zip(torch.split(images, size), torch.split(labels, size), strict=True)
        for batch, labels in raw:
            if not len(labels):
                continue
            batch, labels = batch.to(self.device), labels.to(self.device)
            if self.data.stored is not None:
                batch = centre_crop(batch, self.data.resolution)
            yield normalise(batch, self.mean, self.std), labels

    @property
    def unreadable(self) -> dict[str, str]:
        """Files that this process could not read so far, with the reason."""
        return {path: reason for found in self._unreadable.values() for path, reason in found.items()}

    def check_unreadable(self, split: str, count: int) -> None:
        """Raise if so many unreadable files in one pass over a split, of all ranks, are too many.

        Raises:
            TrialFailedError: they are more than `allowed_unreadable`.
        """
        length = len(getattr(self.data, split))
        if count <= allowed_unreadable(length):
            return
        found = self._unreadable.get(split)
        example = "" if not found else ", e.g. {}: {}".format(*next(reversed(found.items())))
        raise TrialFailedError(
            f"data set {self.data.name!r}: {count} of the {length} {SPLITS[split]} images can't be read, "
            f"more than {MAX_UNREADABLE:.0%}{example}"
        )

    @property
    def steps(self) -> int:
        """Training batches in one epoch."""
        return max(1, len(self.data.train) // self.recipe.batch)

    def _raw_train(
        self, order_of: torch.Generator, crops: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images at the data's resolution; `crops` is on the device."""
        part = self.data.train
        if isinstance(part, FileSplit):
            seed = int(torch.randint(1 << 31, (), generator=order_of))
            yield from self._decode("train", part, seed, self.recipe.batch)
            return
        images, labels = self._arrays("train", part)
        order = torch.randperm(len(part), generator=order_of).to(images.device)
        side = images.shape[-1] if self.data.stored is None else self.data.resolution
        for step in range(self.steps):
            chosen = order[step * self.recipe.batch : (step + 1) * self.recipe.batch]
            chosen = chosen[self.ranks.rank :: self.ranks.size]
            if images.device.type == self.device.type:
                picked = random_crop(images, side, crops, chosen)
            else:
                picked = random_crop(images[chosen].to(self.device), side, crops)
            yield picked, labels[chosen].to(self.device)

    def _arrays(self, name: str, split: ArraySplit) -> tuple[Tensor, Tensor]:
        if name not in self._on_device:
            with warnings.catch_warnings():
                # arrays out of Ray's object store are read-only; nothing here writes to them
                warnings.filterwarnings("ignore", message=".*not writable.*")
                images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
            place = self.device if _has_room(self.device, images.nbytes) else images.device
            self._on_device[name] = images.to(place), labels.to(place)
        return self._on_device[name]

    def _decode(self, name: str, split: FileSplit, seed: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        if name not in self._loaders:
            self._loaders[name] = self._loader(name, split)
        loader, order = self._loaders[name]
        order.seed, order.batch = seed, batch  # another network may be evaluated now
        self.lost[name] = 0
        known = self._unreadable.setdefault(name, {})
        try:
            for images, labels, unreadable in loader:
                known |= unreadable
                self.lost[name] += len(unreadable)
                if self.ranks.size == 1:  # several judge together, or the others would wait for ever
                    self.check_unreadable(name, self.lost[name])
                yield (
                    images.to(self.device, non_blocking=True),
                    labels.to(self.device, non_blocking=True),
                )
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrialFailedError(
                f"data set {self.data.name!r}: one of the {self.workers} decoding processes was ended from "
                "outside (out of memory, most often): go on with fewer --workers"
            ) from None

    def _loader(self, name: str, split: FileSplit) -> tuple[DataLoader[Sample], _Order]:
        train = name == "train"
        order = _Order(len(split), train, self.ranks)
        files = _Decoded(split, self.data.resolution, self.policy if train else None, train)
        ahead = {"prefetch_factor": _PREFETCH, "persistent_workers": True} if self.workers else {}
        loader: DataLoader[Sample] = DataLoader(
            files,
            batch_sampler=order,  # type: ignore[arg-type]
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            collate_fn=_collate,
            # it draws seeds, in some epochs and not in others: not from the state that dropout draws from
            generator=torch.Generator(),
            **ahead,  # type: ignore[arg-type]
        )
        return loader, order


def _has_room(device: torch.device, size: int) -> bool:
    """Whether images of so many bytes leave a GPU, which trials may share, enough for the training."""
    return device.type != "cuda" or size <= IMAGES_SHARE * memory_left(device)


class _Order(Sampler[list[tuple[int, int]]]):
    """Batches of (index, seed): what is drawn for an image depends on the seed, not on who decodes it."""

    def __init__(self, length: int, train: bool, ranks: Ranks) -> None:
        self.length, self.train, self.ranks = length, train, ranks
        self.seed, self.batch = 0, 1  # of the present pass, the batch of all ranks together

    def __len__(self) -> int:
        whole = self.length // self.batch
        return max(1, whole) if self.train else -(-self.length // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(self.length, generator=generator) if self.train else torch.arange(self.length)
        seeds = torch.randint(1 << 31, (self.length,), generator=generator).tolist()
        for step in range(len(self)):
            chosen = order[step * self.batch : (step + 1) * self.batch].tolist()
            yield [(index, seeds[index]) for index in chosen[self.ranks.rank :: self.ranks.size]]


class _Decoded(Dataset[Sample]):
    """Files as (uint8 image, label), or (file, reason) where one is unreadable."""

    def __init__(self, split: FileSplit, resolution: int, policy: AugmentPolicy | None, train: bool) -> None:
        self.split, self.resolution, self.train = split, resolution, train
        self.policy = policy

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, items: list[tuple[int, int]]) -> list[Sample]:
        """A batch; torch's own state, which a policy draws from, is as before."""
        with torch.random.fork_rng(devices=[]) if self.policy is not None else nullcontext():
            return [self[item] for item in items]

    def __getitem__(self, item: tuple[int, int]) -> Sample:  # type: ignore[override]
        index, seed = item
        crops = random.Random(seed) if self.train else None
        read = decode_file(self.split, index, self.resolution, crops)
        if isinstance(read, str):
            return self.split.name(index), read
        image = torch.from_numpy(read)
        if self.policy is not None:
            torch.default_generator.manual_seed(seed)
            image = self.policy(image)
        return image, self.split.labels[index]


def _collate(samples: list[Sample]) -> tuple[Tensor, Tensor, dict[str, str]]:
    """The readable images and their labels, and the unreadable ones with the reason."""
    good = [(image, label) for image, label in samples if isinstance(image, Tensor)]
    bad = {str(name): str(reason) for name, reason in samples if isinstance(name, str)}
    if not good:
        return torch.empty(0), torch.empty(0, dtype=torch.int64), bad
    # channels last, as decoders write and networks read them: neither moves a pixel
    images = torch.stack([image.permute(1, 2, 0) for image, _ in good]).permute(0, 3, 1, 2)
    return images, torch.tensor([int(label) for _, label in good]), bad
