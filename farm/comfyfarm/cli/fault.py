"""``comfyfarm fault``: arm, list and heal the faults of a running farm."""

import tomllib
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from comfyfarm.cli.common import Trouble, console, control_option, json_option, print_bytes, reaching
from comfyfarm.clients.control import SyncFarmControl

_STATUS = "The exit status is 0 if it was done, 2 if the fault is wrong or no farm answers.  Keys: docs/faults.md."


@click.group(epilog=_STATUS)
def fault() -> None:
    """Arm, list and heal the faults of a running farm."""


@fault.command(epilog=_STATUS)
@click.argument("keys", metavar="KEY=VALUE...", nargs=-1, required=True)
@control_option
def arm(keys: Sequence[str], control: str) -> None:
    """Arm a fault, written as [[fault]] of a configuration: do=drop at=reply on=gpu-1 times=1.

    A filter of the phase is written with a dot: at.phase=reply at.route=/prompt.  The id of the fault is printed.
    """
    table = _table(keys)
    with reaching(control):
        click.echo(SyncFarmControl(control).arm(**table).id)


@fault.command("list", epilog=_STATUS)
@control_option
@json_option
def list_faults(control: str, *, as_json: bool) -> None:
    """List all faults, also those that have ended, and how often each has fired."""
    from rich.table import Table
    from rich.text import Text

    with reaching(control):
        faults = SyncFarmControl(control).faults()
    if as_json:
        print_bytes(msgspec.json.format(msgspec.json.encode(faults), indent=1) + b"\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("fault", "state", "do", "at", "on", "fired"):
        table.add_column(column, no_wrap=True)
    for state in faults.faults:
        at = state.fault["at"]
        phase = at if isinstance(at, str) else " ".join(map(str, at.values()))
        fired = ", ".join(f"{count} x {name}" for name, count in state.fired.items() if count) or "never"
        table.add_row(*map(Text, (state.id, state.state, state.fault["do"], phase, ", ".join(state.on), fired)))
    console().print(table)


@fault.command(epilog=_STATUS)
@control_option
def heal(control: str) -> None:
    """Remove all faults, open all gates, and start or resume every instance."""
    with reaching(control):
        SyncFarmControl(control).heal()


def _table(words: Sequence[str]) -> dict[str, Any]:
    """Return the table that words such as ``at.phase=reply`` describe; a value that is not TOML is a text.

    :raises Trouble: if a word has no key or no value.
    """
    table: dict[str, Any] = {}
    for word in words:
        path, equals, value = word.partition("=")
        *tables, key = path.split(".")
        if not equals or not all((*tables, key)):
            raise Trouble(f"expected KEY=VALUE, got {word!r}")
        inner = table
        for name in tables:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise Trouble(f"{name}: is a text and a table")
        inner[key] = _value(value)
    return table


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
