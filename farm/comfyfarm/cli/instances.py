"""``comfyfarm crash``, ``restart``, ``pause`` and ``resume``: act on one instance of a running farm."""

from collections.abc import Sequence

import click

from comfyfarm.cli.common import control_option, reaching
from comfyfarm.clients.control import SyncFarmControl
from comfyfarm.control.schema.farm import InstanceState

_STATUS = "The exit status is 0 if it was done, 2 if there is no such instance or no farm, or if it cannot be done now."
_name = click.argument("name")


def _print(name: str, state: InstanceState) -> None:
    click.echo(f"{name}: {state.state}, {state.queue_remaining} in the queue, started {state.epoch} times")


@click.command(epilog=_STATUS)
@_name
@click.option(
    "--keep",
    type=click.Choice(["queue", "history", "uploads", "models"]),
    multiple=True,
    help="What is not lost; can be given several times.",
)
@click.option("--restart-after", metavar="DURATION", help="Start it again after this time, such as 10s.")
@control_option
def crash(name: str, keep: Sequence[str], restart_after: str | None, control: str) -> None:
    """End the process of an instance at once: connections are reset, and its jobs are lost."""
    with reaching(control):
        _print(name, SyncFarmControl(control).crash(name, keep, restart_after))


@click.command(epilog=_STATUS)
@_name
@control_option
def restart(name: str, control: str) -> None:
    """Stop an instance, if it runs, and start it."""
    with reaching(control):
        _print(name, SyncFarmControl(control).restart(name))


@click.command(epilog=_STATUS)
@_name
@control_option
def pause(name: str, control: str) -> None:
    """Suspend the worker of an instance; its server goes on answering."""
    with reaching(control):
        _print(name, SyncFarmControl(control).pause(name))


@click.command(epilog=_STATUS)
@_name
@control_option
def resume(name: str, control: str) -> None:
    """Let the worker of a paused instance continue."""
    with reaching(control):
        _print(name, SyncFarmControl(control).resume(name))
