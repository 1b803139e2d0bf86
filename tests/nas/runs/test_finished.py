"""A finished run that is resumed: nothing is started for it, its copy is brought up to date, idle options are said."""

import shutil

import pytest
from rich.console import Console

from nas.runs.flat import make_settings
from nas.runs.placement import Placement
from nas.session import resume_search, start_search
from tests.command import good, nas


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    settings = make_settings(space="accel-nasbench", evaluator="benchmark", targets={}, trials=3)
    place = tmp_path_factory.mktemp("finished") / "x"
    return start_search(settings, place, Placement(), Console(quiet=True)).folder


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "x")
    # whatever asks a controller or starts Ray
    monkeypatch.setattr("nas.session._run", None)
    monkeypatch.setattr("nas.runs.settings.make_controller", None)
    return tmp_path / "x"


def test_its_copy_is_brought_up_to_date_and_nothing_is_started(run, tmp_path):
    said = good_stderr("resume", run, "--storage", tmp_path / "kept")
    assert "has ended, all is there" in said
    copy = tmp_path / "kept" / "x"
    assert f"its copy: {copy}" in " ".join(said.split())
    assert (copy / "search.yaml").read_bytes() == (run / "search.yaml").read_bytes()
    (copy / "best.yaml").unlink()
    good("resume", run)  # it knows where that is
    assert (copy / "best.yaml").read_bytes() == (run / "best.yaml").read_bytes()


def good_stderr(*words):
    done = nas(*words)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"concurrent": 4}, "concurrent 4: does nothing"),
        ({"gpus": 0.5, "address": "auto"}, "gpus-per-trial 0.5, address 'auto': do nothing"),
        ({"timeout": 60.0}, "trial-timeout 60.0: does nothing"),
        ({"retries": 5, "download": True}, "retries 5, download True: do nothing"),
        ({}, "has ended, all is there\n"),
    ],
)
def test_what_would_act_on_trials_is_said_to_do_nothing(more, said, run, capsys):
    resume_search(run, Placement(**more), Console(width=500, force_terminal=False))
    assert said in capsys.readouterr().out


def test_so_is_the_place_of_its_data(run, capsys):
    resume_search(run, Placement(), Console(width=500), data="imagefolder:x", data_root="y")
    assert "data 'imagefolder:x', data-root 'y': do nothing, no trial is left" in capsys.readouterr().out


def test_to_more_trials_they_act(run):
    with pytest.raises(TypeError):  # it would run
        resume_search(run, Placement(concurrent=4), Console(quiet=True), trials=4)
