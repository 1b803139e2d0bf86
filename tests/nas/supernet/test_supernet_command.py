"""`nas supernet`: from a space to a file, stopped and gone on with, on the command line."""

import json
import os

import pytest

from nas.supernet.plan import read_supernet
from nas.supernet.trainer import SupernetTrainer
from tests.command import good, nas
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


def test_its_card_says_how_it_ranks_what_was_trained(here):
    good("supernet", *SMALL, "--epochs", "1", "--out", "super.pt")
    card = here / "super" / "MODEL_CARD.md"
    assert "Nobody has asked" in card.read_text()
    # a run that was scored by the supernet itself: the same order
    scored = ["--evaluator", "supernet", "--supernet", "super.pt", "--controller", "random", "--trials", "14"]
    good("search", *scored, "--out", "run")
    text = good("supernet", "--resume", "super.pt", "--judge", "run")
    assert "14 of 14 networks that were trained in run" in text
    assert "ranked by their own trainings" in text
    document = json.loads(good("supernet", "--resume", "super.pt", "--judge", "run", "--json"))
    rows = {row["name"]: row for row in document["ranking"]["rows"]}
    assert rows["the supernet"]["all"]["tau"] == pytest.approx(1)
    assert rows["params alone"]["kind"] == "floor"
    good("supernet", "--resume", "super.pt")  # nothing is new: the card keeps what was found
    assert "| the supernet | 1.00 |" in card.read_text()


def test_only_networks_of_its_space_can_be_judged(here):
    done = nas("supernet", *SMALL, "--epochs", "1", "--judge", "curves", "--out", "super.pt")
    assert done.returncode == 2
    assert "judge 'curves': 0 of its 500 trained networks are of space 'small', expected" in done.stderr
    assert not (here / "super.pt").exists()
    assert nas("supernet", *SMALL, "--judge", "nowhere").returncode == 2


REFUSED = [("3", "the batch of 50 images is no multiple of it"), ("50", "they need 50 CPUs, the cluster has")]


@pytest.mark.parametrize(("processes", "reason"), REFUSED)
def test_processes_that_cannot_train_together_leave_nothing(processes, reason, here):
    done = nas("supernet", *SMALL, "--set", "batch=50", "--processes", processes, "--out", "super.pt")
    assert done.returncode == 2
    assert reason in done.stderr
    assert {path.name for path in here.iterdir()} == {"small.json"}
