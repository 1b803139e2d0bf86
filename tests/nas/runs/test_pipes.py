"""A run's folder with something in it that is no file: nobody waits for a pipe."""

import os
import shutil
import signal
import stat
from threading import Thread

import pytest

from search_spaces import InputError
from search_spaces.document import write_atomically
from tests.command import good, nas

NAMES = (
    "best.yaml",
    "controller.json",
    "trials.jsonl",
    "placement.yaml",
    "scored.yaml",
    "running.json",
    "tracked.jsonl",
    "search.yaml",
    ".lock",
    "logs",
    "logs/trial_000000.log",
    "models/trial_000000.pt",
    "ray/mine",
)


@pytest.fixture
def impatient():
    """Whoever waits for a pipe ends."""

    def late(*_):
        raise TimeoutError("waited for")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 60, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    place = tmp_path_factory.mktemp("finished") / "x"
    good("search", "--evaluator", "benchmark", "--controller", "random", "--trials", "2", "--out", place)
    return place


def state(folder):
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_with_a_pipe_in_a_files_place_is_refused_at_once(name, finished, tmp_path, impatient):
    shutil.copytree(finished, tmp_path / "x")
    place = tmp_path / "x" / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    before = state(tmp_path / "x")
    for words in (("resume", "x", "--trials", "3"), ("report", "x"), ("tensorboard", "x", "--trial", "1")):
        done = nas(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert name == "search.yaml" or f"{name}: is a pipe, expected a regular file" in done.stderr
    for words in (("status", "x"), ("show", "x"), ("logs", "0", "x")):  # these only look
        assert nas(*words, cwd=tmp_path).returncode in (0, 2)
    assert state(tmp_path / "x") == before


@pytest.mark.parametrize("name", ["best.yaml", "search.yaml", "proposals.jsonl"])
def test_so_is_the_copy_of_a_run(name, tmp_path, impatient):
    small = ("--evaluator", "benchmark", "--controller", "random", "--trials", "2")
    good("search", *small, "--out", "x", "--storage", tmp_path / "kept", cwd=tmp_path)
    place = tmp_path / "kept" / "x" / name
    if place.is_dir():
        (place,) = place.iterdir()
    place.unlink()
    os.mkfifo(place)
    done = nas("resume", tmp_path / "kept" / "x", "--out", "y", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "it is a pipe" in done.stderr or name == "search.yaml"
    assert not (tmp_path / "y").exists()


def test_what_is_nobodys_but_the_users_may_be_a_pipe(finished, tmp_path, impatient):
    shutil.copytree(finished, tmp_path / "x")
    os.mkfifo(tmp_path / "x" / "mine")
    good("resume", "x", "--trials", "3", cwd=tmp_path)
    good("report", "x", cwd=tmp_path)


def test_a_pipe_is_written_to_where_somebody_reads_from_it(tmp_path, impatient):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(InputError, match="x: cannot write: it is a pipe that nobody reads from"):
        write_atomically(tmp_path / "x", "hello")
    reader = os.open(tmp_path / "x", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    long = b"hello" * 100_000  # more than a pipe holds
    writer = Thread(target=write_atomically, args=(tmp_path / "x", long), daemon=True)
    writer.start()
    while not (read := os.read(reader, 1)):  # nobody has opened it yet
        pass
    with open(reader, "rb") as stream:
        assert read + stream.read() == long
    writer.join()
    assert stat.S_ISFIFO((tmp_path / "x").stat().st_mode)
