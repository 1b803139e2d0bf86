"""Several processes training one supernet: what they do together is what one does."""

import json

import pytest
import torch
from torch import distributed
from torch.multiprocessing import spawn

from nas.supernet.plan import read_supernet
from nas.supernet.training import SupernetTraining
from nas.training.batches import ALONE, Ranks
from tests.command import good, nas
from tests.nas.supernet.test_training import DATA, SPACE, plan

SMALL = ["--space", "small.json", "--resolution", "8", "--width", "1", "--subset", "0.3", "--epochs", "2"]


def train(ranks, path, still=False):
    """(rows, weights); `still`: BN's statistics are no part of it, so that the parts of a batch add up."""
    recipe = {"shift": 0, "flip": False, "batch": 50, "lr": 0.02, "optimizer": "sgd"}
    training = SupernetTraining(plan(epochs=1, recipe=recipe), path, DATA.at(8), ranks=ranks)
    if still:
        training.trainer._train_mode = training.trainer.model.eval
    training.run()
    return training.rows, {name: value.clone() for name, value in training.trainer.model.state_dict().items()}


def process(rank, size, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=size)
    ranks = Ranks(rank, size)
    found = [train(ranks, folder / f"{still}.pt", still) for still in (True, False)]
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_what_one_does_and_end_alike(tmp_path):
    spawn(process, (2, tmp_path), nprocs=2)
    (still, usual), (other_still, other_usual) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    rows, weights = train(ALONE, tmp_path / "alone.pt", still=True)
    for together in (still, other_still):
        assert together[0][0]["loss"] == pytest.approx(rows[0]["loss"], rel=1e-4)
        for name, value in weights.items():
            assert torch.allclose(together[1][name].float(), value.float(), atol=1e-4), name
    # with BN's statistics, each rank's own while it trains, both end with the same network
    assert usual[0][0]["accuracy"] == other_usual[0][0]["accuracy"]
    for name, value in usual[1].items():
        assert torch.equal(other_usual[1][name], value), name
    assert not all(torch.equal(usual[1][name], value) for name, value in still[1].items())
    assert len(read_supernet(tmp_path / "False.pt").rows) == 1  # written by one of them


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_by_ray_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(json.dumps(SPACE))
    document = json.loads(good("supernet", *SMALL, "--processes", "2", "--out", "s.pt", "--json"))
    assert [row["epoch"] for row in document["epochs"]] == [1, 2]
    assert read_supernet("s.pt").done
    assert not (tmp_path / "s" / "ray").exists()
    done = nas("supernet", *SMALL, "--set", "batch=51", "--processes", "2", "--out", "t.pt")
    assert done.returncode == 2
    assert "the batch of 51 images is no multiple of it" in done.stderr
    done = nas("supernet", *SMALL, "--gpus-per-trial", "1")
    assert "--gpus-per-trial: only with --processes" in done.stderr
