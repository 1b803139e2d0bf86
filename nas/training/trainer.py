"""The trainer: one epoch at a time, so that schedulers can stop it and checkpoints can continue it."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nas.errors import TrialFailedError
from nas.training.batches import Batches
from nas.training.recipe import Recipe


def pick_device() -> torch.device:
    """The GPU that is visible to this process, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Trainer:
    """Trains a model by a recipe.

    All randomness of an epoch comes from (seed, epoch), so a trainer that continues from a
    checkpoint ends equal to one that was never interrupted.

    Args:
        model: on any device; it is moved to the batches'.
        batches: the data.
        recipe: how to train.
        seed: of order, augmentation, dropout and stochastic depth.
    """

    def __init__(self, model: nn.Module, batches: Batches, recipe: Recipe, seed: int = 0) -> None:
        self.recipe, self.batches, self.seed = recipe, batches, seed
        self.device = batches.device
        self.format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = model.to(device=self.device, memory_format=self.format)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.model, recipe)
        self.ema: AveragedModel | None = None
        if recipe.ema:
            average = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
            self.ema = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.precision = self._precision()
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision is torch.float16
        )  # float16 alone needs its loss scaled
        self.epoch = 0

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
            `epoch` (from 1), `accuracy` (held-out, a fraction), `held_out_loss`, `loss` (training),
            `lr` (at the end), `images_per_second` (training), `seconds`.

        Raises:
            TrialFailedError: the training diverged: a loss is NaN or infinite.
        """
        started = time.perf_counter()
        torch.manual_seed(_mix(self.seed, self.epoch))
        self.model.train()
        # summed on the device: reading the loss each step would wait for the device each step
        total = torch.zeros((), device=self.device)
        steps = self.batches.steps
        images_seen = 0
        for step, (images, labels) in enumerate(self.batches.train(_mix(self.seed, self.epoch))):
            rate = self.recipe.lr * lr_factor(self.recipe, self.epoch + step / steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            images = images.to(memory_format=self.format)
            with self._autocast():
                loss = F.cross_entropy(
                    self.model(images), labels, label_smoothing=self.recipe.label_smoothing
                )
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.ema is not None:
                self.ema.update_parameters(self.model)
            total += loss.detach()
            images_seen += len(labels)
        mean_loss = total.item() / (step + 1)
        trained = time.perf_counter()
        self.epoch += 1
        if not math.isfinite(mean_loss):
            raise TrialFailedError(f"diverged: training loss {mean_loss} in epoch {self.epoch}")
        scores = self.evaluate("held_out")
        if not math.isfinite(scores["loss"]):
            raise TrialFailedError(f"diverged: held-out loss {scores['loss']} in epoch {self.epoch}")
        return {
            "epoch": self.epoch,
            "accuracy": scores["accuracy"],
            "held_out_loss": scores["loss"],
            "loss": mean_loss,
            "lr": rate,
            "images_per_second": images_seen / (trained - started),
            "seconds": time.perf_counter() - started,
        }

    @torch.no_grad()
    def evaluate(self, split: str) -> dict[str, float]:
        """`accuracy` (a fraction) and mean `loss` on `held_out` or `test`, of the EMA if there is one."""
        model: nn.Module = self.model if self.ema is None else self.ema
        model.eval()
        correct = torch.zeros((), device=self.device)
        loss = torch.zeros((), device=self.device)
        count = 0
        for images, labels in self.batches.evaluation(split):
            with self._autocast():
                logits: Tensor = model(images.to(memory_format=self.format)).float()
            correct += (logits.argmax(1) == labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum")
            count += len(labels)
        return {"accuracy": correct.item() / count, "loss": loss.item() / count}

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the training goes on, for `torch.save`."""
        return {
            "epoch": self.epoch,
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
        self.epoch = state["epoch"]


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
    """The recipe's optimizer; weight decay on matrices and kernels only."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.lr, alpha=0.9, eps=1e-3, momentum=recipe.momentum)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    return torch.optim.AdamW(groups, recipe.lr, betas=(recipe.momentum, 0.999))
