"""What comes from outside ends in one line: odd documents, streams that fail, a lack of memory."""

import io
import subprocess
import sys

import pytest
import torch

from nas.cli import cli, main
from search_spaces.document import read_document
from search_spaces.errors import InputError, unknown
from tests.command import good, nas

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{chr(ord(name) - 1)}'] * 10)}]\n" for name in "bcdefghi"
)
DOCUMENTS = {
    "empty": b"",
    "a list": b"[1, 2]",
    "a text": b"hello",
    "bytes": bytes(range(256)),
    "latin-1": b"name: caf\xe9",
    "utf-16": "schema: 1".encode("utf-16"),
    "a Python tag": b"!!python/object/apply:os.system ['exit 3']",
    "a tag on no boolean": b"schema: !!bool x",
    "a tag on no integer": b"schema: !!int ''",
    "a tag on no time": b"schema: !!timestamp x",
    "a 99th month": b"schema: 2024-99-99",
    "a long number": b"schema: " + b"9" * 5000,
    "a long hexadecimal number": b"schema: 0x" + b"f" * 5000,
    "a list as key": b"? [a]\n: b",
    "a cycle": b"schema: 1\nname: x\nstages: &s [*s]",
    "a bomb of aliases": f"{BOMB}schema: 1\nname: x\nstages: *i".encode(),
    "two documents": b"a: 1\n---\nb: 2",
    "deep": b"[" * 1_000_000,
    "deep mappings": b"{a: " * 100_000,
    "deep lists": b"- " * 100_000,
    "too large": b"x: " + b"y" * (2 << 20),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "command", [["cost"], ["show", "resnet50"], ["search", "--config"], ["search", "--space"]], ids=str
)
def test_a_document_that_is_none_is_one_line(name, command, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_bytes(DOCUMENTS[name])
    with pytest.raises(InputError) as refused:
        cli.main([*command, str(path)], standalone_mode=False)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_aliases_are_fine_where_they_stand_for_little(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    assert read_document(tmp_path / "x.yaml") == {"a": [1, 2], "b": [1, 2]}
    (tmp_path / "bom.yaml").write_bytes("a: 1\n".encode("utf-8-sig"))  # as editors on Windows write it
    assert read_document(tmp_path / "bom.yaml") == {"a": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--seed", "-1"],
        ["plan", "--gpu-hour", "nan"],
        ["plan", "--gpu-hour", "-1"],
        ["plan", "--speed", "nan", "--trials", "2"],
        ["compare", "--first-seed", "-1"],
        ["compare", "--target", "1e-300"],
        ["plan", "--target", "1e-300"],
        ["search", "--target", "400T", "--exponent", "-100"],
        ["cost", "resnet50", "--resolution", "-1"],
        ["scale", "resnet50", "--phi", "1", "--alpha", "nan"],
        ["tensorboard", ".", "--port", "99999"],
        ["search", "--price", "inf", "--until", "converged"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(InputError):
        cli.main(arguments, standalone_mode=False)


def called(monkeypatch, capsys, raised):
    """(exit code, stderr) of a command in which `raised` is raised."""

    def fail(*arguments, **named):
        raise raised

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def test_errors_of_the_machine_are_one_line(monkeypatch, capsys):
    code, line = called(monkeypatch, capsys, OSError(28, "No space left on device", "x.pt"))
    assert (code, line) == (2, "nas: error: x.pt: No space left on device\n")
    assert called(monkeypatch, capsys, MemoryError())[1] == "nas: error: out of memory\n"
    assert called(monkeypatch, capsys, torch.OutOfMemoryError("of CUDA"))[0] == 1
    assert "allocate" in called(monkeypatch, capsys, RuntimeError("can't allocate memory: 9 bytes"))[1]
    assert called(monkeypatch, capsys, BrokenPipeError()) == (141, "")


def test_a_defect_keeps_its_traceback(monkeypatch, capsys):
    for defect in (RuntimeError("shapes"), ValueError("x"), KeyError("y"), AssertionError()):
        monkeypatch.setattr(cli, "main", lambda defect=defect, **named: (_ for _ in ()).throw(defect))
        with pytest.raises(type(defect)):
            main()


def test_a_line_has_a_length_and_no_control_characters(monkeypatch, capsys):
    _, line = called(monkeypatch, capsys, InputError("a\x1b[31m\nb\x07 é" + "x" * 5000))
    assert line.startswith("nas: error: a\\x1b[31m b\\x07 é")
    assert len(line) < 1100
    assert len(str(unknown("name", "y" * 5000, (f"option{i}" for i in range(5000))))) < 1000


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252", "gbk"])
@pytest.mark.parametrize("name", ["mnasnet-a1", "efficientnet-b0"])
def test_a_terminal_without_utf_8_still_shows_a_network(name, encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "argv", ["nas", "show", name])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    text = raw.getvalue().decode(encoding)
    assert "\\u" not in text
    assert "stage0" in text


def test_a_full_disk_under_stdout_and_a_reader_that_left():
    nas = f"{sys.executable} -m nas export resnet50 --to json"
    done = subprocess.run(f"{nas} > /dev/full; {nas} | true", shell=True, capture_output=True, text=True)
    assert done.stderr == "nas: error: cannot write: No space left on device\n"


@pytest.mark.parametrize("place", ["", ".", "..", "/"])
@pytest.mark.parametrize("words", [("train", "--resume"), ("cost",), ("export", "--to", "timm")])
def test_a_path_that_has_no_name(words, place, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train.yaml").touch()
    done = nas(*words, place, cwd=tmp_path / "here")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_a_run_is_not_fetched_in_place_of_the_working_folder(tmp_path):
    search = ["search", "--evaluator", "benchmark", "--trials", "2", "--out", "a", "--storage", "kept"]
    good(*search, cwd=tmp_path)
    (tmp_path / "here").mkdir()
    done = nas("resume", tmp_path / "kept" / "a", "--out", ".", cwd=tmp_path / "here")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert list((tmp_path / "here").iterdir()) == []
    assert not list(tmp_path.glob(".*"))


def test_interrupted_before_the_run_exists_nothing_is_advised_that_is_not_there(tmp_path, monkeypatch):
    def interrupt(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.session._run", interrupt)
    done = nas("search", "--evaluator", "benchmark", "--out", "x", cwd=tmp_path)
    assert done.returncode == 130
    assert "interrupted before the search began: nothing was kept" in done.stderr
    assert "resume" not in done.stderr
    monkeypatch.undo()
    good("search", "--evaluator", "benchmark", "--trials", "2", "--out", "x", cwd=tmp_path)
    monkeypatch.setattr("nas.session._run", interrupt)
    done = nas("resume", "x", "--trials", "4", cwd=tmp_path)
    assert "Continue with: nas resume x" in done.stderr


def test_interrupted_while_it_is_loaded():
    code = (
        "import builtins, sys; known = builtins.__import__\n"
        "def load(name, *more):\n"
        "    if name == 'nas.cli': raise KeyboardInterrupt\n"
        "    return known(name, *more)\n"
        "from nas.__main__ import console_script; builtins.__import__ = load; console_script()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "nas: interrupted\n")


def test_sockets_that_ray_cannot_make_are_the_temporary_folders(monkeypatch):
    from nas.cluster import nodes

    def refuse(**options):
        raise OSError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes: x")

    monkeypatch.setattr(nodes.ray, "init", refuse)
    monkeypatch.setattr(nodes.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(nodes, "private_token", lambda: None)
    with pytest.raises(InputError, match=r"TMPDIR '.*': too long for Ray"):
        nodes.connect(None)
