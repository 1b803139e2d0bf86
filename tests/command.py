"""`nas` as a user types it, in this process: a new one takes seconds to load what this one has."""

import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from subprocess import CompletedProcess
from unittest.mock import patch

import pytest


def nas(*arguments, cwd=None):
    """The command's exit code and what it printed, as `subprocess.run` gives them.

    One that trains on Ray needs the fixture `cluster`, and runs there.
    """
    from nas.cli import main
    from nas.report import remarks

    remarks._said.clear()  # another command is another process to its user
    command = ["nas", *map(str, arguments)]
    out, err = StringIO(), StringIO()
    with _inside(cwd), patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return CompletedProcess(command, code, out.getvalue(), err.getvalue())


def good(*arguments, cwd=None):
    """What a command prints that ends well."""
    done = nas(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(arguments, message, monkeypatch, capsys, folder):
    """The command in this process: one line on stderr, nothing on stdout, exit code 2."""
    from nas.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.strip() and line != "starting Ray ..."]
    assert stopped.value.code == 2, err
    assert len(lines) == 1, err
    assert lines[0].startswith("nas: error: ")
    assert message in lines[0]
    assert out == ""


@contextmanager
def _inside(folder):
    before = os.getcwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)
