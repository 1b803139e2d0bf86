"""The command line: `nas COMMAND`. Errors in the input are one line and exit code 2."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from nas import __version__
from nas.errors import TrialFailedError
from search_spaces.errors import InputError, unknown

# command -> (module, attribute): a command's libraries load only when it is called
_COMMANDS = {
    "search": ("nas.commands.search", "search"),
    "resume": ("nas.commands.search", "resume"),
    "rediscover": ("nas.commands.benchmark", "rediscover"),
    "compare": ("nas.commands.benchmark", "compare"),
    "plan": ("nas.commands.benchmark", "plan"),
    "data": ("nas.commands.benchmark", "data"),
    "show": ("nas.commands.show", "show"),
    "report": ("nas.commands.show", "report"),
    "cost": ("nas.commands.network", "cost_command"),
    "latency": ("nas.commands.latency", "latency"),
    "scale": ("nas.commands.scaling", "scale_command"),
    "train": ("nas.commands.train", "train"),
    "proxy": ("nas.commands.proxy", "proxy"),
    "export": ("nas.commands.export", "export"),
    "import": ("nas.commands.export", "import_command"),
    "space": ("nas.commands.network", "space"),
    "launch": ("nas.commands.launch", "launch"),
    "status": ("nas.commands.status", "status"),
    "logs": ("nas.commands.status", "logs"),
    "tensorboard": ("nas.commands.search", "tensorboard"),
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
    epilog="Start with: nas search --data digits --trials 24 --concurrent 2",
)
@click.version_option(__version__)
def cli() -> None:
    """Neural architecture search for the baseline network: search, scale, train, export."""


def main() -> NoReturn:
    """The console script `nas`."""
    try:
        code = cli.main(prog_name="nas", standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        code = exit_request.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("nas: interrupted", err=True)
        code = 130
    except click.ClickException as error:
        _complain(error.format_message())
        code = 2
    except InputError as error:
        _complain(str(error))
        code = 2
    except TrialFailedError as error:
        _complain(str(error))
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    click.echo(f"nas: error: {' '.join(message.split())}", err=True)


if __name__ == "__main__":
    main()
