"""The command line of ``comfyfarm``.

Each command is a module of this package with a click command of the same name.  A module is imported when its command
is called, so that each command loads only what it needs.
"""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

import click

from comfyfarm import __version__
from comfyfarm.cli.common import INTERRUPTED, Trouble, reason

COMMANDS = {
    "run": "Start a farm of mock ComfyUI servers.",
    "status": "Ask a running farm how it goes.",
    "watch": "Show a live table of a running farm in the terminal.",
    "fault": "Arm, list and heal the faults of a running farm.",
    "crash": "End the process of an instance at once: connections are reset, and its jobs are lost.",
    "restart": "Stop an instance, if it runs, and start it.",
    "pause": "Suspend the worker of an instance; its server goes on answering.",
    "resume": "Let the worker of a paused instance continue.",
    "check": "Find all errors of a configuration file, or show the farm that it describes.",
    "load": "Send load to any ComfyUI servers, and measure what comes back.",
    "workflow": "Print a built-in workflow.",
    "init": "Write a commented configuration to start from, and its schema for editors.",
    "schema": "Print the JSON schema of config.toml, for editors and other checkers.",
    "doctor": "Find what keeps a farm from running on this machine.",
    "completion": "Print what makes a shell complete commands and options.",
    "conform": "Compare servers with ComfyUI's recorded behaviour, and print a score.",
    "capture": "Ask a real server what it has, and write an instance that serves the same.",
    "scenarios": "List the incidents that a farm can stage, and tell all about one.",
    "judge": "Say what a saved log proves about the software that used the farm.",
    "report": "Show a saved log as one page: verdict, timeline, placement, faults.",
    "events": "Print a saved log with each event as a line that has all its fields.",
}
"""Each command, and what it does; the first line of its own help says the same."""

_MODULES = dict.fromkeys(("crash", "restart", "pause", "resume"), "instances")
"""The module of each command that is not in the module of its name."""

_ANALYSES = frozenset({"judge", "report", "events"})
"""Commands that end soon, and make many objects that all stay: to look for garbage among them would be in vain."""


def _forbid_colours(_context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        os.environ["NO_COLOR"] = "1"        # rich reads it


_no_color = click.Option(
    ["--no-color"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_forbid_colours,
    help="Print without colours; so does NO_COLOR=1.",
)


class _Commands(click.Group):
    """The commands, each loaded when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            command = command_of(name)
            for taker in (command, *getattr(command, "commands", {}).values()):
                if _no_color not in taker.params:
                    taker.params.append(_no_color)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a mistake of the user's ends it with one line."""
        try:
            return super().invoke(ctx)
        except Trouble as error:
            text = error.message
        except BrokenPipeError:
            raise
        except OSError as error:
            text = f"{error.filename}: {reason(error)}" if error.filename else reason(error)
        click.echo(f"comfyfarm {ctx.invoked_subcommand}: {text}", err=True)
        return Trouble.exit_code


def command_of(name: str) -> click.Command:
    """Import a command and return it."""
    command: click.Command = resolve_name(f"comfyfarm.cli.{_MODULES.get(name, name)}:{name}")
    return command


def _listed(commands: Mapping[str, str]) -> dict[str, click.Command]:
    return {name: click.Command(name, help=about, short_help=about) for name, about in commands.items()}


@click.group(cls=_Commands, commands=_listed(COMMANDS), params=[_no_color])
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """A farm of mock ComfyUI servers, and tools for any ComfyUI.

    The exit status is 0 if the answer is yes or all was done, 1 if the answer is no, 2 if the command line is wrong or
    nothing could be done.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_analysis = arguments is None and bool(_ANALYSES & set(words[:1]))
    if is_analysis:
        gc.disable()
    try:
        status: int | None = cli.main(words, prog_name="comfyfarm", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except click.Abort:
        status = INTERRUPTED
    except BrokenPipeError:     # such as ``comfyfarm events run.jsonl | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    if is_analysis:
        gc.freeze()     # nor need it be taken apart when the process ends
    return status or 0


if __name__ == "__main__":
    raise SystemExit(main())
