"""``comfyfarm events``: print a saved log with each event as a line that has all its fields."""

import click

from comfyfarm.cli.common import NO, OK, log_argument, opened, print_bytes
from comfyfarm.events.encoding import as_json
from comfyfarm.events.saved_log import read_events


@click.command(
    epilog="FILE is a saved log; - reads what comes in.  The exit status is 1 if a part of it could not be read, 2 if "
    "it could not be opened.  docs/log-lines.md explains the lines of a saved log."
)
@log_argument
def events(log: str) -> int:
    """Print a saved log with each event as a line that has all its fields."""
    defects: list[str] = []
    with opened(log) as lines:
        for event in read_events(lines, lambda text, _seq: defects.append(text)):
            print_bytes(as_json(event) + b"\n")
    for text in defects:
        click.echo(f"comfyfarm events: {text}", err=True)
    return NO if defects else OK
