"""``comfyfarm schema``: print the JSON schema of a configuration file."""

import click
import msgspec

from comfyfarm.cli.common import print_bytes


def schema_text() -> bytes:
    """Return the schema, indented."""
    from comfyfarm.config.schema import file_schema

    return msgspec.json.format(msgspec.json.encode(file_schema()), indent=1) + b"\n"


@click.command(
    epilog="comfyfarm schema > comfyfarm.schema.json, and '#:schema comfyfarm.schema.json' as the first line of "
    "config.toml: then editors complete and check it.  The exit status is 0."
)
def schema() -> None:
    """Print the JSON schema of config.toml, for editors and other checkers."""
    print_bytes(schema_text())
