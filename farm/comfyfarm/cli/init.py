"""``comfyfarm init``: write a commented configuration, and its schema for editors."""

from pathlib import Path

import click

from comfyfarm.cli.common import Trouble
from comfyfarm.cli.schema import schema_text

_SCHEMA_FILE = "comfyfarm.schema.json"
_TEMPLATE = """\
#:schema comfyfarm.schema.json

# A farm of mock ComfyUI servers.  Start it:     comfyfarm run --config {file}
# Check it after a change:                       comfyfarm check {file}
# Every key: docs/config.md

[farm]
control_port = 8180                 # the farm's own API
# host = "0.0.0.0"                  # every port is open to this machine only, unless this says otherwise
# seed = 7                          # decides everything that is left to chance
# speed = 10                        # ten simulated seconds pass in a real one
# log = "run.jsonl"                 # everything that happened, for: comfyfarm judge run.jsonl

[profile.slow-gpu]                  # settings that several instances share
timing = {{ step = "45ms", node = "5ms", save = "30ms" }}
# vram = "24GB"
# models.checkpoints = ["sdxl.safetensors:6.9GB"]

[[instance]]
name = "alpha"
port = 8188
mode = "static"                     # always answers with the same picture, and writes nothing

[[instance]]
name = "gpu-{{n}}"                    # gpu-1 and gpu-2, at the ports 8189 and 8190
count = 2
port = 8189
mode = "dynamic"                    # a new, uniquely named file for every picture
profile = "slow-gpu"

# [[fault]]                         # what shall go wrong: docs/faults.md
# on = "gpu-2"
# at = {{ phase = "reply", route = "/prompt" }}
# do = "drop"
# times = 1

# [[scenario]]                      # what went wrong for others: comfyfarm scenarios
# use = "F08"
"""


@click.command(
    epilog="An editor with a TOML extension completes the keys, and marks what is wrong.  The exit status is 2 if a "
    "file is there already or cannot be written."
)
@click.argument("file", type=click.Path(path_type=Path), default=Path("config.toml"))
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def init(file: Path, *, force: bool) -> None:
    """Write a commented configuration to start from, and its schema for editors."""
    if file.exists() and not force:
        raise Trouble(f"{file}: is there already; --force replaces it")
    file.write_text(_TEMPLATE.format(file=file), encoding="utf-8")
    schema_file = file.with_name(_SCHEMA_FILE)
    schema_file.write_bytes(schema_text())
    click.echo(f"{file}\n{schema_file}")
