"""An option that is given an empty text names nothing: it is refused by name, and not left out in silence."""

import click
import pytest

from nas.commands.search import resume, search
from tests.command import nas

TEXTS = [
    (command, max(parameter.opts, key=len))
    for command in (search, resume)
    for parameter in command.params
    if isinstance(parameter, click.Option) and parameter.type is click.STRING and not parameter.multiple
]


@pytest.mark.parametrize(("command", "option"), TEXTS)
def test_an_empty_text_is_refused_by_name(command, option, tmp_path):
    words = ["--out", "x"] if command is search else ["x"]
    done = nas(command.name, *words, option, "", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert option.lstrip("-") in done.stderr
    assert "''" in done.stderr
    launched = nas("launch", "--to", "job", "--dry-run", "--", command.name, *words, option, "", cwd=tmp_path)
    assert command is resume or launched.returncode == 2
    assert not (tmp_path / "x").exists()
