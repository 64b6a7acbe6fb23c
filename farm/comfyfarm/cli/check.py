"""``comfyfarm check``: find all errors of a configuration, or show the farm that it describes."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from comfyfarm.cli.common import NO, OK, console, json_option, print_bytes
from comfyfarm.config import FarmConfig, InstanceConfig, load
from comfyfarm.config.problems import FileProblem, find_problems

if TYPE_CHECKING:
    from comfyfarm.server.farm import Farm

_COLUMNS = ("instance", "url", "mode", "ComfyUI", "step", "vram", "models", "validation", "faults", "scenarios")


@click.command(epilog="The exit status is 0 if the file describes a farm, 1 if it has errors, 2 if it cannot be read.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check(file: Path, *, as_json: bool) -> int:
    """Find all errors of a configuration file, or show the farm that it describes."""
    problems = find_problems(file, _make)
    config = None if problems else load(file)
    if as_json:
        print_bytes(msgspec.json.format(msgspec.json.encode(_facts(file, problems, config)), indent=1) + b"\n")
    elif config is not None:
        _print(config)
    for problem in () if as_json else problems:
        line = "" if problem.line is None else f":{problem.line}"
        click.echo(f"{file}{line}: {problem.error}")
    return NO if problems else OK


def _make(config: FarmConfig) -> "Farm":
    """Make the farm without its ports, which checks the pictures and names that it needs.

    :raises ConfigError: if one is wrong.
    """
    from twisted.internet.task import Clock

    from comfyfarm.server.farm import make_farm
    from comfyfarm.server.ports import MemoryPort

    clock = Clock()
    return make_farm(config, reactor=clock, clock=clock, bind=lambda _, port: MemoryPort(clock, port), unix_ms=0)


def _facts(file: Path, problems: Sequence[FileProblem], config: FarmConfig | None) -> dict[str, Any]:
    rows = [] if config is None else [_row(config, instance) for instance in config.instance]
    instances = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return {"file": str(file), "errors": [asdict(problem) for problem in problems], "instances": instances}


def _row(config: FarmConfig, instance: InstanceConfig) -> tuple[str, ...]:
    host = config.farm.url_host
    faults = sum(bool(fault.rule.instances([instance.name])) for fault in config.fault)
    scenarios = [scenario.name for scenario in config.scenario if instance.name in scenario.on]
    return (
        instance.name,
        f"http://{host}:{instance.port or '(any)'}",
        instance.mode,
        instance.comfyui_version,
        str(instance.timing.step),
        "no limit" if instance.vram is None else f"{instance.vram / 1024**3:.4g}GB",
        str(sum(map(len, instance.models.values())) or "any"),
        instance.validation,
        str(faults or ""),
        ", ".join(scenarios),
    )


def _print(config: FarmConfig) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    for instance in config.instance:
        table.add_row(*map(Text, _row(config, instance)))
    console().print(table)
    count = len(config.instance)
    click.echo(f"{count} instance{'s' if count != 1 else ''}, control port {config.farm.control_port or '(any)'}")
