"""A run's copies of what its settings name: there before it is a run, and of what search.yaml names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from controller.encoding import Encoding
from controller.predictor import Predictor
from nas.benchmark.run_surrogate import RunSurrogate, Trainings
from nas.latency.parts import space_parts
from nas.latency.setting import Setting
from nas.latency.table import LatencyTable
from nas.runs import basis, copies
from nas.runs import folder as run_folder
from nas.runs import mirror as mirrors
from nas.runs.basis import BASIS, copied_from
from nas.runs.copies import LATENCY_TABLE, PRIOR
from nas.runs.flat import make_settings
from nas.runs.folder import SETTINGS, Run
from nas.runs.mirror import Mirror
from nas.runs.placement import Placement
from nas.session import start_search
from search_spaces import InputError, get_space
from search_spaces.document import read_document, write_document
from tests.command import good, nas

SPACE = {"space": "accel-nasbench", "evaluator": "benchmark", "targets": {"benchmark_macs": "400M"}}


def search(folder, trials=12, **more):
    settings = make_settings(**SPACE, trials=trials, **more)
    return start_search(settings, folder, Placement(), Console(quiet=True))


def benchmark(path, seed):
    """A benchmark of made-up trainings, by a process that nobody has fitted."""
    space, rng = get_space("accel-nasbench"), np.random.default_rng(seed)
    rows = np.unique([space.sample(rng) for _ in range(20)], axis=0)
    trainings = Trainings(space, rows, [[accuracy] for accuracy in rng.uniform(0.4, 0.7, len(rows))])
    RunSurrogate(trainings, Predictor(Encoding(space)).parameters, {"networks": len(rows)}).write(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Benchmarks `a.json` and `b.json`, and a finished run `b`."""
    place = tmp_path_factory.mktemp("files")
    for seed, name in enumerate("ab"):
        benchmark(place / f"{name}.json", seed)
    search(place / "b", 20, controller="random")
    return place


@pytest.fixture(scope="module")
def begun(files, tmp_path_factory):
    """A search on the other surrogate that starts from `a.json`."""
    return search(
        tmp_path_factory.mktemp("begun") / "run", surrogate="gb", prior=str(files / "a.json")
    ).folder


@pytest.fixture
def run(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    return tmp_path / "run"


def edit(folder, **values):
    document = read_document(folder / SETTINGS) | values
    write_document(folder / SETTINGS, {name: value for name, value in document.items() if value != "gone"})


def rows_of(path):
    return json.loads(path.read_text())["rows"]


def chosen(folder):
    return [tuple(record.architecture) for record in Run.open(folder).records()]


def test_what_is_named_later_is_taken_in_place_of_the_copy(run, files):
    before = chosen(run)
    edit(run, prior=str(files / "b"))  # a run, of which a benchmark is made first
    done = nas("resume", run, "--trials", "16")
    assert "learning from" in done.stderr
    assert "prior is another one" in done.stderr
    assert rows_of(run / PRIOR) == [list(architecture) for architecture in chosen(files / "b")]
    assert copied_from(run) == {"prior": str(files / "b")}
    assert chosen(run)[:12] == before
    assert Run.open(run).settings.prior == str(run / PRIOR)
    said = nas("resume", run, "--trials", "18").stderr
    assert "another one" not in said
    assert "learning" not in said


@pytest.mark.parametrize(
    ("named", "said"), [("gone", "prior was one, is none"), ("curves", "prior is another one")]
)
def test_so_is_one_that_needs_no_copy(named, said, run):
    edit(run, prior=named)
    done = nas("resume", run, "--trials", "16")
    assert said in done.stderr
    assert str(run / PRIOR) not in nas("report", run).stderr + (run / "report.html").read_text()


def test_one_that_is_not_there_is_refused(run):
    edit(run, prior="/nowhere.json")
    before = (run / PRIOR).read_bytes()
    done = nas("resume", run, "--trials", "16")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "/nowhere.json" in done.stderr
    assert (run / PRIOR).read_bytes() == before


def test_the_copy_counts_where_what_it_is_of_is_gone(run, files, tmp_path):
    shutil.copy(files / "a.json", tmp_path / "mine.json")
    edit(run, prior=str(tmp_path / "mine.json"))
    nas("resume", run, "--trials", "13")
    (tmp_path / "mine.json").unlink()
    said = nas("resume", run, "--trials", "14").stderr
    assert "another one" not in said  # the same content by another name is the same prior
    assert len(chosen(run)) == 14


def test_a_lost_copy_is_made_again_or_said(run, tmp_path):
    kept = (run / PRIOR).read_bytes()
    (run / PRIOR).unlink()
    assert "another one" not in nas("resume", run, "--trials", "13").stderr
    assert (run / PRIOR).read_bytes() == kept
    gone = str(tmp_path / "gone.json")
    edit(run, prior=gone)
    document = read_document(run / BASIS)
    write_document(run / BASIS, document | {"copied_from": {"prior": gone}})
    (run / PRIOR).unlink()
    done = nas("resume", run, "--trials", "14")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"its prior.json is lost, and so is {gone}, which it was the copy of" in done.stderr


def table(path, milliseconds):
    entries = {part.key: milliseconds for part in space_parts(get_space("accel-nasbench"))}
    LatencyTable(Setting(), entries, 0.0, 1.0, 0.0, {}).write(str(path))
    return str(path)


def test_a_latency_table_is_held_to_the_same_rule(tmp_path):
    first, other = table(tmp_path / "first.json", 1.0), table(tmp_path / "other.json", 2.0)
    run = search(tmp_path / "run", 2, controller="random", latency_table=first).folder
    kept = (run / LATENCY_TABLE).read_bytes()
    edit(run, latency_table=other)
    done = nas("resume", run, "--trials", "3")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "latency_table is another one" in done.stderr
    assert (run / LATENCY_TABLE).read_bytes() == kept
    edit(run, latency_table=table(tmp_path / "moved.json", 1.0))
    good("resume", run, "--trials", "3")
    (tmp_path / "moved.json").unlink()
    good("resume", run, "--trials", "4")


def test_the_same_search_has_the_same_latency_table(tmp_path):
    first, other = table(tmp_path / "first.json", 1.0), table(tmp_path / "other.json", 2.0)
    run = tmp_path / "run"
    begun = ["search", "--space", "accel-nasbench", "--evaluator", "benchmark", "--controller", "random"]
    begun += ["--target", "400M", "--trials", "2", "--out", run, "--latency-table"]
    good(*begun, first)
    good(*begun, table(tmp_path / "moved.json", 1.0), "--or-resume")
    for again in ([*begun, other], begun[:-1]):
        done = nas(*again, "--or-resume")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"the run in {run} has another one" in done.stderr


class KilledError(BaseException):
    """As of a process that is killed."""


@pytest.mark.parametrize("at", [BASIS, PRIOR, SETTINGS])
def test_a_start_that_is_killed_leaves_a_run_with_its_copies_or_none(at, files, tmp_path, monkeypatch):
    def struck(module, name):
        write = getattr(module, name)

        def instead(path, *content):
            if Path(path).name == at:
                raise KilledError
            return write(path, *content)

        undo.setattr(module, name, instead)

    with monkeypatch.context() as undo:
        struck(run_folder, "write_document")
        struck(basis, "write_document")
        struck(copies, "write_atomically")
        with pytest.raises(KilledError):
            search(tmp_path / "run", 2, surrogate="gb", prior=str(files / "a.json"))
    assert not Run.is_run(tmp_path / "run")
    assert (tmp_path / "run" / PRIOR).exists() == (at == SETTINGS)
    search(tmp_path / "run", 2, surrogate="gb", prior=str(files / "b.json"))  # begins where that one left off
    assert rows_of(tmp_path / "run" / PRIOR) == rows_of(files / "b.json")


@pytest.mark.parametrize("name", [PRIOR, LATENCY_TABLE, BASIS])
def test_what_lies_there_of_others_is_not_written_over(name, files, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(InputError, match="exists and is no run"):
        search(tmp_path / "run", 2, surrogate="gb", prior=str(files / "a.json"))
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_a_storage_has_the_copies_before_it_has_a_run(run, tmp_path, monkeypatch):
    written = []
    write = mirrors.write_object
    monkeypatch.setattr(
        mirrors,
        "write_object",
        lambda files, path, data: written.append(Path(path).name) or write(files, path, data),
    )
    with Mirror(str(tmp_path / "kept"), run):
        pass
    assert {BASIS, PRIOR} <= set(written[: written.index(SETTINGS)])
