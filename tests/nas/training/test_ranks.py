"""Several processes training one model: DDP over gloo on the CPU."""

import json

import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing import spawn

from nas.data.load import load_data
from nas.network.builder import build
from nas.training.batches import ALONE, Batches, Ranks
from nas.training.presets import make_recipe
from nas.training.trainer import Trainer
from tests.command import good, nas
from tests.nas.training.test_training import SMALL


def plain():
    """A model without BN or dropout, whose gradient is the mean over the images."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def train(make, ranks, epochs=2):
    recipe = make_recipe("sgd", {"batch": 50, "epochs": epochs, "ema": 0.9, "shift": 0})
    batches = Batches(load_data("digits"), recipe, torch.device("cpu"), 0, ranks)
    trainer = Trainer(make(), batches, recipe, seed=3)
    rows = [trainer.run_epoch() for _ in range(epochs)]
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    test = trainer.evaluate("test", confusion)
    weights = {name: value.clone() for name, value in trainer.state_dict()["ema"].items()}
    return rows, test, confusion, weights


def network():
    return build(SMALL, 1)


def process(rank, size, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=size)
    torch.save([train(make, Ranks(rank, size)) for make in (plain, network)], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two ranks have of `plain` and of `network`; their processes take seconds to start."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(process, (2, str(folder)), nprocs=2)
    return list(zip(*(torch.load(folder / f"{rank}.pt") for rank in range(2)), strict=True))


def test_two_processes_train_what_one_does(together):
    rows, test, confusion, weights = train(plain, ALONE)
    for other_rows, other_test, other_confusion, other_weights in together[0]:
        for a, b in zip(rows, other_rows, strict=True):
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
            assert a["accuracy"] == b["accuracy"]
        assert other_test["accuracy"] == test["accuracy"]
        assert torch.equal(other_confusion, confusion)
        assert confusion.sum() == 360
        for name, value in weights.items():
            assert torch.allclose(other_weights[name].float(), value.float(), atol=1e-4), name


def test_ranks_end_with_the_same_network(together):
    """With BN the statistics are each rank's own while training, and rank 0's when judged."""
    (rows, _, _, weights), (other_rows, _, _, other_weights) = together[1]
    assert [row["accuracy"] for row in rows] == [row["accuracy"] for row in other_rows]
    for name, value in weights.items():
        assert torch.equal(other_weights[name], value), name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_by_ray_train(tmp_path):
    spec = tmp_path / "small.yaml"
    spec.write_text(json.dumps(SMALL.to_document()))
    flags = ["--data", "digits", "--epochs", "4", "--resolution", "8", "--set", "batch=50", "--json"]
    document = json.loads(good("train", spec, *flags, "--processes", "2", "--out", tmp_path / "t.pt"))
    assert len(document["epochs"]) == 4
    assert document["test_accuracy"] > 0.5
    assert not (tmp_path / "t" / "ray").exists()
    done = nas("train", spec, *flags, "--processes", "64", "--out", tmp_path / "u.pt")
    assert done.returncode == 2
    assert "no multiple" in done.stderr
    done = nas("train", spec, *flags, "--processes", "50", "--out", tmp_path / "v.pt")
    assert done.returncode == 2
    assert "the cluster has" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("[uv]*"))
