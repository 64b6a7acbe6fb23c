"""``comfyfarm capture``: ask a real server what it has, and write an instance that serves the same."""

import re
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import click

from comfyfarm.cli.common import Trouble, as_url, header_option, path_option, reason
from comfyfarm.clients.capture import TIMEOUT_S, NotComfyUI, edited_files, take, write
from comfyfarm.clients.comfy_sync import ask


def _check_name(_context: click.Context, _option: click.Parameter, word: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", word):
        raise click.BadParameter(f"expected letters, digits and ._- only, got {word!r}")
    return word


@click.command(
    epilog="The exit status is 2 if nothing was captured.  What a server tells names its models, the pictures in its "
    "input folder and its command line: look before you publish it."
)
@click.argument("url", metavar="URL", callback=as_url)
@path_option("-o", "--output", metavar="DIR", required=True, help="Where the files go.")
@click.option("--name", callback=_check_name, default="captured", show_default=True, help="Of the instance.")
@header_option
@click.option("--force", is_flag=True, help="Write over files that were edited since they were captured.")
def capture(url: str, output: Path, name: str, headers: Mapping[str, str], *, force: bool) -> None:
    """Ask a real server what it has, and write an instance that serves the same."""
    if not force and (edited := edited_files(output)):
        raise Trouble(f"{output}: would overwrite {', '.join(edited)}; --force does it")
    try:
        captured = take(lambda path: ask("GET", url + path, timeout_s=TIMEOUT_S, headers=headers))
    except NotComfyUI as error:
        raise Trouble(f"{url}: not a ComfyUI server: {error}") from error
    except HTTPException as error:
        raise Trouble(f"{url}: not a ComfyUI server: {error!r}") from error
    except OSError as error:
        raise Trouble(f"{url}: {reason(error)}") from error
    for path in write(captured, output, url, name):
        click.echo(path)
