"""``comfyfarm scenarios``: list the incidents that can be staged, or print all about one."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comfyfarm.cli.common import Trouble, console
from comfyfarm.config.scenarios import Incident, UnknownIncident, find_incident
from comfyfarm.config.scenarios import incidents as all_incidents


@click.group(
    invoke_without_command=True,
    epilog="The exit status is 2 if there is no such incident.  docs/scenarios.md tells how to stage one, and how to "
    "write one of your own.",
)
@click.pass_context
def scenarios(context: click.Context) -> None:
    """List the incidents that a farm can stage, and tell all about one."""
    if context.invoked_subcommand is not None:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "what happens"):
        table.add_column(column, no_wrap=column == "id")
    for incident in all_incidents().values():
        table.add_row(incident.id, Text(incident.name), Text(incident.what))
    console().print(table)
    click.echo("\ncomfyfarm scenarios show F08 tells all about one.")


@scenarios.command()
@click.argument("incident", metavar="ID")
def show(incident: str) -> None:
    """Tell all about one incident, such as F08."""
    try:
        _print(console(), find_incident(incident.upper() if incident.upper() in all_incidents() else incident))
    except UnknownIncident as error:
        raise Trouble(str(error)) from error


def _print(console: Console, incident: Incident) -> None:
    console.print(Text(f"{incident.id}  {incident.name}", style="bold"))
    for head, text in _sections(incident):
        console.print(Text(f"\n{head}", style="bold"))
        console.print(Text(text))
    _print_toml(console, "To stage it, put into a configuration", f'[[scenario]]\nuse = "{incident.id}"\n')
    _print_toml(console, "Or, to change it, as a scenario of your own", incident.as_own())


def _sections(incident: Incident) -> list[tuple[str, str]]:
    doing = "The client does it to itself; only the conditions are staged. " if incident.own_doing else ""
    where = "On the first instance, unless on says which." if incident.befalls == "one" else "On every instance."
    return [
        ("What happens", incident.what),
        ("What a good client does", incident.good_client),
        ("How it is staged", f"{doing}{incident.conditions} {where}".replace("  ", " ").strip()),
        ("Where it was met", "\n".join(incident.sources)),
    ]


def _print_toml(console: Console, head: str, toml: str) -> None:
    console.print(Text(f"\n{head}", style="bold"))
    console.print(Text(f"\n{toml.rstrip()}"), soft_wrap=True)      # unbroken lines, to be copied
