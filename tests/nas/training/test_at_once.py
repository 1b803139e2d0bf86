"""However large a network is, its evaluation takes no more images at once than its memory allows."""

import pytest
import torch

from nas.data.load import load_data
from nas.network.at_once import forward_memory
from nas.network.builder import build
from nas.training.batches import Batches, Ranks
from nas.training.prediction import predict
from nas.training.presets import make_recipe
from nas.training.trainer import Trainer
from search_spaces import NetworkSpec, StageSpec, StemSpec
from tests.nas.data.test_files import folder

CPU = torch.device("cpu")


def network(channels, resolution, in_channels=3, classes=3):
    return NetworkSpec(
        name="small",
        stem=StemSpec(channels),
        stages=(StageSpec("ds", channels, 3, 1),),
        head_channels=0,
        num_classes=classes,
        in_channels=in_channels,
        resolution=resolution,
    )


@pytest.fixture(params=["files", "arrays"])
def data(request, tmp_path):
    if request.param == "files":
        return load_data(folder(tmp_path / "images")).at(16)
    return load_data("digits").subset(0.1).at(16)


def test_each_network_is_evaluated_in_its_own_batches(data, monkeypatch):
    batches = Batches(data, make_recipe("adamw", {"batch": 4}), CPU, 0)
    scores = []
    for at_once in (3, 1, 500, 2):  # one set of batches serves all networks of a search
        spec = network(8, 16, data.in_channels, data.num_classes)
        monkeypatch.setattr("nas.network.at_once.FORWARD_MEMORY", at_once * forward_memory(spec, 16))
        trainer, sizes = Trainer(build(spec, 0), batches, batches.recipe), []
        trainer.model.register_forward_pre_hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
        scores.append(trainer.evaluate("test"))
        assert max(sizes) == min(at_once, len(data.test))
    for score in scores[1:]:
        assert score == pytest.approx(scores[0])


def test_each_rank_takes_as_many(data):
    parts = [Batches(data, make_recipe("adamw", {"batch": 4}), CPU, 0, Ranks(rank, 2)) for rank in range(2)]
    found = [[len(labels) for _, labels in part.evaluation("test", 3)] for part in parts]
    assert max(max(sizes) for sizes in found) == 3
    assert sum(map(sum, found)) == len(data.test)


def test_predictions_take_as_many_images_as_they_are_told(tmp_path):
    from nas.data.preparation import Preparation

    folder(tmp_path / "images")
    paths = sorted(map(str, (tmp_path / "images").rglob("*.jpg")))
    preparation = Preparation(16, 3, (0.5,) * 3, (0.5,) * 3, 1.0, ("a", "b", "c"))
    model, sizes = build(network(8, 16), 0).eval(), []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = [[one.best for one in predict(model, preparation, paths, at_once=n)] for n in (1, 5)]
    assert found[0] == found[1]
    assert max(sizes[: len(paths)]) == 1
    assert max(sizes) == 5
