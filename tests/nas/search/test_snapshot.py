"""A resumed run goes on from the state its controller had, and is what it would have been without one."""

import json
import shutil
from dataclasses import replace

import pytest
from rich.console import Console

from controller import CONTROLLERS
from controller.predictor_guided import PredictorGuided
from nas.runs.flat import make_settings
from nas.runs.folder import SETTINGS, Run
from nas.runs.placement import Placement
from nas.search import snapshot as snapshots
from nas.search.journal import PROPOSALS, TRIALS, Journal
from nas.search.snapshot import SNAPSHOT
from nas.session import resume_search, start_search
from search_spaces import InputError
from search_spaces.document import read_document, write_document
from tests.command import nas

COUNT, MORE = 24, 32


def search(folder, trials=COUNT, **more):
    settings = make_settings(
        space="accel-nasbench",
        evaluator="benchmark",
        targets={"benchmark_macs": "400M"},
        trials=trials,
        **more,
    )
    return start_search(settings, folder, Placement(), Console(quiet=True)).folder


def resumed(folder, trials=MORE):
    resume_search(folder, Placement(), Console(quiet=True), trials)
    return lines(folder)


def read(folder):
    return json.loads((folder / SNAPSHOT).read_text().splitlines()[0])


def rewrite(folder, document):
    (folder / SNAPSHOT).write_bytes(snapshots._sealed(json.dumps(document).encode()))


def lines(folder):
    kept = [json.loads(line) for line in (folder / TRIALS).read_text().splitlines()]
    return [[line[name] for name in ("trial", "architecture", "reward", "controller")] for line in kept]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return search(tmp_path_factory.mktemp("begun") / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the run is when it is never stopped."""
    return lines(search(tmp_path_factory.mktemp("whole") / "run", MORE))


@pytest.fixture
def run(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def asks(monkeypatch):
    """How often the predictor is asked."""
    counted, ask = [], PredictorGuided.ask
    monkeypatch.setattr(PredictorGuided, "ask", lambda self: counted.append(1) or ask(self))
    return counted


def test_only_what_is_new_is_asked_for(run, whole, asks):
    assert resumed(run) == whole
    assert len(asks) == MORE - COUNT


def test_without_it_all_is_asked_for_again_and_the_same(run, whole, asks):
    (run / SNAPSHOT).unlink()
    assert resumed(run) == whole
    assert len(asks) == MORE


def spoil_text(folder):
    (folder / SNAPSHOT).write_text((folder / SNAPSHOT).read_text()[:300])


def spoil_state(folder):
    """Of another version, say: a part is missing."""
    document = read(folder)
    del document["state"]["views"]
    rewrite(folder, document)


def spoil_one_number(folder):
    """Of the state: what it says is not what was written."""
    text = (folder / SNAPSHOT).read_text()
    (folder / SNAPSHOT).write_text(text.replace('"next_fit":', '"next_fit":1', 1))


def spoil_digest(folder):
    """It is of another journal."""
    rewrite(folder, read(folder) | {"journal": "0" * 64})


def spoil_rewards(folder):
    """The trials are rewarded otherwise now: what the controller knew isn't so any more."""
    document = read_document(folder / SETTINGS)
    document["reward"]["exponent"] = -0.2
    write_document(folder / SETTINGS, document)


def spoil_seed(folder):
    document = read_document(folder / SETTINGS)
    write_document(folder / SETTINGS, document | {"seed": 5})


def spoil_trials(folder):
    """A line is lost: its trial is run again."""
    kept = (folder / TRIALS).read_text().splitlines(keepends=True)
    (folder / TRIALS).write_text("".join(kept[:7] + kept[8:]))


def spoil_proposals(folder):
    kept = (folder / PROPOSALS).read_text().replace('"asked_after":3,', '"asked_after":2,')
    (folder / PROPOSALS).write_text(kept)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_text,
        spoil_state,
        spoil_one_number,
        spoil_digest,
        spoil_rewards,
        spoil_seed,
        spoil_trials,
        spoil_proposals,
    ],
)
def test_one_that_does_not_fit_is_not_used(spoil, run, asks):
    alone = run.parent / "alone"
    shutil.copytree(run, alone)
    spoil(run)
    spoil(alone)
    (alone / SNAPSHOT).unlink()
    found = resumed(run)
    assert len(asks) >= MORE
    assert found == resumed(alone)


def test_what_came_after_it_is_replayed(begun, run, whole, asks, tmp_path):
    """As of a driver that was killed: the snapshot is older than the journal."""
    old = (run / SNAPSHOT).read_bytes()
    resumed(run, 28)
    (run / SNAPSHOT).write_bytes(old)
    asks.clear()
    assert resumed(run) == whole
    assert len(asks) == MORE - COUNT


def test_it_is_written_as_the_search_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "_EVERY", 0.0)
    monkeypatch.setattr(snapshots, "_SHARE", 1e9)
    written = []
    write = snapshots.write_atomically
    monkeypatch.setattr(
        snapshots,
        "write_atomically",
        lambda path, text: written.append(json.loads(text.splitlines()[0])) or write(path, text),
    )
    search(tmp_path / "run", 5)
    assert [kept["told"] for kept in written] == [1, 2, 3, 4, 5, 5]
    assert [kept["trials"] for kept in written[:4]] == [0] * 4
    assert written[-1]["trials"] == 5


def test_a_search_until_it_has_converged_goes_on_as_it_would(tmp_path):
    more = {"until": "converged", "price": 3}
    whole = lines(search(tmp_path / "whole", 200, **more))
    assert 40 < len(whole) < 200  # it stops itself
    search(tmp_path / "run", 45, **more)
    assert resumed(tmp_path / "run", 200) == whole


# the slow one is held to the same by the contract suite
@pytest.mark.parametrize("controller", sorted(CONTROLLERS.built_in - {"predictor", "botorch"}))
def test_every_controller_goes_on_from_it(controller, tmp_path):
    whole = lines(search(tmp_path / "whole", 14, controller=controller))
    search(tmp_path / "run", 9, controller=controller)
    assert read(tmp_path / "run")["told"] == 9
    assert resumed(tmp_path / "run", 14) == whole


def test_a_finished_run_is_shown_at_once(run, asks):
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    done = nas("resume", run)
    assert done.returncode == 0
    assert "has ended, all is there" in done.stderr
    assert "Winner: trial" in done.stdout
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before
    assert not asks


def test_one_that_is_not_whole_is_gone_on_with(run):
    (run / "pareto.csv").unlink()
    assert "has ended" not in nas("resume", run).stderr
    assert (run / "pareto.csv").is_file()
    spoil_rewards(run)
    assert "has ended" not in nas("resume", run).stderr
    assert "has ended" in nas("resume", run).stderr


def test_a_killed_one_is_not_finished(run):
    """It has all its trials, but died before it wrote what it leaves."""
    rewrite(run, read(run) | {"trials": 0})
    assert not Run.open(run).is_over(COUNT)
    assert "has ended" not in nas("resume", run).stderr


def test_what_the_journal_could_not_take_is_in_no_snapshot(run, whole, monkeypatch):
    """The controller had learned it when the disk was full: the trial is run again."""
    append = Journal._write_record

    def full(self, record):
        if record.trial == 27:
            raise InputError("the disk is full")
        append(self, record)

    monkeypatch.setattr(snapshots, "_EVERY", 0.0)
    monkeypatch.setattr(snapshots, "_SHARE", 1e9)
    with monkeypatch.context() as struck:
        struck.setattr(Journal, "_write_record", full)
        with pytest.raises(InputError, match="full"):
            resumed(run)
    assert read(run)["told"] == 27
    assert resumed(run) == whole


@pytest.mark.parametrize("name", ["best.yaml", "pareto.csv", "events"])
def test_a_finished_run_that_has_lost_a_result_makes_it_again(name, run):
    path = next(run.glob("events.out.tfevents.*")) if name == "events" else run / name
    before = path.read_bytes()
    path.write_bytes(b"")
    if name == "events":
        path.unlink()
    assert "has ended" not in nas("resume", run).stderr
    assert name == "events" or path.read_bytes() == before
    assert any(run.glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    "change", [{"accuracy": 0.4}, {"costs": {"macs": 1e6}}, {"reward": 0.1}, {"state": "stopped"}]
)
def test_all_that_a_controller_is_told_is_in_the_digest(change, run):
    kept = Run.open(run)
    records = kept.records()
    proposals = {record.trial: (record.asked_after, record.architecture) for record in records}
    digest = snapshots._digest(records, proposals)
    assert digest == read(run)["journal"]
    assert digest != snapshots._digest([*records[:-1], replace(records[-1], **change)], proposals)
