"""`nas supernet`: from a space to a file, stopped and gone on with, on the command line."""

import json
import os

import pytest

from nas.supernet.plan import read_supernet
from nas.supernet.trainer import SupernetTrainer
from tests.nas.supernet.test_training import SPACE
from tests.nas.training.test_full import same
from tests.nas.training.test_resumed import command

SMALL = ["--space", "small.json", "--resolution", "8", "--width", "1", "--subset", "0.3", "--paths", "3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "small.json").write_text(json.dumps(SPACE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_interrupted_and_resumed_it_ends_equal(here, monkeypatch, capsys):
    arguments = ["supernet", *SMALL, "--epochs", "2"]
    code, out, err = command([*arguments, "--out", "whole.pt", "--json"], monkeypatch, capsys)
    assert code == 0, err
    document = json.loads(out)
    assert document["supernet"] == "whole.pt"
    assert [row["epoch"] for row in document["epochs"]] == [1, 2]
    assert document["largest"]["macs"] > document["smallest"]["macs"]
    assert document["smallest"]["held_out_accuracy"] == document["epochs"][-1]["smallest_accuracy"]
    assert any(name.startswith("events.out") for name in os.listdir(here / "whole"))
    kept = SupernetTrainer.run_epoch

    def interrupted(self):
        if self.epoch == 1:
            raise KeyboardInterrupt
        return kept(self)

    monkeypatch.setattr(SupernetTrainer, "run_epoch", interrupted)
    code, out, err = command([*arguments, "--out", "parts.pt"], monkeypatch, capsys)
    assert code != 0
    assert "go on with: nas supernet --resume parts.pt" in err
    monkeypatch.setattr(SupernetTrainer, "run_epoch", kept)
    code, out, err = command(["supernet", "--resume", "parts.pt"], monkeypatch, capsys)
    assert code == 0, err
    assert "1 of 2 epochs are done already" in err
    assert "held-out accuracy" in out
    whole, parts = read_supernet("whole.pt"), read_supernet("parts.pt")
    assert same(whole.state, parts.state)
    assert whole.digest == parts.digest


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--paths", "1"], "paths 1: expected an integer from 2 to 64"),
        (["--set", "compile=true"], "recipe: compile true"),
        (["--out", "small.json"], "small.json"),
        (["--data", "nowhere"], "nowhere"),
        (["--held-out", "0"], "held-out 0"),
        (["--space", "nothing"], "nothing"),
        (["--resume", "small.json"], "small.json"),
        (["--resume", "gone.pt"], "gone.pt: no supernet"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(here, monkeypatch, capsys, more, message):
    before = (here / "small.json").read_text()
    given = [
        "supernet",
        *([] if "--resume" in more else ["--space", "small.json", "--resolution", "8"]),
        *more,
    ]
    code, _, err = command(given, monkeypatch, capsys)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert os.listdir(here) == ["small.json"]
    assert (here / "small.json").read_text() == before
