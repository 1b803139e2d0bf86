"""Whatever file operation a command is struck at, what it recommends then ends as if nothing had happened.

Each way to run, go on with, copy and fetch a run is swept: killed at every operation, cut off from power,
on a disk that is full. After that the user types what the tool has told them to, or the same again. In the
end all files are as an undisturbed run leaves them, those of a storage too; what was in a journal that
outlived the strike is not evaluated again; nothing half-made lies about.
"""

import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import search_spaces.document
from tests.nas.runs.disk import KILL, STRIKES, TEAR, Ended, run

TRIALS = 6
SEARCH = (
    "search",
    "--evaluator",
    "benchmark",
    "--controller",
    "evolution",
    "--trials",
    str(TRIALS),
    "--json",
)
HALF = ("search", "--evaluator", "benchmark", "--controller", "evolution", "--trials", "3", "--json")
STEPS = 5
"""Commands that a user may have to type until the run has ended."""


@dataclass(frozen=True)
class Way:
    """A way to come to a finished run in `runs/first`.

    Attributes:
        command: what is struck.
        before: commands that prepare it.
        lost: folders that are lost with the machine, before the command and, if `again`, after it.
    """

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    lost: tuple[str, ...] = ()
    again: bool = False


OUT = ("--out", "runs/first")
KEPT, STORE = ("--storage", "kept"), ("--storage", "bucket://{root}/kept")
TO_END = ("resume", "runs/first", "--trials", str(TRIALS), "--json")
WAYS = {
    "search": Way((*SEARCH, *OUT)),
    "or-resume, nothing there": Way((*SEARCH, *OUT, "--or-resume")),
    "or-resume, half a run": Way((*SEARCH, *OUT, "--or-resume"), ((*HALF, *OUT),)),
    "resume": Way(TO_END, ((*HALF, *OUT),)),
    "search, storage": Way((*SEARCH, *OUT, *KEPT)),
    "or-resume, storage": Way((*SEARCH, *OUT, *KEPT, "--or-resume"), ((*HALF, *OUT, *KEPT),)),
    "or-resume, machine lost": Way(
        (*SEARCH, *OUT, *KEPT, "--or-resume"), ((*HALF, *OUT, *KEPT),), ("runs",), True
    ),
    "resume, storage": Way(TO_END, ((*HALF, *OUT, *KEPT),)),
    "resume a copy": Way(("resume", "kept/first", *OUT, *TO_END[2:]), ((*HALF, *OUT, *KEPT),), ("runs",)),
    "search, store": Way((*SEARCH, *OUT, *STORE)),
    "resume from a store": Way(
        ("resume", f"{STORE[1]}/first", *OUT, *TO_END[2:]), ((*HALF, *OUT, *STORE),), ("runs",)
    ),
}


class FaultError(AssertionError):
    """What must not be, after a strike."""


@dataclass
class Place:
    """A working folder, and what is told of the commands in it."""

    root: Path
    notes: Path
    also: object = staticmethod(lambda: None)
    said: list[str] = field(default_factory=list)

    @classmethod
    def fresh(cls, folder: Path, also=lambda: None) -> "Place":
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "work").mkdir(parents=True)
        return cls(folder / "work", folder / "notes", also)

    def nas(self, command, at=-1, how=KILL) -> Ended:
        ended = run([a.format(root=self.root) for a in command], self.root, self.notes, at, how, self.also)
        self.said.append(f"$ nas {shlex.join(command)}  -> {ended.code}\n{ended.err}")
        return ended

    def prepare(self, way: Way) -> None:
        for command in way.before:
            assert self.nas(command).code == 0, self.said
        self.lose(way)

    def lose(self, way: Way) -> None:
        for name in way.lost:
            shutil.rmtree(self.root / name, ignore_errors=True)


def undisturbed(way: Way, folder: Path, also=lambda: None) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """The files that a way ends with, and its operations."""
    place = Place.fresh(folder, also)
    place.prepare(way)
    ended = place.nas(way.command)
    assert ended.code == 0, ended.err
    return files(place.root), ended.operations


def strike(way: Way, folder: Path, at: int, how: str, expected: dict[str, object], also=lambda: None) -> None:
    """Raise `FaultError` unless the way ends as it should after a strike."""
    place = Place.fresh(folder, also)
    place.prepare(way)
    ended = place.nas(way.command, at, how)
    if ended.code == 0:  # it did without
        return _check_end(place, expected)
    if ended.code is None and way.again:
        place.lose(way)
    _check_whole(place)
    for _ in range(STEPS):
        command = advised(ended.err) or way.command
        kept = digests(place.root)
        ended = place.nas(command)
        if twice := kept & set(ended.evaluated):
            raise FaultError(f"evaluated again: {twice}")
        if ended.code == 0:
            return _check_end(place, expected)
        if ended.code != 2 or "Traceback" in ended.err:
            raise FaultError(f"exit code {ended.code}")
        if advised(ended.err) is None:
            raise FaultError(f"a dead end: {ended.err}")
    raise FaultError("no end")


def advised(text: str) -> tuple[str, ...] | None:
    """The command that the tool recommends in what it printed."""
    found = re.findall(r"(?:continue with: |`)nas ((?:search|resume) [^`\n]+)", text)
    return (*shlex.split(found[0]), "--json") if found else None


def digests(root: Path) -> set[str]:
    """Of the networks in the journals that there are."""
    found = set()
    for path in root.rglob("trials.jsonl"):
        content = _growing(path) if path.is_dir() else path.read_text()
        for line in content.split("\n")[:-1]:
            found.add(json.loads(line)["digest"])
    return found


def _growing(folder: Path) -> str:
    """A growing file in a storage: of its parts those of the last generation that has begun."""
    parts = [path for path in folder.iterdir() if not path.name.startswith(".")]  # else half-written
    of = {path: path.name.rpartition(".")[0] for path in parts}
    begun = max((int(of[p] or 0) for p in parts if not int(p.name.rpartition(".")[2])), default=0)
    return "".join(path.read_text() for path in sorted(parts) if int(of[path] or 0) == begun)


def files(root: Path) -> dict[str, object]:
    """The content of all files, without what differs between two undisturbed runs."""
    found: dict[str, object] = {}
    parts: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        name = re.sub(r"tfevents\..*", "tfevents", str(path.relative_to(root)))
        if path.is_dir():
            continue
        if path.parent.suffix == ".jsonl":  # a growing file in a storage
            name = str(path.parent.relative_to(root))
            parts[name] = parts.get(name, b"") + path.read_bytes()
            found[name] = _lines(parts[name])
        elif path.suffix == ".jsonl":
            found[name] = _lines(path.read_bytes())
        else:
            random = "tfevents" in name or path.name in ("writer", ".lock", "metadata.tsv")
            assert name not in found, f"two of {name}"
            found[name] = None if random else path.read_text()
    return found


def _lines(content: bytes) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in content.splitlines()]
    return [{k: v for k, v in line.items() if k not in ("started", "seconds", "worker")} for line in lines]


def _check_end(place: Place, expected: dict[str, object]) -> None:
    try:
        found = files(place.root)
    except (ValueError, AssertionError) as error:
        raise FaultError(f"in the end: {error}") from None
    for name in (*expected, *found):
        if name not in found and name.endswith("proposals.jsonl"):
            continue  # of a copy whose run has lost its own
        if name not in found:
            raise FaultError(f"in the end {name} is missing")
        if name not in expected:
            raise FaultError(f"in the end {name} lies about")
        if name.endswith("proposals.jsonl"):  # those of ended trials are in the journal, too
            same = all(line in expected[name] for line in found[name])
        else:
            same = found[name] == expected[name]
        if not same:
            raise FaultError(f"in the end {name} differs")


def _check_whole(place: Place) -> None:
    """What looks like a run is one: with settings that are read."""
    for path in (*place.root.rglob("trials.jsonl"), *place.root.rglob("best.yaml")):
        if not path.parent.name.endswith(".unfinished") and not (path.parent / "search.yaml").is_file():
            raise FaultError(f"{path.parent} has {path.name} and no settings")


def sweep(way: Way, folder: Path, strikes=STRIKES, numbers=None, also=lambda: None) -> list[str]:
    """What went wrong, over the operations of a way."""
    expected, operations = undisturbed(way, folder, also)
    faults = []
    for at, (name, path) in enumerate(operations):
        for how in strikes:
            if (numbers is not None and at not in numbers) or (how == TEAR and name != "write"):
                continue
            try:
                strike(way, folder, at, how, expected, also)
            except FaultError as fault:
                faults.append(f"{how} at {at} ({name} {path}): {fault}")
    return faults


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where to strike; forked processes find everything loaded, and the same user's key."""
    import matplotlib.pyplot
    import torch

    import nas.report.tensorboard
    import nas.session
    from nas.benchmark.load import load_surrogate

    assert matplotlib.pyplot
    assert torch
    assert nas.session
    assert nas.report.tensorboard
    load_surrogate()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "place"


@pytest.mark.parametrize(
    ("name", "first"), [("search, storage", 4), ("search, storage", 16), ("resume a copy", 30)]
)
def test_struck_at_some_operation(name, first, place):
    """A few, killed; the slow test has all of them, and every way to be struck."""
    found = sweep(WAYS[name], place, (KILL,), range(first, 200, 40))
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WAYS)
def test_struck_at_every_operation(name, place):
    found = sweep(WAYS[name], place)
    assert not found, "\n".join(found)


def _in_place():
    """A planted fault: documents are written where they lie."""

    def write(path, data):
        with open(path, "wb") as stream:
            stream.write(data[: len(data) // 2])
            stream.flush()
            stream.write(data[len(data) // 2 :])

    search_spaces.document._write = write


def _link_last():
    """A planted fault: the link to the copy is kept when the search has begun."""
    from nas.runs import folder

    folder.keep_link = lambda *_: None


def _not_by_name():
    """A planted fault: what a killed writer left is not known."""
    from nas.runs import folder

    folder.sweep = folder.remove_temporaries = lambda *_: None
    sys.modules["nas.session"].sweep = lambda *_: None


@pytest.mark.parametrize(
    ("plant", "name", "strikes", "paths"),
    [
        (_in_place, "search", (TEAR,), "search.yaml"),
        (_link_last, "search, storage", (KILL,), "kept/first"),
        (_not_by_name, "resume", (KILL,), "best.yaml"),
    ],
)
def test_planted_faults_are_caught(plant, name, strikes, paths, place):
    _, operations = undisturbed(WAYS[name], place, plant)
    numbers = [n for n, (_, path) in enumerate(operations) if paths in path]
    assert numbers
    assert sweep(WAYS[name], place, strikes, numbers[:3], plant)
