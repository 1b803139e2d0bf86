"""Where a run is, and where its copy: whatever the names, on every start, whoever wrote the folder."""

import json
import re
import shutil
from pathlib import Path

import pytest

from nas.report.tensorboard import write_trial_curves
from nas.runs.folder import OURS
from nas.runs.link import STORAGE, copy_of, kept_copy, storage_of
from nas.runs.storage import Checkpoints, is_url, open_storage
from nas.search.journal import TRIALS, read_records
from search_spaces import InputError
from tests.command import good, nas

SEARCH = ["search", "--evaluator", "benchmark", "--controller", "random"]


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ODD = [
    "first::lr0.1", "file::x", "s3:x", "a?b#c%20d", "exp[seed1]", "*", "~", "{a,b}", "x:y@z", " a b ", "ü", "$HOME",
]  # fmt: skip


QUICK = {("first::lr0.1", True), ("first::lr0.1", False), (" a b ", False), ("exp[seed1]", False)}
PLACES = [(name, inside) for name in ODD for inside in (False, True)]


@pytest.mark.parametrize(
    ("name", "inside"),
    [pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.slow]) for case in PLACES],
)
def test_a_local_path_is_never_a_url(name, inside, tmp_path):
    """A run, its copy and its checkpoints are where they were said to be; the neighbours stay as they were."""
    here = tmp_path / name if inside else tmp_path
    here.mkdir(exist_ok=True)
    for neighbour in ("first", "kept"):
        (here / neighbour / "checkpoints").mkdir(parents=True)
        for file in ("search.yaml", "trials.jsonl", "checkpoints/trial_000001.pt"):
            (here / neighbour / file).write_text("another's")
    before = {other: everything(here / other) for other in ("first", "kept")}
    out, storage = f"dl/{name}", f"kept {name}"
    good(*SEARCH, "--trials", "2", "--seed", "1", "--out", out, "--storage", storage, cwd=here)
    again = json.loads(good("resume", f"./{out}", "--trials", "3", "--json", cwd=here))
    assert again["trials"] == 3
    shutil.rmtree(here / "dl")
    copy = here / storage / name
    assert (copy / TRIALS).is_dir()
    fetched = json.loads(good("resume", f"{storage}/{name}", "--out", f"back {name}", "--json", cwd=here))
    assert fetched["trials"] == 3
    assert {path.name for path in here.iterdir()} == {"first", "kept", f"kept {name}", f"back {name}"}
    assert {other: everything(here / other) for other in ("first", "kept")} == before


@pytest.mark.parametrize("name", ODD)
def test_only_what_was_written_is_removed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for neighbour in ("first", "first/trial_000001.pt", name, f"{name}/checkpoints"):
        (tmp_path / neighbour).mkdir(exist_ok=True)
    (tmp_path / "first" / "mine").write_text("mine")
    (tmp_path / name / "checkpoints" / "notes.txt").write_text("mine")
    kept = Checkpoints(f"{name}/checkpoints")
    kept.mark()
    for trial in (0, 1_000_000):
        kept.save(trial, {"rows": []})
        assert kept.load(trial) == {"rows": []}
    (tmp_path / name / "checkpoints" / ".trial_000001.pt.77.0123abcd.part").write_text("of a killed worker")
    kept.clear()
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        "first/mine", f"{name}/checkpoints/notes.txt",
    }  # fmt: skip
    (tmp_path / name / "checkpoints" / "notes.txt").unlink()
    kept.clear()
    assert not (tmp_path / name / "checkpoints").exists()


def test_what_is_a_url():
    assert all(map(is_url, ("s3://b/x", "gs://b", "file:///a", "simplecache::s3://b/x", "memory://x")))
    for text in ("a", "/a::b", "a::b", "./s3://b", "/x/s3://b", "s3:/b", "://", "::s3://b", "c://x"):
        assert not is_url(text)
        files, root = open_storage(text)
        assert type(files).__name__ == "LocalFileSystem"
        assert root.startswith("/")


@pytest.mark.parametrize("name", ["first::lr0.1", "a?versionId=1", "a#b", "a%2Fb", "a*", "[x]", "a\\b"])
def test_a_name_with_another_meaning_in_a_url_is_refused(name, tmp_path):
    done = nas(*SEARCH, "--out", name, "--storage", f"file://{tmp_path}/kept", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "would be read otherwise in a URL" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("storage", ["kept", "file://{}/kept"])
def test_one_place_on_every_start(storage, tmp_path):
    """Search, search again, lost and again, three times; resumed by folder with the storage named, and without."""
    storage = storage.format(tmp_path)
    again = [*SEARCH, "--out", "runs/x", "--or-resume", "--storage", storage, "--json"]
    for trials in (2, 3):  # the machine is lost after each
        done = json.loads(good(*again, "--trials", trials, cwd=tmp_path))
        assert done["trials"] == trials
        shutil.rmtree(tmp_path / "runs")
    good(*again, cwd=tmp_path)
    for trials, more in ((25, ["--storage", storage]), (26, [])):
        done = json.loads(good("resume", "runs/x", "--trials", trials, "--json", *more, cwd=tmp_path))
        assert done["trials"] == trials
    # another run of that storage, and the run itself under another name
    good(*SEARCH, "--trials", "2", "--seed", "5", "--out", "runs/y", "--storage", storage, cwd=tmp_path)
    (tmp_path / "runs" / "x").rename(tmp_path / "runs" / "z")
    done = json.loads(good("resume", "runs/z", "--trials", "27", "--json", cwd=tmp_path))
    assert done["trials"] == 27
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["x", "y"]
    back = json.loads(good("resume", f"{storage}/x", "--out", "back", "--json", cwd=tmp_path))
    assert back["trials"] == 27


def test_the_copy_of_another_run_is_left_alone(tmp_path):
    for name, seed in (("a/x", "1"), ("b/x", "2")):
        good(*SEARCH, "--trials", "3", "--seed", seed, "--out", name, cwd=tmp_path)
    good("resume", "a/x", "--trials", "4", "--storage", "kept", cwd=tmp_path)
    before = everything(tmp_path / "kept")
    done = nas("resume", "b/x", "--trials", "5", "--storage", "kept", cwd=tmp_path)
    assert (done.returncode, "is another run's" in done.stderr) == (2, True)
    assert everything(tmp_path / "kept") == before


def test_a_strangers_folder_decides_nothing(tmp_path, monkeypatch):
    """Its link is followed only where this user wrote it, or names the place again."""
    good(*SEARCH, "--trials", "2", "--out", "x", cwd=tmp_path)
    (tmp_path / "x" / STORAGE).write_text(f"{tmp_path}/target/x\n")
    done = nas("resume", "x", "--trials", "3", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"give --storage {tmp_path}/target/x" in done.stderr
    assert not (tmp_path / "target").exists()
    good("resume", "x", "--trials", "3", "--storage", f"{tmp_path}/target/x", cwd=tmp_path)
    assert (tmp_path / "target" / "x" / "search.yaml").is_file()
    good("resume", "x", "--trials", "4", cwd=tmp_path)  # this user's own link by now
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    done = nas("resume", "x", "--trials", "5", cwd=tmp_path)
    assert (done.returncode, "was not written by you" in done.stderr) == (2, True)
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")  # who can keep no key names it each time
    good("resume", "x", "--trials", "6", "--storage", "target", cwd=tmp_path)
    done = nas("resume", "x", "--trials", "7", cwd=tmp_path)
    assert (done.returncode, "was not written by you" in done.stderr) == (2, True)


def test_links(tmp_path):
    assert storage_of(tmp_path) is None
    assert kept_copy(tmp_path, None) is None
    assert copy_of("s3://b/", tmp_path / "x") == "s3://b/x"
    assert copy_of("s3://b", tmp_path / "y" / "..") == f"s3://b/{tmp_path.name}"
    (tmp_path / STORAGE).write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read"):
        kept_copy(tmp_path, None)


@pytest.mark.parametrize("url", ["file:///", "memory://x/..", "s3://"])
def test_a_copy_without_a_name_goes_nowhere(url, tmp_path):
    done = nas("resume", url, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_what_killed_drivers_leave_is_swept(tmp_path):
    """Half-written files of ours go with the next start; others stay."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".search.yaml.abcd1234.part").write_text("sche")  # killed before there was a run
    good(*SEARCH, "--trials", "2", "--out", "x", cwd=tmp_path)
    left = [
        ".best.yaml.abcd1234",
        ".best.yaml.abcd1234.part",
        ".pareto.csv.abcd_234.part",
        ".storage.abcd1234.part",
    ]
    mine = [".best.yaml", ".best.yaml.backup", ".notes.abcd1234", "best.yaml.abcd1234.part"]
    for name in (*left, *mine):
        (tmp_path / "x" / name).write_text("")
    good("resume", "x", "--trials", "3", cwd=tmp_path)
    there = {path.name for path in (tmp_path / "x").iterdir()}
    assert not there & set(left)
    assert there >= set(mine)
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "mine").write_text("")
    done = nas(*SEARCH, "--trials", "2", "--out", "y", cwd=tmp_path)
    assert (done.returncode, "no run" in done.stderr) == (2, True)


LINKS = (
    "best.yaml",
    "trials.jsonl",
    "placement.yaml",
    "scored.yaml",
    "logs",
    "logs/trial_000000.log",
    "ray",
    "checkpoints",
    "points",
)


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_written_through_a_link_of_a_strangers_folder(name, tmp_path):
    good(*SEARCH, "--trials", "2", "--out", "x", cwd=tmp_path)
    (tmp_path / "home").mkdir()
    mine = tmp_path / "home" / Path(name).name
    place = tmp_path / "x" / name
    place.parent.mkdir(exist_ok=True)
    if place.is_dir() or name in ("ray", "logs", "checkpoints"):
        shutil.rmtree(place, ignore_errors=True)
        mine.mkdir()
        (mine / "mine").write_text("mine")
    else:
        mine.write_bytes(place.read_bytes() if place.exists() else b"mine")
        place.unlink(missing_ok=True)
    place.symlink_to(mine)
    before = everything(tmp_path / "home")
    for words in (("resume", "x", "--trials", "3"), ("report", "x"), ("tensorboard", "x", "--trial", "1")):
        done = nas(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"a link to {mine}" in done.stderr
    assert everything(tmp_path / "home") == before
    place.unlink()
    if mine.is_file():
        shutil.copy(mine, place)
    (tmp_path / "x" / "my notes").symlink_to(mine)  # that is nobody's but the user's
    assert nas("report", "x", cwd=tmp_path).returncode == 0


def test_what_a_run_writes_at_its_top_is_known(tmp_path):
    """Else a link of its name would be written through."""
    run, top = tmp_path / "x", set()

    def go(*words):
        good(*words, cwd=tmp_path)
        top.update(path.name for path in run.iterdir())

    go(*SEARCH, "--trials", "3", "--out", "x", "--storage", "kept")
    with (run / TRIALS).open("a") as journal:
        journal.write("no trial\n{}\n")
    go("resume", "x", "--trials", "4")
    write_trial_curves(run, read_records(run))
    go("report", "x")
    assert {"trials.jsonl.damaged", ".lock", "report.html"} <= top
    assert [name for name in top if not re.fullmatch(OURS, name)] == []


def test_only_what_a_run_wrote_is_removed(tmp_path):
    """Not by a folder's name, whoever's files are in it."""
    good(*SEARCH, "--trials", "3", "--out", "x", cwd=tmp_path)
    for name in ("points/mine.tsv", "00000/mine", "curves/mine/x", "curves/trial_000001/mine", "ray/mine"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text("mine")
    good("resume", "x", "--trials", "4", cwd=tmp_path)
    write_trial_curves(tmp_path / "x", read_records(tmp_path / "x"))
    write_trial_curves(tmp_path / "x", read_records(tmp_path / "x")[:1])
    found = {path.name for path in (tmp_path / "x" / "curves").iterdir()}
    assert found == {"mine", "trial_000000", "trial_000001"}
    assert len([path for path in (tmp_path / "x").rglob("mine*") if path.is_file()]) == 4
    assert (tmp_path / "x" / "points" / "mine.tsv").read_text() == "mine"
