"""`--on-end CMD`: a command that is told how a search has ended."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nas.commands.common import progress
from search_spaces.errors import InputError, shown
from search_spaces.quoting import command_words

Told = Callable[[], dict[str, Any]]


@contextmanager
def told_at_the_end(command: str | None, about: dict[str, Any], result: Told) -> Iterator[None]:
    """Run the command when what is inside has ended, however that was.

    It is given one JSON document on stdin: `about`, with `state` (`done`, `failed` or `interrupted`), and of
    what is done the `result`, else the `error`. It is run without a shell; what it prints is progress. If it
    fails, that is said, and changes nothing.

    Args:
        command: its words, quoted as for a shell; None: nothing is run.
        about: what has ended.
        result: of what is done.

    Raises:
        InputError: before anything: no command, or there is no such program.
    """
    words = None if command is None else _words(command)
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt) or getattr(error, "code", None) == 130
        state = "interrupted" if stopped else "failed"
        _tell(words, {**about, "state": state, "error": " ".join(str(error).split()) or type(error).__name__})
        raise
    if words is not None:
        _tell(words, {**about, "state": "done", **result()})


def _words(command: str) -> list[str]:
    try:
        words = command_words(command)
    except ValueError as error:
        raise InputError(f"on-end {shown(command)}: {error}") from None
    if not words:
        raise InputError(f"on-end {shown(command)}: expected a command")
    if shutil.which(words[0]) is None:
        raise InputError(
            f"on-end {shown(command)}: no program {words[0]!r} is found; it is run without a shell: for "
            "pipes and variables write sh -c '...'"
        )
    return words


def _tell(words: list[str] | None, document: dict[str, Any]) -> None:
    if words is None:
        return
    try:
        done = subprocess.run(
            words,
            input=json.dumps(document),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        said, why = done.stdout, f"ended with exit code {done.returncode}" if done.returncode else ""
    except OSError as error:
        said, why = "", error.strerror or str(error)
    if said.strip():
        progress().print(said.rstrip("\n"), highlight=False, soft_wrap=True)
    if why:
        progress().print(f"on-end {words[0]}: {why}", style="yellow", highlight=False, soft_wrap=True)
