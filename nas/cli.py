"""The command line: `nas COMMAND`. Errors in the input are one line and exit code 2."""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

import click

from nas import __version__
from nas.errors import HeadLostError, TrialFailedError
from search_spaces.errors import InputError, unknown
from search_spaces.quoting import printable

# command -> (module, attribute): a command's libraries load only when it is called
_COMMANDS = {
    "start": ("nas.commands.start", "start"),
    "search": ("nas.commands.search", "search"),
    "resume": ("nas.commands.search", "resume"),
    "rediscover": ("nas.commands.benchmark", "rediscover"),
    "compare": ("nas.commands.benchmark", "compare_command"),
    "benchmark": ("nas.commands.from_runs", "benchmark_command"),
    "plan": ("nas.commands.benchmark", "plan_command"),
    "data": ("nas.commands.benchmark", "data_command"),
    "show": ("nas.commands.show", "show"),
    "report": ("nas.commands.show", "report"),
    "cost": ("nas.commands.network", "cost_command"),
    "latency": ("nas.commands.latency", "latency"),
    "scale": ("nas.commands.scaling", "scale_command"),
    "supernet": ("nas.commands.supernet", "supernet_command"),
    "train": ("nas.commands.train", "train"),
    "finalists": ("nas.commands.finalists", "finalists"),
    "proxy": ("nas.commands.proxy", "proxy"),
    "predict": ("nas.commands.predict", "predict_command"),
    "export": ("nas.commands.export", "export"),
    "import": ("nas.commands.export", "import_command"),
    "push": ("nas.commands.push", "push"),
    "space": ("nas.commands.network", "space"),
    "launch": ("nas.commands.launch", "launch"),
    "status": ("nas.commands.status", "status"),
    "logs": ("nas.commands.status", "logs"),
    "tensorboard": ("nas.commands.tensorboard", "tensorboard"),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in _COMMANDS:
            raise unknown("command", cmd_name, _COMMANDS)
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: nas start FOLDER --plan, FOLDER holding your images in a folder for each class",
)
@click.version_option(__version__)
def cli() -> None:
    """Neural architecture search for the baseline network: search, scale, train, export."""


def main() -> NoReturn:
    """The console script `nas`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal without UTF-8, or a path that isn't text, is no reason to stop
            stream.reconfigure(errors=_PLAIN)
    try:
        code = cli.main(prog_name="nas", standalone_mode=False)
        sys.stdout.flush()  # here a full disk, or a reader that left, can still be told
    except click.exceptions.Exit as exit_request:
        code = exit_request.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("nas: interrupted", err=True)
        code = 130
    except click.ClickException as error:
        _complain(error.format_message())
        code = 2
    except HeadLostError as error:
        _complain(str(error))
        sys.stdout.flush()
        os._exit(2)  # Ray would wait for the head at our end
    except InputError as error:
        _complain(str(error))
        code = 2
    except TrialFailedError as error:
        _complain(str(error))
        code = 1
    except BrokenPipeError:  # `nas ... | head`: as SIGPIPE would have ended us
        code = 141
        _forget_stdout()
    except OSError as error:
        where = error.filename or ("cannot write" if error.errno == errno.ENOSPC else "")
        _complain(f"{where}: {error.strerror or error}" if where else str(error.strerror or error))
        code = 2
        _forget_stdout()
    except (MemoryError, RuntimeError) as error:
        message = _out_of_memory(error)
        if message is None:
            raise
        _complain(message)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


_PLAIN = "nas-plain"
_GLYPHS = dict(zip("─━│┃░▒▓█▁▂▃▄▅▆▇", "--||.:+#_..--==", strict=True))


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the terminal has not: for a bar another bar, else its escape."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    plain = (_GLYPHS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return "".join(plain), error.end


codecs.register_error(_PLAIN, _in_plain)


def _forget_stdout() -> None:
    """What is left in the buffer can't be written; Python would try once more at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _out_of_memory(error: Exception) -> str | None:
    """A line for an error that means a lack of memory, on the machine or on a GPU; None for any other."""
    text = str(error)
    if isinstance(error, MemoryError):
        return f"out of memory{f': {text}' if text else ''}"
    torch = sys.modules.get("torch")  # if it isn't loaded, it raised nothing
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return f"the GPU is out of memory: {text}"
    return f"out of memory: {text}" if "can't allocate memory" in text else None


_LINE = 1000
"""Characters; what is longer says no more to anybody."""


def _complain(message: str) -> None:
    # foreign names may hold anything, e.g. what moves a terminal's cursor; spaces in a path are its own
    line = printable(" ".join(part.strip() for part in message.split("\n")))
    if len(line) > _LINE:
        line = f"{line[: _LINE - 200]} ... {line[-200:]}"
    click.echo(f"nas: error: {line}", err=True)


if __name__ == "__main__":
    main()
