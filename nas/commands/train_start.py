"""The beginning of `nas train --from-supernet`: a network cut out of a supernet, as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from search_spaces.document import make_folder
from search_spaces.errors import InputError
from search_spaces.quoting import printable
from search_spaces.spec import NetworkSpec

if TYPE_CHECKING:
    from nas.data.load import DataSet
    from nas.training.recipe import Recipe


class CutStart(NamedTuple):
    """Where a training starts.

    Attributes:
        spec: the network as it is trained.
        checkpoint: with its weights.
        classifier: whether its classes are the data's, so that the classifier is kept.
    """

    spec: NetworkSpec
    checkpoint: Path
    classifier: bool


def cut_start(
    file: str,
    network: NetworkSpec,
    data: DataSet,
    recipe: Recipe,
    resolution: int | None,
    folder: Path,
    say: Callable[[str], None],
) -> CutStart:
    """A network with its weights out of a supernet, whose proxy's widths and stem it has.

    Args:
        file: by `nas supernet`.
        network: one of its space.
        data: that it will be trained on.
        recipe: how.
        resolution: of the images, pixels; None: the supernet's.
        folder: of the training, where the checkpoint is written.
        say: told what of the weights is not taken.

    Raises:
        InputError: no supernet, or it has no such network.
    """
    from dataclasses import replace

    import torch

    from nas.supernet.calibration import CALIBRATION, calibration_data, recalibrate
    from nas.supernet.plan import read_supernet
    from nas.training.batches import Batches
    from nas.training.checkpoint import save_checkpoint
    from nas.training.full import START

    stored = read_supernet(file)
    supernet = stored.make()
    model = supernet.cut_out(supernet.space.encode(network))
    plan = stored.plan
    task = replace(plan.proxy, resolution=resolution or plan.proxy.resolution)
    spec = recipe.adapt(task.apply(network, data.num_classes, data.in_channels))
    same_data = data.digest == plan.data_digest
    if not same_data:
        say(printable(f"{file}: trained on other data than {data.name}, the classifier is a new one"))
    if data.in_channels == plan.in_channels:
        images = calibration_data(data.at(task.resolution), CALIBRATION)
        recalibrate(model, Batches(images, recipe, torch.device("cpu"), 0), recipe)
    state = {"epoch": 0, "model": model.state_dict(), "ema": None}
    about = {"supernet": str(Path(file).absolute()), "supernet_digest": stored.digest}
    make_folder(str(folder))
    save_checkpoint(folder / START, model.spec, state, about)
    return CutStart(spec, folder / START, same_data)


def forget_start(folder: Path) -> None:
    """Leave a folder as if no training had begun there."""
    from nas.training.full import START

    (folder / START).unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty
        folder.rmdir()


def check_start(network: NetworkSpec | None) -> NetworkSpec:
    """The network that is to be cut out; raises `InputError` where none is given."""
    if network is None:
        raise InputError("from-supernet: give the network too, e.g. the best.yaml of a search on it")
    return network
