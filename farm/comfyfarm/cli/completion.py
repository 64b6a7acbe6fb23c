"""``comfyfarm completion``: print what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog='Put eval "$(comfyfarm completion bash)" into ~/.bashrc; for fish: comfyfarm completion fish > '
    "~/.config/fish/completions/comfyfarm.fish.  The exit status is 0."
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands and options."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all three"
    click.echo(kind(context.find_root().command, {}, "comfyfarm", "_COMFYFARM_COMPLETE").source())
