"""One training on several GPUs or processes: Ray Train starts them and joins them (DDP).

Each process takes its part of every batch, gradients are averaged; rank 0 writes the checkpoints, from
which a restarted group goes on. The outputs must lie where every process sees them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device

from nas.cluster.nodes import connect
from nas.errors import TrialFailedError
from nas.training.batches import Ranks, check_ranks
from nas.training.full import FullTraining, Outputs, Row
from nas.training.training_plan import TrainingPlan
from search_spaces.document import make_folder, remove_matching
from search_spaces.errors import InputError

_EPOCHS = "epochs.jsonl"
_FAILURE = "failure"


def train_together(
    plan: TrainingPlan,
    target: Path,
    processes: int,
    cpus: float = 1,
    gpus: float = 0,
    address: str | None = None,
    workers: int = 1,
    retries: int = 2,
    tick: Callable[[Row], None] = lambda row: None,
) -> None:
    """Train to the end on so many processes; the checkpoints are as one process would write them.

    Args:
        plan: what to train; its batch is that of all processes together.
        target: as `Outputs.at` takes it; a training there is gone on with.
        processes: how many, at least 1.
        cpus, gpus: of each.
        address: of a Ray cluster; None: RAY_ADDRESS, or this machine.
        workers: decoding processes of each, for image files.
        retries: how often the group is started again when one of it dies.
        tick: called here with the measurements of each epoch.

    Raises:
        InputError: no room for so many, a batch that is no multiple of them, or files that can't be written.
        TrialFailedError: the training diverged.
    """
    run_together(
        _train,
        {"plan": plan, "target": str(target.absolute()), "workers": workers},
        Outputs.at(target.absolute()).folder,
        plan.recipe.batch,
        *(processes, cpus, gpus, address, retries, tick),
    )


def run_together(
    loop: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    folder: Path,
    batch: int,
    processes: int,
    cpus: float,
    gpus: float,
    address: str | None,
    retries: int,
    tick: Callable[[Row], None],
) -> None:
    """Run a training loop in so many processes, joined by torch.distributed.

    Args:
        loop: runs in each process; it tells of its epochs and failures by a `Teller` of the folder.
        config: handed to it.
        folder: that all processes see.
        batch: images of a step, of all processes together.
        processes, cpus, gpus, address, retries, tick: as `train_together` takes them.

    Raises:
        InputError, TrialFailedError: as `train_together`.
    """
    check_together(processes, batch, cpus, gpus, address)
    make_folder(str(folder))
    for name in (_EPOCHS, _FAILURE):
        (folder / name).unlink(missing_ok=True)
    trainer = TorchTrainer(
        loop,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=processes, use_gpu=gpus > 0, resources_per_worker={"CPU": cpus, "GPU": gpus}
        ),
        run_config=RunConfig(
            name="train", storage_path=str(folder / "ray"), failure_config=FailureConfig(max_failures=retries)
        ),
    )
    over = threading.Event()
    follower = threading.Thread(target=_follow, args=(folder / _EPOCHS, over, tick), daemon=True)
    follower.start()
    try:
        trainer.fit()
    except Exception as error:  # Ray Train's own kinds, which differ between its versions
        if (folder / _FAILURE).is_file():
            kind, _, reason = (folder / _FAILURE).read_text(encoding="utf-8").partition(" ")
            raise (InputError if kind == "input" else TrialFailedError)(reason) from None
        raise TrialFailedError(f"the processes could not go on: {error}") from None
    finally:
        over.set()
        follower.join()
        for name in (_EPOCHS, _FAILURE):
            (folder / name).unlink(missing_ok=True)
        remove_matching(folder / "ray", r"train/.*")


def check_together(processes: int, batch: int, cpus: float, gpus: float, address: str | None) -> None:
    """Join the cluster; raises `InputError` unless they can share a batch and it has room for them all."""
    check_ranks(processes, batch)
    connect(address)
    room = ray.cluster_resources()
    for kind, each in (("CPU", cpus), ("GPU", gpus)):
        if processes * each > room.get(kind, 0):
            raise InputError(
                f"processes {processes}: they need {processes * each:g} {kind}s, the cluster has "
                f"{room.get(kind, 0):g}"
            )


class Teller:
    """How the processes tell of their epochs and of why they failed; a context around a training.

    Args:
        folder: that all processes see.
        ranks: of this process.
    """

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self._folder, self._ranks = folder, ranks

    def __enter__(self) -> Callable[[Row], None]:
        return self._tell

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, (InputError, TrialFailedError)):
            word = "input" if isinstance(error, InputError) else "trial"
            # of what all ranks agree on, only those that met one can name an example
            if "e.g." in str(error) or not (self._folder / _FAILURE).is_file():
                (self._folder / _FAILURE).write_text(f"{word} {error}", encoding="utf-8")

    def _tell(self, row: Row) -> None:
        if self._ranks.rank == 0:
            with (self._folder / _EPOCHS).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")


def my_ranks() -> Ranks:
    """Of this process among those of `run_together`."""
    context = ray.train.get_context()
    return Ranks(context.get_world_rank(), context.get_world_size())


def _train(config: dict[str, Any]) -> None:
    """In each process: train, and on rank 0 tell of the epochs."""
    ranks, target = my_ranks(), Path(config["target"])
    outputs = Outputs.at(target)
    with Teller(outputs.folder, ranks) as tell:
        if outputs.last.is_file():
            plan: TrainingPlan = config["plan"]
            training = FullTraining.resume(
                target,
                config["workers"],
                ranks,
                get_device(),
                data=plan.data,
                data_root=plan.data_root,
                epochs=plan.recipe.epochs,
            )
        else:
            training = FullTraining(config["plan"], outputs, workers=config["workers"], ranks=ranks)
            training.prepare(device=get_device())
        training.run(tell)


def _follow(path: Path, over: threading.Event, tick: Callable[[Row], None]) -> None:
    """Hand on the lines of a growing file until it is over."""
    seen = 0
    while True:
        last = over.wait(0.5)
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        for line in lines[seen:]:
            tick(json.loads(line))
        seen = max(seen, len(lines))
        if last:
            return
