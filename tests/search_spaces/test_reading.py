"""Files of strangers: what is no regular file, and what is larger than it may be, is one line at once."""

import os
import re
import resource
import signal
import zipfile
from pathlib import Path

import pytest

import controller
import nas
import search_spaces
from search_spaces import InputError
from search_spaces.reading import check_archive, open_regular, read_regular
from tests.command import nas as command

READERS = [
    ["cost", "FILE"],
    ["show", "FILE"],
    ["export", "FILE", "--to", "yaml"],
    ["space", "FILE"],
    ["search", "--config", "FILE"],
    ["search", "--space", "FILE"],
    ["search", "--proxy", "FILE"],
    ["search", "--evaluator", "benchmark", "--latency-table", "FILE"],
    ["search", "--evaluator", "benchmark", "--benchmark-data", "FILE"],
    ["rediscover", "--benchmark-data", "FILE"],
    ["train", "FILE", "--epochs", "1"],
    ["train", "mobilenet-v2", "--from", "FILE"],
    ["train", "--resume", "FILE"],
    ["supernet", "--resume", "FILE"],
    ["search", "--evaluator", "supernet", "--supernet", "FILE"],
    ["predict", "FILE", "."],
    ["push", "FILE", "--out", "hub"],
    ["import", "--from", "timm:FILE"],
]


@pytest.fixture
def limits():
    """Whoever waits for a pipe, or takes what a device gives, ends."""

    def late(*_):
        raise TimeoutError("waited for")

    before = signal.signal(signal.SIGALRM, late)
    kept = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), kept[1]))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    resource.setrlimit(resource.RLIMIT_AS, kept)


@pytest.mark.parametrize("ending", [".yaml", ".pt", ".onnx", ".py"])
@pytest.mark.parametrize("kind", ["pipe", "zero", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(kind, ending, tmp_path, limits):
    """By every command that reads a file; a name's ending decides how it is read."""
    odd = tmp_path / f"odd{ending}"
    {"pipe": os.mkfifo, "zero": lambda path: path.symlink_to("/dev/zero"), "folder": Path.mkdir}[kind](odd)
    for reader in READERS:
        done = command(*(word.replace("FILE", str(odd)) for word in reader), cwd=tmp_path)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert (done.returncode, len(lines)) == (2, 1), (reader, done.stderr)
        assert "Traceback" not in done.stderr
        if kind != "folder" and ending == ".yaml" and not {"import", "--resume"} & set(reader):
            assert "regular file" in lines[0], (reader, lines)


def test_what_this_process_was_given_open_is_read(tmp_path):
    """`nas show <(...)`: a pipe that somebody writes to."""
    out, into = os.pipe()
    os.write(into, b"hello")
    os.close(into)
    assert read_regular(f"/dev/fd/{out}", 100) == b"hello"
    os.close(out)


def test_longer_than_it_may_be(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert read_regular(tmp_path / "x", 5) == b"12345"
    with pytest.raises(InputError, match="larger than 4 bytes, no song"):
        read_regular(tmp_path / "x", 4, "song")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "y")


@pytest.mark.parametrize(
    ("packed", "longest", "stored", "message"),
    [
        (True, 1 << 20, True, "compressed, which PyTorch never writes"),
        (True, 1000, False, r"100,000 bytes unpacked, expected at most 1,000"),
        (True, 1 << 20, False, None),
        (False, 1 << 20, True, None),
    ],
)
def test_an_archive_is_looked_at_before_it_is_unpacked(packed, longest, stored, message, tmp_path):
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(tmp_path / "x", "w", how) as archive:
        archive.writestr("a", bytes(100_000))
    with open(tmp_path / "x", "rb") as stream:
        if message is None:
            check_archive(stream, longest, "x", stored)
        else:
            with pytest.raises(InputError, match=f"^x: .*{message}"):
                check_archive(stream, longest, "x", stored)


def test_a_packed_checkpoint_is_not_unpacked(tmp_path, limits):
    """A megabyte that would take one thousand in memory."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("data.pkl", "data/0"):
            archive.writestr(f"x/{name}", bytes(100 << 20))
    assert (tmp_path / "x.pt").stat().st_size < 1 << 20
    for reader in READERS:
        if reader[0] in ("cost", "show", "train", "predict", "export"):
            done = command(*(w.replace("FILE", str(tmp_path / "x.pt")) for w in reader), cwd=tmp_path)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert "its parts are compressed" in done.stderr


def test_a_space_of_too_many_choices_is_refused(tmp_path):
    stage = {"op": ["ds"], "channels": list(range(8, 2008))}
    with pytest.raises(InputError, match="2,000 choices: expected at most 1,000"):
        search_spaces.StagedSpace.from_document({"schema": 1, "space": "x", "stages": [stage]})


READ_WHOLE = re.compile(
    r"\.read_bytes\(\)|\.read_text\(|(?<![.\w])open\([^)]*[\"']rb[\"']\)|torch\.load\(path"
)
OURS = {
    "nas/data/memory.py": "the kernel's",
    "nas/latency/runtimes.py": "the kernel's",
    "nas/runs/signature.py": "this user's key",
    "nas/runs/mirror.py": "files of the run that this process writes",
    "nas/search/journal.py": "a file of the run that this process writes",
    "nas/cluster/controller_search.py": "what Tune kept for us",
    "nas/cluster/bridge.py": "what Tune kept for us",
    "nas/cluster/gpus.py": "a file of the installed torch",
    "nas/search/own_function.py": "Python's source of a function that is loaded",
    "nas/cluster/processes.py": "what our own processes tell",
    "nas/launch/copies.py": "files of this package, and one as large as they",
    "nas/benchmark/download.py": "what was just fetched, by its digest",
    "nas/commands/status.py": "a trial's log",
    "nas/data/web_dataset.py": "a shard whose members were listed",
    "search_spaces/reading.py": "here it is decided",
}


def test_files_are_opened_in_one_place():
    """Whoever reads a file whole goes through `search_spaces.reading`, or says here why not."""
    root = Path(nas.__file__).parents[1]
    found = {
        str(path.relative_to(root))
        for package in (nas, controller, search_spaces)
        for path in Path(package.__file__).parent.rglob("*.py")
        if READ_WHOLE.search(path.read_text())
    }
    assert found == set(OURS)
