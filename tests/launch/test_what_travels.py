"""A job has what lies in the folder that travels along; what a search names and isn't there is refused here."""

import json

import pytest

from tests.command import good, nas

DRY = ["launch", "--to", "job", "--dry-run"]
OUT = ["--out", "runs/second"]


def launched(*words, cwd, job=()):
    return nas(*DRY, *job, "--", "search", *words, *OUT, cwd=cwd)


@pytest.fixture
def here(tmp_path):
    for name in ("runs/first/search.yaml", "runs/p.yaml", "other/first/search.yaml", "space.yaml", "x.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize("name", ["runs/first", "./runs/first", "other/../runs/first", "runs/first/"])
def test_a_prior_that_stays_here_is_refused_with_what_travels(name, here):
    done = launched("--prior", name, cwd=here)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"prior '{name}': runs/* does not travel with a job" in done.stderr
    assert f"`nas benchmark --from {name} --out prior.json`" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--config", "runs/p.yaml"], "config 'runs/p.yaml': runs/* does not travel"),
        (["--proxy", "runs/p.yaml"], "proxy 'runs/p.yaml': runs/* does not travel"),
        (["--evaluator", "supernet", "--supernet", "x.pt"], "supernet 'x.pt': *.pt does not travel"),
        (["--space", "../space.yaml"], "space '../space.yaml': a job finds what lies in '.'"),
    ],
)
def test_so_is_any_other_file_that_stays_here(words, said, here):
    document = "schema: 1\nspace: s\nstages: []\n"
    (here / "space.yaml").write_text(document)
    (here / "runs/p.yaml").write_text("schema: 2\n")
    cwd = here / "other" if "../space.yaml" in words else here
    done = launched(*words, cwd=cwd)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_prior_of_the_settings_file_is_one_too(here):
    (here / "settings.yaml").write_text("schema: 2\nprior: runs/first\n")
    assert "prior 'runs/first'" in launched("--config", "settings.yaml", cwd=here).stderr
    assert launched("--config", "settings.yaml", "--prior", "imagenet", cwd=here).returncode == 0


@pytest.mark.parametrize("name", ["other/first", "imagenet", "none", "s3://bucket/first", "/elsewhere/first"])
def test_what_travels_or_is_there_is_launched(name, here):
    done = launched("--prior", name, cwd=here)
    assert done.returncode == 0, done.stderr
    assert f"--prior {name}" in json.loads(done.stdout)["entrypoint"]


def test_the_folder_that_travels_is_the_one_that_counts(here):
    here_too = here / "other"
    said = launched("--prior", "first", cwd=here_too, job=["--working-dir", str(here)]).stderr
    assert "prior 'first': a job finds what lies in" in said
    said = launched("--prior", "first", cwd=here_too, job=["--working-dir", ""]).stderr
    assert "prior 'first': with --working-dir '' no file travels" in said
    good(*DRY, "--", "search", "--prior", "first", *OUT, cwd=here_too)
