"""The full training of one network: what it is made of, its checkpoints, its result.

A checkpoint carries everything that a resumed training needs, so that it ends equal to one that was
never interrupted (to the bit on a CPU with the same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from nas.data.load import DataSet, load_data
from nas.data.preparation import Preparation
from nas.network.builder import build
from nas.training.batches import ALONE, Batches, Ranks
from nas.training.check_files import check_files
from nas.training.checkpoint import LAST, checkpoint_file, load_checkpoint, save_checkpoint
from nas.training.distillation import Teacher, teacher_digest
from nas.training.trainer import Trainer, pick_device
from nas.training.training_plan import TrainingPlan
from nas.training.transfer import trained_weights, transfer
from search_spaces.document import check_places, is_temporary, make_folder, read_document, remove_temporaries
from search_spaces.errors import InputError
from search_spaces.spec import read_spec

PLAN, SPEC, CARD = "train.yaml", "spec.yaml", "MODEL_CARD.md"
START = "start.pt"
"""The weights that it starts from, where they were cut out of a supernet; written before the plan."""
_WRITTEN = (PLAN, SPEC, START, LAST, "best.pt", "confusion.csv", CARD)
"""What is written anew, whole, into a training's folder; plan and spec before its first epoch."""

Row = dict[str, float]


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

    def sweep(self) -> None:
        """Remove what a killed training has left half-written here; none may be at it."""
        remove_temporaries(self.folder, _WRITTEN)
        remove_temporaries(self.last.parent, (self.last.name,))

    @property
    def begun(self) -> bool:
        """Whether a training was stopped here before its first checkpoint."""
        return (self.folder / PLAN).is_file() and not self.last.exists() and not self.best.exists()

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch with the highest held-out accuracy."""
        return self.folder / "best.pt"

    def check_new(self, target: Path) -> None:
        """Raise `InputError` if something is there already."""
        # without a plan it is what a killed command left, and nothing that could be gone on with
        left = {START} if not (self.folder / PLAN).exists() else set()
        taken = self.folder.exists() and (
            not self.folder.is_dir()
            or any(
                not is_temporary(path.name, _WRITTEN) and path.name not in left
                for path in self.folder.iterdir()
            )
        )
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
        times: when each was measured, Unix time; empty where an earlier version kept none.
        workers: decoding processes, for files.
        ranks: of this process.
    """

    plan: TrainingPlan
    outputs: Outputs
    rows: list[Row] = field(default_factory=list)
    workers: int = 1
    ranks: Ranks = ALONE
    times: list[float] = field(default_factory=list)

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
        if self.ranks.rank == 0:
            self.outputs.sweep()
        data = data or load_data(plan.data, plan.data_root)
        self.data = data.subset(plan.subset).at(plan.spec.resolution)
        model = build(plan.spec, plan.seed, plan.recipe.identity)
        if plan.start is not None and state is None:
            source, source_state, _ = load_checkpoint(Path(plan.start))
            transfer(source, trained_weights(source_state), model, plan.start, plan.classifier)
        batches = Batches(self.data, plan.recipe, device or pick_device(), self.workers, self.ranks)
        self.trainer = Trainer(model, batches, plan.recipe, plan.seed, plan.frozen, self._teacher())
        if state is not None:
            try:
                self.trainer.load_state_dict(state)
            except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
                cause = (str(error) or type(error).__name__).splitlines()[0]
                raise InputError(f"{self.outputs.last}: its state is not of its spec: {cause}") from None
            if (odd := self.trainer.misfit()) is not None:
                raise InputError(f"{self.outputs.last}: its optimizer's state is not of its spec: {odd}")

    def _teacher(self) -> Teacher | None:
        plan = self.plan
        if plan.teacher is None:
            return None
        if teacher_digest(plan.teacher) != plan.teacher_digest:
            raise InputError(
                f"teacher {plan.teacher}: its file is another one than the training was started with: it "
                "would not be the same training"
            )
        return Teacher(plan.teacher, Preparation.of(self.data), plan.recipe.temperature)

    @classmethod
    def resume(
        cls,
        target: Path,
        workers: int = 1,
        ranks: Ranks = ALONE,
        device: torch.device | None = None,
        data: str | None = None,
        data_root: str | None = None,
        download: bool = False,
        epochs: int | None = None,
    ) -> FullTraining:
        """The training that was interrupted at `target`, ready to go on.

        Args:
            target: as `Outputs.at` takes it.
            workers, ranks, device: how it goes on.
            data, data_root: where its data lies now; None: where it was.
            download: fetch the data set if it is missing.
            epochs: to train in all; see `TrainingPlan.extended`.

        Raises:
            InputError: no checkpoint there, the data is another one now, or another number of epochs would
                be another training.
        """
        outputs = Outputs.at(target)
        check_places(outputs.folder)
        if outputs.begun:
            return cls._anew(outputs, workers, ranks, device, data, data_root, download, epochs)
        if target.is_dir():
            checkpoint_file(target)  # says what there is instead
        spec, state, about = load_checkpoint(outputs.last)
        try:
            plan = TrainingPlan.from_document(about["plan"], spec)
            rows, digest = list(about["rows"]), about["data_digest"]
            if not (rows and len(rows) == state["epoch"] == rows[-1]["epoch"] <= plan.recipe.epochs):
                raise TypeError(f"{len(rows)} rows of epochs for a state after epoch {state['epoch']}")
        except (KeyError, TypeError) as error:
            cause = f"its {error} is missing" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{outputs.last}: no checkpoint of `nas train` to go on from: {cause}") from None
        if epochs is not None:
            plan = plan.extended(epochs, target, len(rows))
        plan = replace(plan, data=data or plan.data, data_root=data_root or plan.data_root)
        images = load_data(plan.data, plan.data_root, download)
        if images.digest != digest:
            raise InputError(
                f"data {plan.data!r}: its digest is {images.digest}, the training was started with "
                f"{digest}: it would not be the same training"
            )
        training = cls(plan, outputs, rows, workers, ranks, _times(about))
        training.prepare(images, state, device)
        return training

    @classmethod
    def _anew(
        cls,
        outputs: Outputs,
        workers: int,
        ranks: Ranks,
        device: torch.device | None,
        data: str | None,
        data_root: str | None,
        download: bool,
        epochs: int | None,
    ) -> FullTraining:
        """A training that was stopped before its first checkpoint, from its beginning."""
        where = str(outputs.folder / PLAN)
        try:
            plan = TrainingPlan.from_document(read_document(where), read_spec(str(outputs.folder / SPEC)))
        except (KeyError, TypeError) as error:
            raise InputError(f"{where}: no plan of `nas train`: {error}") from None
        if epochs is not None:
            plan = replace(plan, recipe=replace(plan.recipe, epochs=epochs))
        plan = replace(plan, data=data or plan.data, data_root=data_root or plan.data_root)
        training = cls(plan, outputs, [], workers, ranks)
        training.prepare(load_data(plan.data, plan.data_root, download), device=device)
        return training

    def check_files(self) -> list[str]:
        """Look whether the image files of all splits can be read; what is worth a word.

        Raises:
            TrialFailedError: too many can't, so that the training or its test would fail.
        """
        splits = ("test",) if self.done else ("train", "held_out", "test")
        return check_files(self.data, splits)

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
            self.times.append(time.time())
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
            "times": self.times,
            "data_digest": self.data.digest,
            "spec_digest": self.plan.spec.digest,
            "input": Preparation.of(self.data).to_document(),
        }
        save_checkpoint(path, self.plan.spec, self.trainer.state_dict(), about)

    def reload(self) -> None:
        """Go to where the last checkpoint is that other processes have written; InputError if it is none."""
        _, state, about = load_checkpoint(self.outputs.last)
        self.trainer.load_state_dict(state)
        self.rows, self.times = list(about["rows"]), _times(about)

    def result(self) -> dict[str, Any]:
        """Scores on the test split of the last and the best epoch, and the last one's confusion table.

        Where the best epoch's checkpoint is gone its test scores are None.

        Raises:
            TrialFailedError: too many test images can't be read.
        """
        classes = self.plan.spec.num_classes
        confusion = torch.zeros(classes, classes, dtype=torch.int64, device=self.trainer.device)
        last = self.trainer.evaluate("test", confusion)
        result = self.untested("") | {"test": last, "confusion": confusion.tolist(), "reason": None}
        result["best"]["test"] = last if self.best_epoch is self.rows[-1] else self._test_best()
        result["unreadable"] = dict(self.trainer.batches.unreadable)
        return result

    def untested(self, reason: str) -> dict[str, Any]:
        """What `result` gives, without anything of the test split, and why."""
        row = self.best_epoch
        return {
            "test": None,
            "best": {"epoch": int(row["epoch"]), "held_out": row["accuracy"], "test": None},
            "confusion": None,
            "unreadable": dict(self.trainer.batches.unreadable),
            "reason": reason,
        }

    def _test_best(self) -> dict[str, float] | None:
        try:
            _, state, _ = load_checkpoint(self.outputs.best)
        except InputError:
            return None
        if state.get("epoch") != self.best_epoch["epoch"]:  # of another training, or an older state of this
            return None
        kept = deepcopy(self.trainer.state_dict())  # its tensors are the live ones
        self.trainer.load_state_dict(state)
        try:
            return self.trainer.evaluate("test")
        finally:
            self.trainer.load_state_dict(kept)


def _times(about: Mapping[str, Any]) -> list[float]:
    """When the epochs of a checkpoint were measured; empty where it doesn't say."""
    times = about.get("times")
    if not isinstance(times, list) or len(times) != len(about["rows"]):
        return []
    return [float(at) for at in times if isinstance(at, (int, float))]
