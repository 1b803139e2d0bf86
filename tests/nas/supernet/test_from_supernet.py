"""`nas train --from-supernet`: the winner starts from its weights in the supernet."""

import json
import os

import pytest
import torch

from nas.data.load import load_data
from nas.supernet.plan import read_supernet
from nas.training.checkpoint import load_checkpoint
from nas.training.full import FullTraining
from search_spaces import StagedSpace
from tests.nas.supernet.test_supernet_search import here, trained  # noqa: F401
from tests.nas.supernet.test_training import SPACE
from tests.nas.training.test_full import same
from tests.nas.training.test_resumed import command

TRAIN = ["train", "winner.json", "--from-supernet", "x.pt", "--epochs", "2", "--subset", "0.3"]


@pytest.fixture
def winner(here):  # noqa: F811
    space = StagedSpace.from_document(SPACE)
    architecture = type(space.canonical((0,) * len(space.decisions)))(
        (1, 0, 1, 1, 1, 0, 1)[: len(space.decisions)]
    )
    (here / "winner.json").write_text(json.dumps(space.decode(architecture).to_document()))
    return architecture


def test_it_starts_from_the_weights_that_are_cut_out(winner, here, monkeypatch, capsys):  # noqa: F811
    seen = []
    kept = FullTraining.run

    def run(self, tick):
        seen.append({name: tensor.clone() for name, tensor in self.trainer.model.state_dict().items()})
        kept(self, tick)

    monkeypatch.setattr(FullTraining, "run", run)
    code, _, err = command([*TRAIN, "--out", "w.pt"], monkeypatch, capsys)
    assert code == 0, err
    cut = read_supernet("x.pt").make().cut_out(winner)
    for name, tensor in cut.named_parameters():  # the classifier too: the data are the same
        assert torch.equal(tensor, seen[0][name]), name
    spec, state, about = load_checkpoint("w.pt")
    assert spec.stages[0].channels == SPACE["stages"][0]["channels"][cut.spec.stages[0].channels == 12]
    assert spec.resolution == 8
    assert about["plan"]["start"] == str(here / "w" / "start.pt")
    monkeypatch.setattr(FullTraining, "run", kept)
    os.remove("w.pt")
    os.remove("w/best.pt")
    os.remove("x.pt")  # a training that was killed in its first epoch goes on without the supernet
    code, _, err = command(["train", "--resume", "w.pt"], monkeypatch, capsys)
    assert code == 0, err
    assert same(load_checkpoint("w.pt")[1], state)


def test_on_other_data_the_classifier_is_a_new_one(winner, here, monkeypatch, capsys):  # noqa: F811
    digits = load_data("digits")
    from dataclasses import replace

    monkeypatch.setattr("nas.data.load.load_data", lambda *given: replace(digits, digest="0" * 16))
    monkeypatch.setattr(FullTraining, "run", lambda self, tick: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        from nas.commands.train import train

        train.main([*TRAIN[1:], "--out", "w.pt"], standalone_mode=False)
    assert "the classifier is a new one" in capsys.readouterr().err


@pytest.mark.parametrize("left", ["start.pt", ".start.pt.a1b2c3d4.part"])
def test_killed_before_it_began_the_same_command_begins(winner, here, monkeypatch, capsys, left):  # noqa: F811
    """What stands there by then is nothing that could be gone on with, and no reason to refuse."""
    (here / "w").mkdir()
    (here / "w" / left).write_bytes(b"cut")
    assert command([*TRAIN, "--out", "w.pt"], monkeypatch, capsys)[0] == 0
    assert not list((here / "w").glob(".*"))
    assert command([*TRAIN, "--out", "w.pt"], monkeypatch, capsys)[0] == 2  # now there is a training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["train", "--from-supernet", "x.pt"], "from-supernet: give the network too"),
        ([*TRAIN, "--width", "0.5"], "it decides the network's shape; leave --width 0.5 out"),
        ([*TRAIN, "--freeze", "9"], "freeze 9"),
        (["train", "mnasnet-a1", "--from-supernet", "x.pt"], "network 'mnasnet-a1'"),
        (["train", "winner.json", "--from-supernet", "winner.json"], "winner.json: no supernet"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(winner, here, monkeypatch, capsys, change, message):  # noqa: F811
    before = sorted(os.listdir(here))
    code, _, err = command(change, monkeypatch, capsys)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(os.listdir(here)) == before
