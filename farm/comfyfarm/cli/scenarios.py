"""``comfyfarm scenarios``: which incidents can be staged, and all about one."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from comfyfarm.config.scenarios import Incident, UnknownIncident, find_incident, incidents

_WELL, _UNKNOWN = 0, 2


class ScenariosArguments(Protocol):
    """The command line of ``scenarios show``."""

    incident: str


def scenarios() -> int:
    """List all incidents; gives the exit status."""
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "what happens"):
        table.add_column(column, no_wrap=column == "id")
    for incident in incidents().values():
        table.add_row(incident.id, Text(incident.name), Text(incident.what))
    console = Console()
    console.print(table)
    console.print("\ncomfyfarm scenarios show F08 tells all about one.", highlight=False)
    return _WELL


def show_scenario(wishes: ScenariosArguments) -> int:
    """Tell all about one incident; gives the exit status."""
    wanted = wishes.incident
    try:
        incident = find_incident(wanted.upper() if wanted.upper() in incidents() else wanted)
    except UnknownIncident as why:
        Console(stderr=True).print(f"comfyfarm scenarios: {why}", markup=False, highlight=False, soft_wrap=True)
        return _UNKNOWN
    _print(Console(), incident)
    return _WELL


def _print(console: Console, incident: Incident) -> None:
    console.print(Text(f"{incident.id}  {incident.name}", style="bold"))
    for head, told in _told(incident):
        console.print(Text(f"\n{head}", style="bold"))
        console.print(Text(told))
    _print_toml(console, "To stage it, put into a configuration", f'[[scenario]]\nuse = "{incident.id}"\n')
    _print_toml(console, "Or, to change it, as a scenario of your own", incident.as_own())


def _told(incident: Incident) -> list[tuple[str, str]]:
    doing = "The client does it to itself; only the conditions are staged. " if incident.own_doing else ""
    where = "On the first instance, unless on says which." if incident.befalls == "one" else "On every instance."
    return [
        ("What happens", incident.what),
        ("What a good client does", incident.good_client),
        ("How it is staged", f"{doing}{incident.conditions} {where}".replace("  ", " ").strip()),
        ("Where it was met", "\n".join(incident.sources)),
    ]


def _print_toml(console: Console, head: str, toml: str) -> None:
    """As it is, unbroken, to be copied."""
    console.print(Text(f"\n{head}", style="bold"))
    console.print(Text(f"\n{toml.rstrip()}"), soft_wrap=True)
