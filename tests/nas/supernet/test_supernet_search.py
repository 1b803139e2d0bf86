"""A search on a supernet's weights: its space, its scores, and what is refused."""

import json
import shutil

import pytest

from nas.runs.folder import Run
from nas.runs.supernet_settings import SupernetSettings
from nas.search.supernet_evaluator import SupernetEvaluator
from nas.search.trial import FINISHED
from nas.supernet.plan import read_supernet
from search_spaces import InputError, StagedSpace, get_space
from tests.nas.supernet.test_training import SPACE
from tests.nas.training.test_resumed import command

SMALL = ["--space", "small.json", "--resolution", "8", "--width", "1", "--subset", "0.3", "--paths", "3"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a trained supernet in it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.json").write_text(json.dumps(SPACE))
    with pytest.MonkeyPatch.context() as patch, _Captured() as captured:
        patch.chdir(folder)
        code, *_ = command(["supernet", *SMALL, "--epochs", "1", "--out", "x.pt"], patch, captured)
    assert code == 0
    return folder


class _Captured:
    """In place of pytest's, which a fixture of a module can't have."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __iter__(self):
        return iter(("", ""))

    def readouterr(self):
        return "", ""


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


SEARCH = ["search", "--evaluator", "supernet", "--supernet", "x.pt", "--controller", "random", "--out", "run"]


def test_a_search_scores_networks_by_its_weights(here, monkeypatch, capsys):
    code, _, err = command([*SEARCH, "--target", "1M", "--trials", "4"], monkeypatch, capsys)
    assert code == 0, err
    assert "with weights of a supernet" in err
    run = Run.open(here / "run")
    assert run.space.name == "small"
    assert run.space.template.num_classes == 10
    records = run.records()
    assert [record.state for record in records] == [FINISHED] * 4
    stored = read_supernet("x.pt")
    evaluator = run.settings.evaluator.make()
    assert isinstance(evaluator, SupernetEvaluator)
    assert run.settings.evaluator.supernet_digest == stored.digest
    for record in records:  # the same again, from the file alone
        (row,) = evaluator.start(run.spec(record), 9)
        assert row["accuracy"] == record.accuracy
    for more in (["--trials", "5"], ["--trials", "6", "--data", "digits"]):
        code, _, err = command(["resume", "run", *more], monkeypatch, capsys)
        assert code == 0, err
    assert len(run.records()) == 6
    code, _, err = command(["resume", "run", "--concurrent", "2"], monkeypatch, capsys)
    assert code == 2
    assert "its supernet is asked in this process" in err


def test_another_supernet_would_not_compare(here, monkeypatch, capsys):
    assert command([*SEARCH, "--trials", "2"], monkeypatch, capsys)[0] == 0
    again = ["supernet", *SMALL, "--epochs", "1", "--seed", "1", "--out", "y.pt"]
    assert command(again, monkeypatch, capsys)[0] == 0
    shutil.copy("y.pt", "x.pt")
    code, _, err = command(["resume", "run", "--trials", "3"], monkeypatch, capsys)
    assert code == 2
    assert "the run was started with" in err
    assert len(Run.open(here / "run").records()) == 2


def test_a_space_that_it_does_not_have_is_refused(here):
    with pytest.raises(InputError, match="not all of its networks are in supernet"):
        SupernetSettings("x.pt").check(get_space("efficientnet"))
    narrower = {**SPACE, "stages": [{**SPACE["stages"][0], "op": ["mbconv2", "mbconv3"]}, SPACE["stages"][1]]}
    SupernetSettings("x.pt").check(StagedSpace.from_document(narrower))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--evaluator", "supernet"], "give its file by --supernet"),
        (["search", "--evaluator", "supernet", "--supernet", "gone.pt"], "gone.pt: no supernet"),
        (["search", "--evaluator", "supernet", "--supernet", "small.json"], "small.json: no supernet"),
        ([*SEARCH, "--space", "mnasnet"], "not all of its networks are in supernet"),
        (["train", "--from", "x.pt"], "x.pt: no checkpoint of `nas train`"),
    ],
)
def test_bad_input_is_one_line(here, monkeypatch, capsys, arguments, message):
    code, _, err = command(arguments, monkeypatch, capsys)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (here / "run").exists()


def test_an_unfinished_training_is_said(here):
    stored = read_supernet("x.pt")
    stored.plan.__dict__["recipe"].__dict__["epochs"] = 3
    stored.write(here / "y.pt")
    said = []
    SupernetSettings("y.pt").make(say=said.append)
    assert any("only 1 of its 3 epochs" in line for line in said)
