"""The facts recorded from a real ComfyUI 0.25.0: a file for each family, with the transcripts of its scenarios."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def recorded(family: str) -> dict[str, list[dict[str, Any]]]:
    """Return the steps of each scenario of a family; empty if the family has no file."""
    file = files(__name__).joinpath(f"{family}.json")
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


def as_text(facts: dict[str, list[dict[str, Any]]]) -> str:
    """Return the content of a file: one line for each step, so that diffs are readable."""
    scenarios = [f"{json.dumps(name)}: [\n{_lines(steps)}\n]" for name, steps in sorted(facts.items())]
    return "{\n" + ",\n".join(scenarios) + "\n}\n"


def _lines(steps: list[dict[str, Any]]) -> str:
    return ",\n".join(json.dumps(step, ensure_ascii=False, sort_keys=True, separators=(", ", ": ")) for step in steps)
