"""A search that starts from another one: what it takes over, what its run keeps, what is refused."""

import json
import re
import shlex
import shutil
import sys

import numpy as np
import pytest
from rich.console import Console

from controller import PredictorGuided
from nas.api import run_search
from nas.benchmark.prior import IMAGENET, Prior
from nas.benchmark.run_surrogate import read_run_surrogate
from nas.runs.basis import BASIS
from nas.runs.copies import PRIOR
from nas.runs.flat import make_settings
from nas.runs.folder import SETTINGS, Run
from nas.runs.mirror import Mirror
from nas.runs.placement import Placement
from nas.search.journal import TRIALS
from nas.session import resume_search, start_search
from nas.studies.prior import learn_prior
from search_spaces import InputError, get_space, reference
from search_spaces.document import read_document
from tests.command import good, nas


def search(folder, **settings):
    given = {"targets": {"benchmark_macs": "400M"}, **settings}
    made = make_settings(space="accel-nasbench", evaluator="benchmark", **given)
    return start_search(made, folder, Placement(), Console(quiet=True))


def chosen(folder):
    return [json.loads(line)["architecture"] for line in (folder / TRIALS).read_text().splitlines()]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A finished run of forty random networks, with the noise of trainings."""
    return search(
        tmp_path_factory.mktemp("known") / "first", controller="random", trials=40, noise=True
    ).folder


@pytest.fixture
def begun(known, tmp_path):
    """A search on the other surrogate that starts from a copy of it."""
    shutil.copytree(known, tmp_path / "first")
    search(tmp_path / "run", surrogate="gb", prior=str(tmp_path / "first"), trials=12)
    return tmp_path / "run"


def test_the_run_keeps_it_and_needs_the_other_no_more(begun, tmp_path):
    shutil.rmtree(tmp_path / "first")
    shutil.move(begun, tmp_path / "moved")
    run = Run.open(tmp_path / "moved")
    assert isinstance(run.settings.make_controller(), PredictorGuided)
    assert read_run_surrogate(run.folder / PRIOR).trainings.rows.shape == (40, 28)
    said = nas("resume", run.folder, "--trials", "16").stderr
    assert "prior: accuracy by a process on 40 networks of runs, held-out tau" in said
    assert "28 of its 28 decisions follow from this space's" in " ".join(said.split())
    assert "would have proposed other networks" not in said
    assert len(Run.open(run.folder).records()) == 16


def test_a_resumed_search_is_the_same_as_an_uninterrupted_one(begun, known, tmp_path):
    resume_search(begun, Placement(), Console(quiet=True), trials=20)
    search(tmp_path / "whole", surrogate="gb", prior=str(known), trials=20)
    assert chosen(begun) == chosen(tmp_path / "whole")
    search(tmp_path / "alone", surrogate="gb", trials=20)
    assert chosen(begun) != chosen(tmp_path / "alone")


def test_another_prior_in_its_place_is_said(begun):
    document = json.loads((begun / PRIOR).read_text())
    document["accuracies"] = [[1 - value for value in values] for values in document["accuracies"]]
    (begun / PRIOR).write_text(json.dumps(document))
    said = nas("resume", begun, "--trials", "14").stderr
    assert "prior is another one" in said


def test_a_file_of_a_benchmark_is_one_too(known, tmp_path):
    good("benchmark", "--from", known, "--out", tmp_path / "first.json")
    run = search(tmp_path / "run", surrogate="gb", prior=str(tmp_path / "first.json"), trials=12)
    search(tmp_path / "other", surrogate="gb", prior=str(known), trials=12)
    assert chosen(run.folder) == chosen(tmp_path / "other")
    assert read_document(run.folder / SETTINGS)["prior"] == str(tmp_path / "first.json")
    assert "prior" in read_document(run.folder / BASIS)


def test_the_report_says_how_to_find_it_again(begun, tmp_path):
    shutil.rmtree(tmp_path / "first")
    good("report", begun)
    (command,) = re.findall("nas search --config [^<]*", (begun / "report.html").read_text())
    assert f"--prior {begun / PRIOR}" in command
    good(*shlex.split(command)[1:], cwd=tmp_path)
    assert chosen(tmp_path / "runs/again") == chosen(begun)


def test_a_search_without_one_keeps_nothing_of_it(tmp_path):
    run = search(tmp_path / "run", trials=2)
    assert not (run.folder / PRIOR).exists()
    assert "prior" not in read_document(run.folder / SETTINGS)
    assert "prior" not in read_document(run.folder / BASIS)


def test_imagenet_knows_networks_of_other_spaces():
    space = get_space("efficientnet")
    prior = Prior(IMAGENET, space)
    assert prior.describe() == (
        "ImageNet top-1 by a surrogate; 27 of its 28 decisions follow from this space's"
    )
    rows = np.array([space.sample(np.random.default_rng(seed)) for seed in range(200)])
    accuracies = prior(rows)
    assert 0.4 < accuracies.min() < accuracies.max() < 0.7
    (b0,) = prior(np.array([space.encode(reference("efficientnet-b0"))]))
    assert b0 == pytest.approx(0.657, abs=0.003)  # as the surrogate has it in its own space
    assert b0 > np.quantile(accuracies, 0.9)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["--prior", "nothing"],
            "expected imagenet or curves, a run's folder, or a FILE.json by `nas benchmark`",
        ),
        (["--prior", "nothing.json"], "nothing.json"),
        (["--prior", "imagenet"], "prior 'imagenet': scores this search too"),
        (["--prior", "{few}"], "2 different networks have finished, expected 20 to 3,000"),
        (
            ["--prior", "{known}", "--controller", "evolution"],
            "prior '{known}': controller 'evolution' learns from none; use --controller predictor, or --prior none",
        ),
        (["--prior", ""], "prior '': expected a value"),
        (["--prior", " "], "prior ' ': expected"),
        (["--prior", "{known}", "--out", "{known}"], "out {known}: there is a run already"),
        (["--prior", "{known}", "--out", "{known}/.."], "exists and is no run"),
        (["--prior", "{known}", "--out", "{known}/in"], "is inside the run {known}"),
        (["--prior", "{known}", "--storage", "{known}/.."], "storage '{known}': there is a run already"),
        (
            ["--prior", "{known}", "--space", "mobilenet-v4", "--benchmark-data", "curves"],
            "the benchmark knows",
        ),
        (["--prior", "{known}", "--log", "wandb"], "wandb"),
        (["--prior", "{known}", "-o", "initial=1"], "initial 1"),
        (["--prior", "nothing://x/y"], "nothing"),
        (["--prior", "memory://x/y"], "memory://x/y: no run there (no search.yaml)"),
    ],
)
def test_what_is_none_is_refused_and_nothing_is_made_or_learned(given, said, known, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.studies.prior.make_run_benchmark", None)  # takes seconds
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", None)
    if "{few}" in given:
        search(tmp_path / "few", trials=2)
    words = [word.format(few=tmp_path / "few", known=known) for word in given]
    if "--storage" in words:
        words += ["--out", tmp_path / known.name]
    done = nas("search", "--evaluator", "benchmark", "--trials", "3", "--out", tmp_path / "run", *words)
    assert done.returncode == 2
    assert said.format(known=known) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_spaces_that_share_nothing_with_it_are_refused():
    with pytest.raises(InputError, match="prior 'imagenet': space 'accel-nasbench': its networks have 7"):
        Prior(IMAGENET, get_space("mobilenet-v4"))


def test_one_that_a_settings_file_has_is_switched_off(begun, tmp_path):
    again = ["search", "--config", begun / SETTINGS, "--trials", "2"]
    done = nas(*again, "--controller", "evolution", "--out", tmp_path / "a")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"prior '{tmp_path / 'first'}': controller 'evolution' learns from none" in done.stderr
    good(*again, "--controller", "evolution", "--prior", "none", "--out", tmp_path / "a")
    assert "prior" not in read_document(tmp_path / "a" / SETTINGS)


@pytest.mark.parametrize("storage", ["{}/kept", "memory://prior-test"])
def test_a_runs_copy_in_a_storage_is_one(storage, known, tmp_path):
    shutil.copytree(known, tmp_path / "first")
    url = f"{storage.format(tmp_path)}/first"
    with Mirror(url, tmp_path / "first"):
        pass
    run = search(tmp_path / "run", surrogate="gb", prior=url, trials=12)
    assert read_document(run.folder / SETTINGS)["prior"] == url
    assert json.loads((run.folder / PRIOR).read_text())["about"]["runs"] == [url]
    search(tmp_path / "other", surrogate="gb", prior=str(known), trials=12)
    assert chosen(run.folder) == chosen(tmp_path / "other")


def test_paths_from_python(known, tmp_path):
    run = run_search(evaluate="benchmark", surrogate="gb", prior=known, trials=2, out=tmp_path / "run")
    assert run.settings.prior == str(tmp_path / "run" / PRIOR)
    with pytest.raises(InputError, match="prior 3: expected a text"):
        run_search(evaluate="benchmark", prior=3, trials=2, out=tmp_path / "other")


def test_spaces_are_compared_before_anything_is_learned(known, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.studies.prior.make_run_benchmark", None)
    settings = make_settings(space="mobilenet-v4", prior=str(known))
    with pytest.raises(InputError, match=f"prior '{known}': space 'accel-nasbench'.*: its networks have 7"):
        learn_prior(settings, lambda text: None)


def test_a_run_that_has_grown_is_learned_anew(known, tmp_path):
    shutil.copytree(known, tmp_path / "first")
    settings = make_settings(space="accel-nasbench", prior=str(tmp_path / "first"))
    for trials in (40, 44):
        resume_search(tmp_path / "first", Placement(), Console(quiet=True), trials)
        learn_prior(settings, lambda text: None)
        prior = settings.make_prior(settings.make_space())
        assert f"on {trials} networks" in prior.describe()


def test_an_empty_name_is_none():
    with pytest.raises(InputError, match="prior '': expected imagenet, curves, a run's folder, a FILE.json"):
        make_settings(prior="")
    assert make_settings(prior="none").prior is None
