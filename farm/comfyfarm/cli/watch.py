"""``comfyfarm watch``: a live table of a running farm in the terminal."""

from http.client import HTTPException

import click

from comfyfarm.cli.common import OK, console, control_option, every, reaching, reason
from comfyfarm.cli.status import instance_table
from comfyfarm.clients.comfy_sync import HttpStatusError
from comfyfarm.clients.control import SyncFarmControl


@click.command(
    epilog="It runs until Ctrl-C, and then ends with exit status 0; the status is 2 if no farm answers at the start.  "
    "A farm that ends meanwhile may come back."
)
@control_option
@click.option("--every", "pause_s", type=float, default=0.5, show_default=True, help="Look every so many seconds.")
@click.option("--for", "for_s", type=float, default=float("inf"), help="Stop after this time, in seconds.")
def watch(control: str, pause_s: float, for_s: float) -> int:
    """Show a live table of a running farm in the terminal."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    client = SyncFarmControl(control)
    with reaching(control):
        state = client.state()
    screen, gone = console(), ""
    try:
        with Live(console=screen, auto_refresh=False) as live:
            for _ in every(pause_s, for_s):
                try:
                    state, gone = client.state(), ""
                except (HttpStatusError, OSError, HTTPException, ValueError) as error:
                    gone = f"{control}: {reason(error)}; as it was at "
                line = Text(f"{gone}{state.at_ms / 1000:.1f} s", style="red" if gone else "")
                live.update(Group(instance_table(state), line), refresh=True)
    except KeyboardInterrupt:
        pass
    return OK
