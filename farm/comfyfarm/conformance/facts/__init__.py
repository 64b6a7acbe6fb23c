"""The facts recorded from real servers: for each family a file with the transcripts of its scenarios.

The files in this folder are those of ComfyUI 0.25.0.  The folder ``versions`` has a file for each other version, with
the families' scenarios that differ from those of its neighbour: a number stands for that step of the neighbour.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from comfyfarm.versions import REFERENCE, neighbour

Facts = dict[str, list[dict[str, Any]]]


@cache
def recorded(family: str, version: str = REFERENCE) -> Facts:
    """Return the steps of each scenario of a family; empty if the family has no file.

    :param version: one of those that were recorded.
    """
    if version == REFERENCE:
        return _read(f"{family}.json")
    base, changed = recorded(family, neighbour(version)), _read(f"versions/{version}.json").get(family, {})
    return {**base, **{name: _filled_in(steps, base[name]) for name, steps in changed.items()}}


def _filled_in(steps: list[Any], base: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [base[step] if isinstance(step, int) else step for step in steps]


def without_known(facts: Facts, base: Facts) -> dict[str, list[Any]]:
    """Return what is stored of a version: the scenarios that differ, with numbers for the steps that do not."""
    changed = {name: steps for name, steps in facts.items() if steps != base[name]}
    return {
        name: [base[name].index(step) if step in base[name] else step for step in steps]
        for name, steps in changed.items()
    }


@cache
def _read(name: str) -> dict[str, Any]:
    file = files(__name__).joinpath(name)
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


def as_text(facts: dict[str, list[Any]]) -> str:
    """Return the content of a file: one line for each step, so that diffs are readable."""
    scenarios = [f"{json.dumps(name)}: [\n{_lines(steps)}\n]" for name, steps in sorted(facts.items())]
    return "{\n" + ",\n".join(scenarios) + "\n}\n"


def versions_as_text(families: dict[str, dict[str, list[Any]]]) -> str:
    """Return the content of the file of a version."""
    parts = [f"{json.dumps(family)}: {as_text(changed).rstrip()}" for family, changed in sorted(families.items())]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(steps: list[Any]) -> str:
    return ",\n".join(json.dumps(step, ensure_ascii=False, sort_keys=True, separators=(", ", ": ")) for step in steps)
