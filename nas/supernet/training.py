"""A supernet's training in progress: from its plan or its file, epoch by epoch, to its file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nas.data.load import DataSet
from nas.supernet.plan import StoredSupernet, SupernetPlan
from nas.supernet.trainer import SupernetTrainer
from nas.training.batches import ALONE, Batches, Ranks
from nas.training.full import Row
from nas.training.trainer import pick_device
from search_spaces.errors import InputError


@dataclass
class SupernetTraining:
    """A training in progress.

    Its file has everything that a resumed training needs, from the beginning on, so that it ends equal to one
    that was never interrupted (to the bit on a CPU with the same number of threads).

    Attributes:
        plan: what decides it.
        path: the file.
        data: as the plan's were loaded.
        rows: the measurements of the epochs so far.
        times: when each was measured, Unix time.
        workers: decoding processes, for files.
        ranks: of this process; the first one writes the file.
        device: where to train; None: `pick_device`.

    Raises:
        InputError: a recipe, or a number of networks a step, that can't be.
    """

    plan: SupernetPlan
    path: Path
    data: DataSet
    rows: list[Row] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    workers: int = 1
    ranks: Ranks = ALONE
    device: torch.device | None = None

    def __post_init__(self) -> None:
        supernet = self.plan.make()
        device = self.device or pick_device()
        batches = Batches(self.data, self.plan.recipe, device, self.workers, self.ranks)
        sampler = self.plan.make_sampler(supernet)
        self.trainer = SupernetTrainer(
            supernet, batches, self.plan.recipe, sampler, self.plan.seed, self.plan.distil
        )

    @classmethod
    def resume(
        cls,
        stored: StoredSupernet,
        path: Path,
        data: DataSet,
        workers: int = 1,
        ranks: Ranks = ALONE,
        device: torch.device | None = None,
    ) -> SupernetTraining:
        """The training that was interrupted, ready to go on.

        Raises:
            InputError: the data is another one now, or the state is not of its plan.
        """
        if data.digest != stored.plan.data_digest:
            raise InputError(
                f"data {data.name!r}: its digest is {data.digest}, the training was started with "
                f"{stored.plan.data_digest}: it would not be the same training"
            )
        if "weights" not in stored.state and not stored.done:
            raise InputError(
                f"{path}: was begun by a version that didn't keep the order of the weights, in which the "
                "optimizer's state is: begin anew"
            )
        training = cls(stored.plan, path, data, stored.rows, stored.times, workers, ranks, device)
        try:
            training.trainer.load_state_dict(stored.state)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            cause = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path}: its state is not of its plan: {cause}") from None
        if (odd := training.trainer.misfit()) is not None:
            raise InputError(f"{path}: its optimizer's state is not of its plan: {odd}")
        return training

    @property
    def done(self) -> bool:
        """Whether all epochs are trained."""
        return self.trainer.epoch >= self.plan.recipe.epochs

    def run(self, tick: Callable[[Row], None] = lambda row: None) -> None:
        """Train to the end; `tick` is called with the measurements of each epoch, once they are saved.

        Raises:
            TrialFailedError: the training diverged; the last good file stays.
            InputError: the file can't be written; the one before stays.
        """
        if not self.rows:
            self.save()
        while not self.done:
            row = self.trainer.run_epoch()
            self.rows.append(row)
            self.times.append(time.time())
            self.save()
            tick(row)

    def save(self) -> None:
        """Write the file."""
        if self.ranks.rank == 0:
            state = self.trainer.state_dict()
            StoredSupernet(self.plan, state, self.rows, self.times).write(self.path)
