"""``comfyfarm scenarios``: list the incidents that can be staged, or print all about one."""


from argparse import Namespace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from comfyfarm.config.scenarios import Incident, UnknownIncident, find_incident, incidents

_OK, _UNKNOWN = 0, 2


def scenarios(_arguments: Namespace) -> int:
    """List all incidents and return the exit status."""
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "what happens"):
        table.add_column(column, no_wrap=column == "id")
    for incident in incidents().values():
        table.add_row(incident.id, Text(incident.name), Text(incident.what))
    console = Console()
    console.print(table)
    console.print("\ncomfyfarm scenarios show F08 tells all about one.", highlight=False)
    return _OK


def show_scenario(arguments: Namespace) -> int:
    """Print all about one incident and return the exit status."""
    name = arguments.incident
    try:
        incident = find_incident(name.upper() if name.upper() in incidents() else name)
    except UnknownIncident as error:
        Console(stderr=True).print(f"comfyfarm scenarios: {error}", markup=False, highlight=False, soft_wrap=True)
        return _UNKNOWN
    _print(Console(), incident)
    return _OK


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
