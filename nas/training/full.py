"""The full training of one network: what it is made of, its checkpoints, its result.

A checkpoint carries everything that a resumed training needs, so that it ends equal to one that was
never interrupted (to the bit on a CPU with the same number of threads).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nas.network.builder import build
from nas.training.batches import ALONE, Batches, Ranks
from nas.training.checkpoint import LAST, load_checkpoint, save_checkpoint
from nas.training.data import DataSet, load_data
from nas.training.recipe import Recipe
from nas.training.trainer import Trainer, pick_device
from nas.training.transfer import trained_weights, transfer
from search_spaces.document import make_folder
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

Row = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """All that decides a training.

    Attributes:
        spec: the network as it is trained.
        recipe: how.
        data: name, as `load_data` takes it.
        data_root: folder to look in first.
        subset: part of the training and held-out images.
        seed: of everything random.
        start: checkpoint whose weights it starts from; None: random ones.
        frozen: parts that keep them (`nas.training.trainer.freeze`).
    """

    spec: NetworkSpec
    recipe: Recipe
    data: str
    data_root: str | None = None
    subset: float = 1.0
    seed: int = 0
    start: str | None = None
    frozen: int = 0

    def to_document(self) -> dict[str, Any]:
        """As plain data, the spec apart."""
        return {name: value for name, value in vars(self).items() if name not in ("spec", "recipe")} | {
            "recipe": dict(vars(self.recipe))
        }


@dataclass(frozen=True)
class Outputs:
    """Where a training writes.

    Attributes:
        last: the checkpoint after each epoch, and the result.
        folder: for everything else.
    """

    last: Path
    folder: Path

    @classmethod
    def at(cls, target: Path) -> Outputs:
        """`X.pt` is the checkpoint itself, with a folder `X` beside it; a folder has `last.pt` in it."""
        if target.suffix == ".pt":
            return cls(target, target.with_suffix(""))
        return cls(target / LAST, target)

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch with the highest held-out accuracy."""
        return self.folder / "best.pt"

    def check_new(self, target: Path) -> None:
        """Raise `InputError` if something is there already."""
        taken = self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir()))
        if self.last.exists() or taken:
            raise InputError(
                f"out {target}: exists already; continue it with --resume {target}, or choose another --out"
            )


@dataclass
class FullTraining:
    """A training in progress.

    Attributes:
        plan: what decides it.
        outputs: where it writes.
        rows: the measurements of the epochs so far.
        workers: decoding processes, for files.
        ranks: of this process.
    """

    plan: Plan
    outputs: Outputs
    rows: list[Row] = field(default_factory=list)
    workers: int = 1
    ranks: Ranks = ALONE

    def prepare(
        self,
        data: DataSet | None = None,
        state: dict[str, Any] | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Load the data, build the model, and go to where `state` was taken.

        Args:
            data: whole, if it is loaded already.
            state: of the trainer.
            device: where to train; None: `pick_device`.

        Raises:
            InputError: the data, or weights that don't fit.
        """
        plan = self.plan
        data = data or load_data(plan.data, plan.data_root)
        self.data = data.subset(plan.subset).at(plan.spec.resolution)
        model = build(plan.spec, plan.seed)
        if plan.start is not None and state is None:
            source, source_state, _ = load_checkpoint(Path(plan.start))
            transfer(source, trained_weights(source_state), model, plan.start)
        batches = Batches(self.data, plan.recipe, device or pick_device(), self.workers, self.ranks)
        self.trainer = Trainer(model, batches, plan.recipe, plan.seed, plan.frozen)
        if state is not None:
            try:
                self.trainer.load_state_dict(state)
            except (RuntimeError, KeyError, ValueError, TypeError) as error:
                cause = (str(error) or type(error).__name__).splitlines()[0]
                raise InputError(f"{self.outputs.last}: its state is not of its spec: {cause}") from None

    @classmethod
    def resume(
        cls, target: Path, workers: int = 1, ranks: Ranks = ALONE, device: torch.device | None = None
    ) -> FullTraining:
        """The training that was interrupted at `target`, ready to go on.

        Raises:
            InputError: no checkpoint there, or the data is another one now.
        """
        outputs = Outputs.at(target)
        spec, state, about = load_checkpoint(outputs.last)
        try:
            settings = dict(about["plan"])
            plan = Plan(spec=spec, recipe=Recipe(**settings.pop("recipe")), **settings)
            rows, digest = list(about["rows"]), about["data_digest"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{outputs.last}: no checkpoint of `nas train`: {error}") from None
        training = cls(plan, outputs, rows, workers, ranks)
        training.prepare(state=state, device=device)
        if training.data.digest != digest:
            raise InputError(
                f"data {plan.data!r}: its digest is {training.data.digest}, the training was started with "
                f"{digest}: it would not be the same training"
            )
        return training

    @property
    def done(self) -> bool:
        """Whether all epochs are trained."""
        return self.trainer.epoch >= self.plan.recipe.epochs

    @property
    def best_epoch(self) -> Row:
        """The measurements of the epoch with the highest held-out accuracy, the first of equals."""
        return max(self.rows, key=lambda row: row["accuracy"])

    def run(self, tick: Callable[[Row], None] = lambda row: None) -> None:
        """Train to the end; `tick` is called with the measurements of each epoch, once they are saved.

        Raises:
            TrialFailedError: the training diverged; the last good checkpoint stays.
            InputError: a checkpoint can't be written; the one before stays.
        """
        while not self.done:
            row = self.trainer.run_epoch()
            self.rows.append(row)
            if self.ranks.rank == 0:
                # the best first: an interruption in between repeats the epoch, and writes both
                if self.best_epoch is row:
                    self._save(self.outputs.best)
                self._save(self.outputs.last)
            tick(row)

    def _save(self, path: Path) -> None:
        make_folder(str(path.parent))
        about = {
            "plan": self.plan.to_document(),
            "rows": self.rows,
            "data_digest": self.data.digest,
            "spec_digest": self.plan.spec.digest,
        }
        save_checkpoint(path, self.plan.spec, self.trainer.state_dict(), about)

    def result(self) -> dict[str, Any]:
        """Scores on the test split of the last and the best epoch, and the last one's confusion table."""
        classes = self.plan.spec.num_classes
        confusion = torch.zeros(classes, classes, dtype=torch.int64, device=self.trainer.device)
        last = self.trainer.evaluate("test", confusion)
        best_row = self.best_epoch
        best = last
        if best_row is not self.rows[-1] and self.outputs.best.is_file():
            _, state, _ = load_checkpoint(self.outputs.best)
            kept = deepcopy(self.trainer.state_dict())  # its tensors are the live ones
            self.trainer.load_state_dict(state)
            best = self.trainer.evaluate("test")
            self.trainer.load_state_dict(kept)
        return {
            "test": last,
            "best": {"epoch": int(best_row["epoch"]), "held_out": best_row["accuracy"], "test": best},
            "confusion": confusion.tolist(),
            "unreadable": dict(self.trainer.batches.unreadable),
        }
