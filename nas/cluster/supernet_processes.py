"""One supernet's training on several GPUs or processes, as `nas.cluster.processes` trains a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.train.torch import get_device

from nas.cluster.processes import Teller, my_ranks, run_together
from nas.runs.supernet_data import load_trained, settings_of
from nas.supernet.plan import read_supernet
from nas.supernet.training import SupernetTraining
from nas.training.full import Outputs, Row


def train_supernet_together(
    path: Path,
    data: str | None,
    data_root: str | None,
    processes: int,
    cpus: float = 1,
    gpus: float = 0,
    address: str | None = None,
    retries: int = 2,
    tick: Callable[[Row], None] = lambda row: None,
) -> None:
    """Train a supernet to its end on so many processes; its file is as one process would write it.

    Args:
        path: of the file, which is there: a new training has written its first weights.
        data, data_root: where the data lie now; None: where the plan has them.
        processes, cpus, gpus, address, retries, tick: as `train_together` takes them.

    Raises:
        InputError, TrialFailedError: as `train_together`.
    """
    path = path.absolute()
    config = {"path": str(path), "data": data, "data_root": data_root}
    batch = read_supernet(path).plan.recipe.batch
    folder = Outputs.at(path).folder
    run_together(_train, config, folder, batch, processes, cpus, gpus, address, retries, tick)


def _train(config: dict[str, Any]) -> None:
    """In each process: go on from the file."""
    ranks, path = my_ranks(), Path(config["path"])
    with Teller(Outputs.at(path).folder, ranks) as tell:
        stored = read_supernet(path)
        settings = settings_of(stored.plan, config["data"], config["data_root"])
        # what is to be said of the data the driver has said
        trained, _ = load_trained(settings, False, lambda text: None)
        SupernetTraining.resume(stored, path, trained.data, 1, ranks, get_device()).run(tell)
