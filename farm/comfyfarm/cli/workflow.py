"""``comfyfarm workflow``: print a built-in workflow."""

import json

import click

from comfyfarm.workflows import BUILT_IN


@click.command(
    epilog="It is printed in the form that POST /prompt takes as its prompt.  The exit status is 2 if there is no such "
    "workflow."
)
@click.argument("name", type=click.Choice(list(BUILT_IN)))
@click.option("--seed", type=int, default=0, show_default=True, help="Of its samplers.")
@click.option("--prompt", default="a barn", show_default=True, help="Its text.")
def workflow(name: str, seed: int, prompt: str) -> None:
    """Print a built-in workflow."""
    click.echo(json.dumps(BUILT_IN[name](seed, prompt), indent=2))
