"""`--on-end CMD`: told how a search has ended, whatever becomes of it."""

import json
import sys

import pytest

from nas.commands import start as start_command
from search_spaces.document import write_document
from tests.command import nas

SEARCH = ["search", "--evaluator", "benchmark", "--trials", "4", "--out", "run"]
TEE = f"{sys.executable} -c \"import sys; open('told.json', 'w').write(sys.stdin.read()); print('noted')\""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(folder):
    return json.loads((folder / "told.json").read_text())


def test_the_result_is_on_stdin_and_stdout_stays_json(here):
    done = nas(*SEARCH, "--json", "--on-end", TEE)
    assert done.returncode == 0, done.stderr
    assert told(here) == {"state": "done", **json.loads(done.stdout)}
    assert "noted\n" in done.stderr
    assert nas("resume", "run", "--trials", "5", "--on-end", TEE).returncode == 0
    assert told(here)["trials"] == 5


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (f"{sys.executable} -c 'raise SystemExit(3)'", "ended with exit code 3"),
        ("./no-program", "no-program: "),
    ],
)
def test_its_failure_is_a_line_and_no_lost_run(here, command, line):
    (here / "no-program").write_text("no program")
    (here / "no-program").chmod(0o755)
    done = nas(*SEARCH, "--on-end", command)
    assert done.returncode == 0
    assert line in done.stderr
    assert (here / "run" / "best.yaml").is_file()


def test_a_search_that_fails_or_is_stopped_is_told_too(here, monkeypatch):
    def breaks(*where):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nas.runs.folder.Run.keep_copies", breaks)
    assert nas(*SEARCH, "--on-end", TEE).returncode == 2
    assert told(here)["state"] == "failed"
    assert told(here)["run"] == "run"
    assert "No space left" in told(here)["error"]
    monkeypatch.undo()
    monkeypatch.chdir(here)

    def stopped(*where):
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.commands.search.resume_search", stopped)
    assert nas("resume", "run", "--on-end", TEE).returncode == 130
    assert told(here)["state"] == "interrupted"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("", "expected a command"),
        ("nothing-of-that-name x", "no program 'nothing-of-that-name' is found"),
        ("tee 'told", "No closing quotation"),
    ],
)
def test_no_command_is_said_before_anything(here, command, line):
    done = nas(*SEARCH, "--on-end", command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "on-end" in done.stderr
    assert line in done.stderr
    assert not (here / "run").exists()


def test_a_start_tells_what_it_made(here, monkeypatch):
    assert nas(*SEARCH[:-1], "mine/search").returncode == 0
    (here / "mine" / "winner.pt").write_text("")
    place = here / "mine"
    document = {
        "schema": 1,
        "out": str(place),
        "plan": {"data": "digits"},
        "lines": [],
        "commands": [[*SEARCH[:-1], "mine/search"], ["train", "--out", "mine/winner.pt"]],
    }
    signature = start_command.sign(start_command._signed(document))
    write_document(place / "plan.yaml", document | {"signature": signature})
    monkeypatch.setattr(start_command, "_remaining", lambda command: None)
    done = nas("start", "digits", "--out", "mine", "--on-end", TEE)
    assert done.returncode == 0, done.stderr
    assert told(here)["state"] == "done"
    assert told(here)["made"] == ["mine/winner.pt"]
    assert told(here)["search"]["trials"] == 4
    refused = nas("start", "digits", "--out", "mine", "--plan", "--on-end", TEE)
    assert (refused.returncode, "on-end" in refused.stderr) == (2, True)
