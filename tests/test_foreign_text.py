"""Who may write foreign text to what: each target has one place, read off the code."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from nas.cli import _COMMANDS
from nas.search.journal import to_stderr

ROOT = Path(__file__).parent.parent
FILES = [
    path for room in ("search_spaces", "controller", "nas") for path in sorted((ROOT / room).rglob("*.py"))
]


@cache
def calls(path):
    """(the function's name with what it belongs to, the call) of each call in a file."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in nodes]


def places(pattern):
    return {
        str(path.relative_to(ROOT))
        for path in FILES
        for name, _ in calls(path)
        if re.fullmatch(pattern, name)
    }


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (r"csv\..*", {"search_spaces/quoting.py", "search_spaces/parsing.py"}),
        (r"html\.\w+|.*saxutils.*", {"search_spaces/quoting.py"}),
        # Ray's shell is any, and its job is JSON: what can't be seen is escaped there
        (r"shlex\.\w+", {"search_spaces/quoting.py", "nas/launch/job.py", "nas/launch/kuberay.py"}),
        # its texts are no markup, and command no terminal
        (r"(rich\.console\.)?Console", set()),
        (r"_PlainConsole", {"nas/commands/common.py"}),
        (
            r"click\.(echo|secho)|sys\.(stdout|stderr)\.write|print",
            {
                f"nas/{name}.py"
                for name in (
                    *("commands/common", "cli", "testing/controllers", "search/journal"),
                    "training/graphed",
                )
            }
            | {"search_spaces/added.py"},
        ),
        (r".*\.from_markup|Markdown", set()),
        (r"Image\.open", {"nas/data/images.py"}),
        (r"exec", {"nas/export/module.py"}),
        (r"eval|os\.system|subprocess\.getoutput", set()),
    ],
)
def test_each_target_has_its_place(pattern, allowed):
    assert places(pattern) <= allowed


def test_a_remark_on_stderr_is_one_line(capsys):
    to_stderr("a\n\x1b[31m[/a]")
    assert capsys.readouterr().err == "a\\n\\x1b[31m[/a]\n"


def test_images_are_opened_in_the_formats_that_are_meant():
    found = [
        {keyword.arg for keyword in call.keywords}
        for path in FILES
        for name, call in calls(path)
        if name.endswith("Image.open")
    ]
    assert found
    assert all("formats" in keywords for keywords in found)


def test_no_shell_runs_what_is_pasted_together():
    for path in FILES:
        for name, call in calls(path):
            if name.startswith("subprocess."):
                assert not [keyword for keyword in call.keywords if keyword.arg == "shell"], path


COMMAND = re.compile(rf"\b(nas ({'|'.join(_COMMANDS)})|ray job \w+)\b[^.;:,]*[ =]$")
"""The beginning of a command that is to be pasted."""


def pasted(tree):
    """The values that follow the beginning of a command inside a text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            if COMMAND.search(before.rpartition("\n")[2].rpartition("`")[2]):
                yield ast.unparse(part)
            before += "?"


def test_commands_to_paste_are_quoted():
    assert list(pasted(ast.parse('f"go on: nas resume {run}", f"`nas logs 3 {run}`"')))
    assert not list(pasted(ast.parse("f\"of {x}: {shell_command('nas', 'resume', run)}\"")))
    found = {
        f"{path.relative_to(ROOT)}: {value}"
        for path in FILES
        for value in pasted(ast.parse(path.read_text()))
    }
    assert found == {"nas/export/library_model.py: {library}"}  # one of two words
