"""The trainer: one epoch at a time, so that schedulers can stop it and checkpoints can continue it."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from nas.data.unreadable import SPLITS
from nas.errors import TrialFailedError
from nas.network.at_once import images_at_once
from nas.training.average import MovingAverage
from nas.training.batches import Batches
from nas.training.distillation import Teacher
from nas.training.graphed import GraphedStep
from nas.training.optimizer import freeze, least_images, lr_factor, make_optimizer
from nas.training.progressive import first_resolution, stage_of
from nas.training.recipe import Recipe
from search_spaces.errors import InputError


def pick_device() -> torch.device:
    """The GPU that is visible to this process, set up for trainings, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    # shapes stay the same, so the search for the fastest kernels pays; TF32 where single precision is left
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda")


def pick_precision(device: torch.device) -> torch.dtype | None:
    """What mixed precision computes in: bfloat16 where a GPU has it in hardware, else float16; None: no GPU.

    Torch itself says yes to bfloat16 on GPUs before compute capability 8.0, where it is emulated, and slow.
    """
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


class Trainer:
    """Trains a model by a recipe, alone or as one of several processes.

    All randomness of an epoch comes from (seed, epoch), so a trainer that continues from a
    checkpoint ends equal to one that was never interrupted.

    Args:
        model: on any device; it is moved to the batches'.
        batches: the data. Where they are one of several ranks', torch.distributed is initialised, and
            gradients are averaged over the images of all ranks (DDP); BN's statistics are each rank's own.
        recipe: how to train.
        seed: of order, augmentation, dropout and stochastic depth.
        frozen: how many parts of a `Network` keep their weights: 1 is the stem, then the stages. Their BN
            keeps its statistics too.
        teacher: whose outputs count in the loss beside the labels; None: there is none.

    Raises:
        InputError: more parts are to be frozen than there are before the head, or a step has too few images
            for batch normalisation.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        recipe: Recipe,
        seed: int = 0,
        frozen: int = 0,
        teacher: Teacher | None = None,
    ) -> None:
        self.recipe, self.batches, self.seed = recipe, batches, seed
        self.device = batches.device
        self.teacher = None if teacher is None else teacher.to(self.device)
        self.format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = model.to(device=self.device, memory_format=self.format)  # type: ignore[call-overload]
        self._frozen = freeze(self.model, frozen)
        smallest = first_resolution(recipe, batches.data.resolution) if recipe.stages > 1 else None
        self._least = least_images(self.model, frozen, smallest)
        spec = getattr(model, "spec", None)  # of other models a training step's batch is known to fit
        self._at_once = None if spec is None else images_at_once(spec, batches.data.resolution)
        self._check_parts()
        self.optimizer = make_optimizer(self.model, recipe)
        self.updates = 0
        self.ema = MovingAverage(self.model) if recipe.ema else None
        self.precision = pick_precision(self.device) if recipe.mixed_precision else None
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision is torch.float16
        )  # float16 alone needs its loss scaled
        self.epoch = 0
        self._forward: nn.Module = self.model
        if batches.ranks.size > 1:
            self._forward = self._joined()
            # counts are agreed on beside the device, which never has to be waited for
            group = distributed.new_group(backend="gloo")
            self._counting = cast("distributed.ProcessGroup", group)  # not one of those that it leaves out
        if recipe.compile:
            self._forward = torch.compile(self._forward)  # type: ignore[assignment]
        self._graphed = self._record()
        self._dropouts = {each: each.p for each in self.model.modules() if isinstance(each, nn.Dropout)}
        self._stage = stage_of(recipe, 0, batches.data.resolution)

    def _joined(self) -> nn.Module:
        """The model whose gradients are averaged over the ranks.

        BN's statistics are agreed on once an epoch (`_agree`), so no step sends them around.
        """
        return DistributedDataParallel(self.model, broadcast_buffers=False)

    def _enter_stage(self) -> None:
        """The images and the regularisation of the present epoch."""
        stage = stage_of(self.recipe, self.epoch, self.batches.data.resolution)
        self.batches.enter(stage)
        for module, rate in self._dropouts.items():
            module.p = rate * stage.strength
        if stage != self._stage:
            self._stage = stage
            self._graphed = self._record()  # the recorded one is of other images

    def _check_parts(self) -> None:
        ranks, recipe = self.batches.ranks, self.recipe
        whole = min(recipe.batch, len(self.batches.data.train))
        parts = [len(range(rank, whole, ranks.size)) for rank in range(ranks.size)]
        smallest = min(part for part in parts if part)
        if smallest < self._least:
            each = f", {smallest} in one of {ranks.size} processes" if ranks.size > 1 else ""
            raise InputError(
                f"batch {recipe.batch}: a step has {whole} image{'s' * (whole > 1)}{each}, and the network's "
                "last feature map is a single pixel: batch normalisation needs more than one value per "
                "channel; expected a larger batch, a higher resolution, or a smaller stem stride"
            )

    def _train_mode(self) -> None:
        self._forward.train()
        for module in self._frozen:
            module.eval()

    def _sum(self, *counts: int) -> list[int]:
        """Counts of all ranks together."""
        if self.batches.ranks.size == 1:
            return list(counts)
        sums = torch.tensor(counts)
        distributed.all_reduce(sums, group=self._counting)
        return [int(value) for value in sums]

    def _unreadable(self) -> dict[str, str]:
        """Files that no rank could read so far, with the reason; the same in all."""
        if self.batches.ranks.size == 1:
            return self.batches.unreadable
        found: list[dict[str, str]] = [{}] * self.batches.ranks.size
        distributed.all_gather_object(found, self.batches.unreadable, group=self._counting)
        return {path: reason for part in found for path, reason in part.items()}

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        # a cache of cast weights would outlive the recording of a step
        return torch.autocast(self.device.type, self.precision, cache_enabled=self._graphed is None)

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, then score the held-out images.

        Returns:
            `epoch` (from 1), `accuracy` and `top5` (held-out, fractions; see `evaluate`),
            `held_out_loss`, `held_out_images` (scored, of all ranks), `loss` (training), `lr` (at the end),
            `images_per_second` (training, of all ranks), `seconds`; `resolution` of its images in
            progressive learning; and `unreadable`, the image files left out so far, where there are some.

        Raises:
            TrialFailedError: the training diverged: a loss is NaN or infinite; or too many image files
                are unreadable.
        """
        started = time.perf_counter()
        ranks = self.batches.ranks
        torch.manual_seed(_mix(self.seed, self.epoch) + ranks.rank)
        self._enter_stage()
        self._train_mode()
        # summed on the device: reading the loss each step would wait for the device each step
        total = torch.zeros((), device=self.device)
        steps = self.batches.steps
        images_seen = done = 0
        rate = self.recipe.peak_lr * lr_factor(self.recipe, self.epoch)
        for step, (images, labels) in enumerate(self.batches.train(_mix(self.seed, self.epoch))):
            # unreadable files may leave a rank with too few images for a step, or with none
            own = len(labels) if len(labels) >= self._least else 0
            seen, lost = self._sum(own, self.batches.lost.get("train", 0))
            if ranks.size > 1:
                self.batches.check_unreadable("train", lost)
            if not seen:
                continue
            rate = self.recipe.peak_lr * lr_factor(self.recipe, self.epoch + step / steps)
            # DDP takes the mean over ranks; wanted is the mean over images
            self.step(images[:own], labels[:own], rate, total, own * ranks.size / seen)
            images_seen += seen
            done += 1
        if not done:
            raise TrialFailedError(f"data set {self.batches.data.name!r}: no training image can be read")
        if ranks.size > 1:
            self._agree(total)
        mean_loss = total.item() / done
        trained = time.perf_counter()
        self.epoch += 1
        if not math.isfinite(mean_loss):
            raise TrialFailedError(f"diverged: training loss {mean_loss} in epoch {self.epoch}")
        row: dict[str, float] = {"epoch": self.epoch, "loss": mean_loss, "lr": rate}
        scores = self.evaluate("held_out")
        if not math.isfinite(scores["loss"]):
            raise TrialFailedError(f"diverged: held-out loss {scores['loss']} in epoch {self.epoch}")
        row |= {name: scores[name] for name in ("accuracy", "top5") if name in scores}
        row |= {"held_out_loss": scores["loss"], "held_out_images": scores["images"]}
        row["images_per_second"] = images_seen / (trained - started)
        row["seconds"] = time.perf_counter() - started
        if self.recipe.stages > 1:
            row["resolution"] = self._stage.resolution
        if unreadable := self._unreadable():
            row["unreadable"] = len(unreadable)
        return row

    def _agree(self, total: Tensor) -> None:
        """The mean loss of all ranks, and rank 0's BN statistics in all, so that they judge alike."""
        distributed.all_reduce(total)
        total /= self.batches.ranks.size
        for module in (self.model, *([] if self.ema is None else [self.ema.module])):
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def step(self, images: Tensor, labels: Tensor, rate: float, total: Tensor, share: float = 1.0) -> None:
        """One update of the weights; adds the loss to `total`.

        Args:
            images, labels: of this rank; none: it takes part with a gradient of zero.
            rate: learning rate.
            total: of the losses.
            share: this rank's weight in the mean over ranks, its images in parts of the average rank's.
        """
        self.optimizer.set_rate(rate)
        if len(labels) and self._graphed is not None:
            loss = self._graphed(images, labels)
        else:
            loss = self._loss(images, labels) if len(labels) else self._nothing()
            if share != 1 and len(labels):
                loss = loss * share
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimizer)  # type: ignore[arg-type]  # asks for groups and step() alone
            self.scaler.update()
        self.updates += 1
        if self.ema is not None:
            # with the warm-up of TensorFlow's moving average
            self.ema.update(self.model, min(self.recipe.ema, (1 + self.updates) / (10 + self.updates)))
        total += loss.detach()

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        images = images.to(memory_format=self.format)
        with self._autocast():
            logits = self._forward(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
            if self.teacher is None:
                return loss
            share = self.recipe.distillation
            return (1 - share) * loss + share * self.teacher.distance(images, logits)

    def _record(self) -> GraphedStep | None:
        """Steps as a CUDA graph, where one can be made of them."""
        # processes wait for each other, a compiled model has its own, float16 looks at each step's gradients
        alone = self.batches.ranks.size == 1 and not self.recipe.compile
        if self.device.type != "cuda" or not alone or self.precision is torch.float16:
            return None
        self.optimizer.rates_on_device()
        return GraphedStep(self._loss, self.optimizer)

    def _nothing(self) -> Tensor:
        """A loss of zero that depends on every weight; BN's statistics don't learn of it."""
        data = self.batches.data
        blank = torch.zeros(1, data.in_channels, data.resolution, data.resolution, device=self.device)
        self._forward.eval()
        with self._autocast():
            loss: Tensor = self._forward(blank.to(memory_format=self.format)).sum() * 0
        self._train_mode()
        return loss

    @torch.no_grad()
    def evaluate(self, split: str, confusion: Tensor | None = None) -> dict[str, float]:
        """Scores on `held_out` or `test`, of the EMA if there is one; over all ranks.

        Args:
            split: which.
            confusion: int64 (classes, classes), true by predicted, to which the counts are added.

        Returns:
            of the images that could be read, in number `images`: `accuracy` and `top5` (fractions; the latter
            only of more than five classes, of which it says something), mean `loss`.

        Raises:
            TrialFailedError: too many images, or all, can't be read.
        """
        model: nn.Module = self.model if self.ema is None else self.ema
        model.eval()
        sums = torch.zeros(4, device=self.device, dtype=torch.float64)
        for images, labels in self.batches.evaluation(split, self._at_once):
            with self._autocast():
                logits: Tensor = model(images.to(memory_format=self.format)).float()
            classes = logits.shape[1]
            best = logits.topk(min(5, classes), 1).indices
            right = best == labels.unsqueeze(1)
            sums[0] += right[:, 0].sum()
            sums[1] += right.sum()
            sums[2] += F.cross_entropy(logits, labels, reduction="sum")
            sums[3] += len(labels)
            if confusion is not None:
                counts = torch.bincount(labels * classes + best[:, 0], minlength=classes * classes)
                confusion += counts.view(classes, classes).to(confusion.device)
        if self.batches.ranks.size > 1:
            self.batches.check_unreadable(split, *self._sum(self.batches.lost.get(split, 0)))
            distributed.all_reduce(sums)
            if confusion is not None:
                distributed.all_reduce(confusion)
        correct, in_top5, loss, count = sums.tolist()
        if not count:
            raise TrialFailedError(
                f"data set {self.batches.data.name!r}: no {SPLITS[split]} image can be read"
            )
        scores = {"accuracy": correct / count, "loss": loss / count, "images": count}
        return scores | ({"top5": in_top5 / count} if self.batches.data.num_classes > 5 else {})

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the training goes on, for `torch.save`."""
        return {
            "epoch": self.epoch,
            "updates": self.updates,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, with the same recipe, data and seed."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.epoch, self.updates = int(state["epoch"]), int(state["updates"])
        self._graphed = self._record()  # the recorded one is of the former state

    def misfit(self) -> str | None:
        """What of the optimizer's state has another shape than its weight, at which torch doesn't look."""
        for weight, kept in self.optimizer.state.items():
            for name, value in kept.items():
                if isinstance(value, Tensor) and value.ndim and value.shape != weight.shape:
                    return f"{name} is {tuple(value.shape)}, expected {tuple(weight.shape)}"
        return None


def _mix(seed: int, epoch: int) -> int:
    """Another 31-bit seed for every epoch."""
    return (seed * 1_000_003 + epoch * 7919 + 1) % (1 << 31)
