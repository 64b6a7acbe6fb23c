"""``comfyfarm status``: ask a running farm how it goes."""

from http.client import HTTPException
from typing import TYPE_CHECKING

import click
import msgspec

from comfyfarm.cli.common import NO, OK, console, control_option, every, json_option, print_bytes, reason
from comfyfarm.clients.comfy_sync import HttpStatusError
from comfyfarm.clients.control import SyncFarmControl

if TYPE_CHECKING:
    from rich.table import Table

    from comfyfarm.control.schema.farm import FarmState

_PAUSE_S = 0.1


@click.command(
    epilog="The exit status is 0 if the farm serves, 1 if it does not: a health check for containers.  A frozen or "
    "stopped instance is no failure of the farm."
)
@control_option
@click.option("--wait", is_flag=True, help="Wait until the farm serves and no instance boots any more.")
@click.option("--timeout", "timeout_s", type=float, default=60.0, show_default=True, help="Of --wait, in seconds.")
@json_option
def status(control: str, timeout_s: float, *, wait: bool, as_json: bool) -> int:
    """Ask a running farm how it goes."""
    client = SyncFarmControl(control)
    problem = ""
    for _ in every(_PAUSE_S, timeout_s if wait else 0):
        try:
            state = client.state()
        except (HttpStatusError, OSError, HTTPException, ValueError) as error:
            problem = f"{control}: {reason(error)}"
            continue
        booting = [name for name, instance in state.instances.items() if instance.state == "booting"]
        if not (wait and booting):
            _print(state, as_json=as_json)
            return OK
        problem = f"{control}: {', '.join(booting)} still boots"
    click.echo(f"comfyfarm status: {problem}", err=True)
    return NO


def _print(state: "FarmState", *, as_json: bool) -> None:
    if as_json:
        print_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
        return
    console().print(instance_table(state))
    clock = state.clock if state.clock == "virtual" else f"{state.speed:g} x real time"
    trial = f", trial {state.trial}" if state.trial else ""
    click.echo(f"control: {state.control}, at {state.at_ms / 1000:g} s, {clock}, seed {state.seed}{trial}")


def instance_table(state: "FarmState") -> "Table":
    """Return a table of the instances."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("instance", "url", "mode", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("queue", "finished", "starts"):
        table.add_column(column, justify="right")
    table.add_column("running", no_wrap=True)
    for name, instance in state.instances.items():
        notes = [word for word in ("refusing", "draining") if getattr(instance, word)]
        style = "" if instance.state == "running" and not notes else "red"
        texts = (name, instance.url, instance.mode, ", ".join([instance.state, *notes]))
        numbers = (instance.queue_remaining, instance.finished, instance.epoch)
        table.add_row(*map(Text, texts), *map(str, numbers), Text(instance.running or ""), style=style)
    return table
