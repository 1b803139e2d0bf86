"""What a run's accuracies can tell is kept in it, and said wherever they are shown."""

import json
from dataclasses import replace

import pytest

import nas.report.remarks
from nas.runs.folder import Run
from nas.runs.scored_on import SCORED, ScoredOn, read_scored
from nas.studies.run_ranking import judge_run
from search_spaces import InputError
from search_spaces.document import write_document
from tests.command import good

SEARCH = [
    "search",
    "--data",
    "digits",
    "--subset",
    "0.3",
    "--held-out",
    "40",
    "--folds",
    "2",
    "--controller",
    "random",
]
FEW = "80 scored images: an accuracy has a standard error of up to 5.6 points"
GUESSED = "8 of 8 trials are no better than guessing (an accuracy up to 0.99 here): their order says nothing"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    place = tmp_path_factory.mktemp("scored") / "x"
    good(*SEARCH, "--epochs", "2", "--width", "0.1", "--trials", "8", "--out", place)
    return place


def views(folder):
    """All places where somebody reads a run's accuracies."""
    nas.report.remarks._said.clear()  # as in a new process
    good("report", folder)
    return {
        "show": good("show", folder),
        "json": " ".join(json.loads(good("show", folder, "--json"))["remarks"]),
        "report": (folder / "report.html").read_text(),
    }


def test_few_images_are_said_wherever_accuracies_are_shown(finished):
    known = read_scored(finished)
    assert known.images == pytest.approx(80, abs=5)
    assert 0.1 < known.chance < 0.4
    few = f"{known.images} scored images: an accuracy has a standard error of up to"
    for name, text in views(finished).items():
        assert few in text, name


def test_networks_that_only_guessed_are_said_to_wherever_they_are_shown(finished):
    known = read_scored(finished)
    try:
        replace(known, chance=0.0).keep(finished)
        assert judge_run(Run.open(finished), Run.open(finished).records()) is not None
        replace(known, chance=0.99).keep(finished)
        for name, text in views(finished).items():
            assert GUESSED in text, name
            assert "networks are ranked" not in text, name
        assert judge_run(Run.open(finished), Run.open(finished).records()) is None
    finally:
        known.keep(finished)


def test_a_run_of_an_earlier_version_knows_nothing(tmp_path):
    assert read_scored(tmp_path) == ScoredOn()
    assert ScoredOn().remarks([0.1, 0.2]) == []
    ScoredOn().keep(tmp_path)
    assert not (tmp_path / SCORED).exists()
    ScoredOn(1000, 0.1).keep(tmp_path)
    assert read_scored(tmp_path).remarks([0.5]) == []


@pytest.mark.parametrize("wrong", [{"images": -1}, {"chance": 1.5}, {"chance": "a"}, {"more": 1}])
def test_a_broken_file_is_named(wrong, tmp_path):
    write_document(tmp_path / SCORED, {"schema": 1, "images": 5, "chance": 0.2, **wrong})
    with pytest.raises(InputError, match=next(iter(wrong))):
        read_scored(tmp_path)
