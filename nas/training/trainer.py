"""The trainer: one epoch at a time, so that schedulers can stop it and checkpoints can continue it."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from nas.errors import TrialFailedError
from nas.network.builder import Network
from nas.training.batches import Batches
from nas.training.recipe import Recipe
from nas.training.rmsprop import RMSpropTF
from search_spaces.errors import InputError


def pick_device() -> torch.device:
    """The GPU that is visible to this process, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Trainer:
    """Trains a model by a recipe, alone or as one of several processes.

    All randomness of an epoch comes from (seed, epoch), so a trainer that continues from a
    checkpoint ends equal to one that was never interrupted.

    Args:
        model: on any device; it is moved to the batches'.
        batches: the data. Where they are one of several ranks', torch.distributed is initialised, and
            gradients are averaged over the ranks (DDP); BN's statistics are each rank's own.
        recipe: how to train.
        seed: of order, augmentation, dropout and stochastic depth.
        frozen: how many parts of a `Network` keep their weights: 1 is the stem, then the stages. Their BN
            keeps its statistics too.

    Raises:
        InputError: more parts are to be frozen than there are before the head.
    """

    def __init__(
        self, model: nn.Module, batches: Batches, recipe: Recipe, seed: int = 0, frozen: int = 0
    ) -> None:
        self.recipe, self.batches, self.seed = recipe, batches, seed
        self.device = batches.device
        self.format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = model.to(device=self.device, memory_format=self.format)  # type: ignore[call-overload]
        self._frozen = freeze(self.model, frozen)
        self.optimizer = make_optimizer(self.model, recipe)
        self.updates = 0
        self.ema: AveragedModel | None = None
        if recipe.ema:
            self.ema = AveragedModel(
                self.model,
                multi_avg_fn=self._average,  # type: ignore[arg-type]
                use_buffers=True,
            )
        self.precision = self._precision()
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision is torch.float16
        )  # float16 alone needs its loss scaled
        self.epoch = 0
        self._forward: nn.Module = self.model
        if batches.ranks.size > 1:
            self._forward = DistributedDataParallel(self.model)
        if recipe.compile:
            self._forward = torch.compile(self._forward)  # type: ignore[assignment]

    def _average(self, averages: list[Tensor], values: list[Tensor], count: object) -> None:
        decay = min(self.recipe.ema, (1 + self.updates) / (10 + self.updates))
        if torch.is_floating_point(averages[0]):
            torch._foreach_lerp_(averages, values, 1 - decay)
        else:  # BN's counter of batches
            torch._foreach_copy_(averages, values)

    def _precision(self) -> torch.dtype | None:
        if not self.recipe.mixed_precision or self.device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, then score the held-out images.

        Returns:
            `epoch` (from 1), `accuracy` and `top5` (held-out, fractions), `held_out_loss`, `loss`
            (training), `lr` (at the end), `images_per_second` (training, of all ranks), `seconds`; and
            `unreadable`, the image files left out so far, where there are some.

        Raises:
            TrialFailedError: the training diverged: a loss is NaN or infinite; or too many image files
                are unreadable.
        """
        started = time.perf_counter()
        ranks = self.batches.ranks
        torch.manual_seed(_mix(self.seed, self.epoch) + ranks.rank)
        self._forward.train()
        for module in self._frozen:
            module.eval()
        # summed on the device: reading the loss each step would wait for the device each step
        total = torch.zeros((), device=self.device)
        steps = self.batches.steps
        images_seen = done = 0
        rate = self.recipe.peak_lr * lr_factor(self.recipe, self.epoch)
        for step, (images, labels) in enumerate(self.batches.train(_mix(self.seed, self.epoch))):
            rate = self.recipe.peak_lr * lr_factor(self.recipe, self.epoch + step / steps)
            self.step(images, labels, rate, total)
            images_seen += len(labels) * ranks.size
            done += 1
        if ranks.size > 1:
            self._agree(total)
        mean_loss = total.item() / done if done else math.nan
        trained = time.perf_counter()
        self.epoch += 1
        if not math.isfinite(mean_loss):
            raise TrialFailedError(f"diverged: training loss {mean_loss} in epoch {self.epoch}")
        row: dict[str, float] = {"epoch": self.epoch, "loss": mean_loss, "lr": rate}
        scores = self.evaluate("held_out")
        if not math.isfinite(scores["loss"]):
            raise TrialFailedError(f"diverged: held-out loss {scores['loss']} in epoch {self.epoch}")
        row |= {"accuracy": scores["accuracy"], "top5": scores["top5"], "held_out_loss": scores["loss"]}
        row["images_per_second"] = images_seen / (trained - started)
        row["seconds"] = time.perf_counter() - started
        if self.batches.unreadable:
            row["unreadable"] = len(self.batches.unreadable)
        return row

    def _agree(self, total: Tensor) -> None:
        """The mean loss of all ranks, and rank 0's BN statistics in all, so that they judge alike."""
        distributed.all_reduce(total)
        total /= self.batches.ranks.size
        for module in (self.model, *([] if self.ema is None else [self.ema])):
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def step(self, images: Tensor, labels: Tensor, rate: float, total: Tensor) -> None:
        """One update of the weights; adds the loss to `total`."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        images = images.to(memory_format=self.format)
        with self._autocast():
            loss = F.cross_entropy(self._forward(images), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.updates += 1
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        total += loss.detach()

    @torch.no_grad()
    def evaluate(self, split: str, confusion: Tensor | None = None) -> dict[str, float]:
        """Scores on `held_out` or `test`, of the EMA if there is one; over all ranks.

        Args:
            split: which.
            confusion: int64 (classes, classes), true by predicted, to which the counts are added.

        Returns:
            `accuracy` and `top5` (fractions; the latter 1 with five classes or less), mean `loss`.
        """
        model: nn.Module = self.model if self.ema is None else self.ema
        model.eval()
        sums = torch.zeros(4, device=self.device, dtype=torch.float64)
        for images, labels in self.batches.evaluation(split):
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
            distributed.all_reduce(sums)
            if confusion is not None:
                distributed.all_reduce(confusion)
        correct, in_top5, loss, count = sums.tolist()
        if not count:
            raise TrialFailedError(f"no image of {split!r} can be read")
        return {"accuracy": correct / count, "top5": in_top5 / count, "loss": loss / count}

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
        self.epoch, self.updates = state["epoch"], state["updates"]


def _mix(seed: int, epoch: int) -> int:
    """Another 31-bit seed for every epoch."""
    return (seed * 1_000_003 + epoch * 7919 + 1) % (1 << 31)


def lr_factor(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment, as a share of its peak.

    Args:
        recipe: schedule and warm-up.
        epoch: epochs done, with the fraction of the running one.
    """
    warmup = min(recipe.warmup, recipe.epochs / 2)
    if epoch < warmup:
        return max(epoch, 1e-3) / warmup
    if recipe.schedule == "cosine":
        done = (epoch - warmup) / max(recipe.epochs - warmup, 1e-9)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if recipe.schedule == "exponential":
        return float(recipe.decay_rate ** ((epoch - warmup) // recipe.decay_epochs))
    return 1.0


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; weight decay on matrices and kernels only, frozen weights left out.

    Each group's `share` is its part of the learning rate (`layer_decay`).
    """
    groups = []
    for share, weights in _by_depth(model, recipe.layer_decay):
        trained = [p for p in weights if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        groups.append({"params": decayed, "weight_decay": recipe.weight_decay, "share": share})
        groups.append({"params": others, "weight_decay": 0.0, "share": share})
    groups = [group for group in groups if group["params"]]
    lr = recipe.peak_lr
    if recipe.optimizer == "rmsprop":
        return RMSpropTF(groups, lr, momentum=recipe.momentum)
    # one kernel for all weights of a group
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    return torch.optim.AdamW(groups, lr, betas=(recipe.momentum, 0.999), fused=True)


def _parts(model: nn.Module) -> list[nn.Module]:
    """Stem, stages and head of a `Network`; any other module as a whole."""
    if isinstance(model, Network):
        return [model.stem, *model.stages, model.head]
    return [model]


def _by_depth(model: nn.Module, decay: float) -> list[tuple[float, list[nn.Parameter]]]:
    """(share of the learning rate, weights) from the input to the head; all in one if they are the same."""
    if decay == 1:
        return [(1.0, list(model.parameters()))]
    parts = _parts(model)
    return [(decay ** (len(parts) - 1 - i), list(part.parameters())) for i, part in enumerate(parts)]


def freeze(model: nn.Module, count: int) -> list[nn.Module]:
    """Keep the weights of the first `count` parts (1: the stem, then the stages) as they are.

    Returns:
        the parts, to be kept in evaluation mode.

    Raises:
        InputError: `count` is no number of parts before the head.
    """
    parts = _parts(model)
    if not isinstance(count, int) or not 0 <= count < len(parts):
        raise InputError(f"freeze {count!r}: expected an integer from 0 to {len(parts) - 1}")
    for part in parts[:count]:
        part.requires_grad_(False)
    return parts[:count]
