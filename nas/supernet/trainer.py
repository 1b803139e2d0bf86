"""The supernet's trainer: several of its networks in each step, the others learn from the largest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from nas.network.at_once import images_at_once
from nas.network.builder import Network
from nas.supernet.calibration import SubnetScorer
from nas.supernet.network import Supernet
from nas.supernet.sampling import PathSampler
from nas.training.batches import Batches
from nas.training.recipe import Recipe
from nas.training.trainer import Trainer
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError


class SupernetTrainer(Trainer):
    """Trains a supernet by a recipe, an epoch at a time.

    In each step the gradients of several networks' losses are averaged. The largest learns from the labels,
    the others from what the largest says of the same images (in-place distillation: Yu & Huang 2019,
    Universally Slimmable Networks, section 4.2), and it alone has dropout and stochastic depth (Yu et al.
    2020, BigNAS, section 3.1). Which networks those are follows from seed and epoch, as all that is random,
    so that a training that goes on from a checkpoint ends equal to one that was never interrupted.

    Of several processes each has a part of every batch, all train the same networks in a step, and the
    gradients of those parts that were used are averaged over the images.

    Args:
        model: on any device.
        batches: the data; where they are one of several ranks', torch.distributed is initialised.
        recipe: how to train.
        sampler: the networks of each step.
        seed: of everything random.
        distil: the smaller ones learn from the largest; else from the labels.

    Raises:
        InputError: the recipe has what a supernet can't, or a batch is too small.
    """

    def __init__(
        self,
        model: Supernet,
        batches: Batches,
        recipe: Recipe,
        sampler: PathSampler,
        seed: int = 0,
        distil: bool = True,
    ) -> None:
        check_recipe(recipe)
        self.supernet, self.sampler, self.distil = model, sampler, distil
        self._paths: Iterator[list[Architecture]] = iter(())
        # two networks an epoch are scored, so each process scores them whole
        alone = batches if batches.ranks.size == 1 else Batches(batches.data, recipe, batches.device)
        self._score = SubnetScorer(alone, recipe)
        super().__init__(model, batches, recipe, seed)
        self._at_once = images_at_once(model.path(sampler.largest).spec, batches.data.resolution)

    def _joined(self) -> nn.Module:
        """As it is: a step's networks use other parts each time, which are averaged in `step`."""
        return self.supernet

    def _check_parts(self) -> None:
        self._least = 2  # a network's last feature map may be a single pixel
        super()._check_parts()

    def _record(self) -> None:
        """Nothing: a step's networks are others each time."""

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, then score the largest and the smallest network on the held-out images.

        Returns:
            as `Trainer.run_epoch`, of the largest network; and `smallest_accuracy`, `smallest_loss`.
        """
        self._paths = self.sampler.epoch(self.seed, self.epoch)
        row = super().run_epoch()
        scores = self._score(self.trained(self.sampler.smallest))
        return row | {"smallest_accuracy": scores["accuracy"], "smallest_loss": scores["loss"]}

    def trained(self, architecture: Architecture) -> Network:
        """A network with its weights: the moving average's, where there is one."""
        whole = self.supernet if self.ema is None else self.ema.module
        assert isinstance(whole, Supernet)
        return whole.cut_out(architecture)

    def evaluate(self, split: str, confusion: Tensor | None = None) -> dict[str, float]:
        """Of the largest network, on `held_out`."""
        assert split == "held_out"
        assert confusion is None
        return self._score(self.trained(self.sampler.largest))

    def state_dict(self) -> dict[str, Any]:
        """As `Trainer.state_dict`, with the weights' names: the optimizer's state is in their order."""
        return super().state_dict() | {"weights": self._names()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `Trainer.load_state_dict`; raises ValueError where the weights stand in another order."""
        if state.get("weights", self._names()) != self._names():
            raise ValueError("its weights stand in another order")
        super().load_state_dict(state)

    def _names(self) -> list[str]:
        return [name for name, _ in self.model.named_parameters()]

    def step(self, images: Tensor, labels: Tensor, rate: float, total: Tensor, share: float = 1.0) -> None:
        """One update of the weights by the next networks; adds the largest one's loss to `total`.

        Args:
            images, labels: of this rank; none: it takes part with gradients of zero.
            rate, total, share: as `Trainer.step` takes them.
        """
        self.optimizer.set_rate(rate)
        self.optimizer.zero_grad()
        blank = not len(labels)
        if blank:
            share, images, labels = 0.0, self._blank(), labels.new_zeros(1)
            self._forward.eval()  # BN's statistics don't learn of it
        images = images.to(memory_format=self.format)
        paths = [self.supernet.path(architecture) for architecture in next(self._paths)]
        targets = labels
        for index, path in enumerate(paths):
            with self._autocast():
                logits: Tensor = self._forward(images, path, drops=not index and not blank).float()
                smoothing = self.recipe.label_smoothing if targets is labels else 0.0
                loss = share * F.cross_entropy(logits, targets, label_smoothing=smoothing)
            self.scaler.scale(loss / len(paths)).backward()  # type: ignore[no-untyped-call]
            if not index:
                total += loss.detach()
                targets = logits.detach().softmax(1) if self.distil else labels
        if blank:
            self._train_mode()
        if self.batches.ranks.size > 1:
            self._average()
        self.scaler.step(self.optimizer)  # type: ignore[arg-type]
        self.scaler.update()
        self.updates += 1
        if self.ema is not None:
            self.ema.update(self.model, min(self.recipe.ema, (1 + self.updates) / (10 + self.updates)))

    def _average(self) -> None:
        """The gradients' mean over the ranks, of the weights that this step's networks have."""
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.batches.ranks.size
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _blank(self) -> Tensor:
        data = self.batches.data
        return torch.zeros(1, data.in_channels, data.resolution, data.resolution, device=self.device)


def check_recipe(recipe: Recipe) -> None:
    """Raise `InputError` for a recipe with settings that would do nothing for a supernet, or can't be had."""
    if recipe.compile:
        raise InputError("recipe: compile true: a supernet is another network each step, expected false")
    if recipe.stages > 1:
        raise InputError(f"recipe: stages {recipe.stages}: of one network's training, expected 1")
    if recipe.layer_decay != 1:
        raise InputError(f"recipe: layer_decay {recipe.layer_decay:g}: of a fine-tuning alone, expected 1")
