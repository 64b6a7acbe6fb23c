"""What of a transcript does not depend on output files?

A static instance of the farm names the same picture for every output and writes nothing; all else is the same.
"""

from __future__ import annotations

from typing import Any

from comfyfarm.conformance.described import Step

_LISTS_OF_FILES = ("images", "animated")
_COUNTED = ("outputs_count", "preview_output")


def without_files(steps: list[Step]) -> list[Step]:
    """The steps with ``"<files>"`` for every list of files, and without the answers that are files."""
    return [{"ask": "GET /view"} if _is_fetching(step) else _without(step) for step in steps]


def _is_fetching(step: Step) -> bool:
    return str(step.get("ask")).startswith("GET /view?")


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _blanked(key, item) for key, item in value.items() if key not in _COUNTED}
    return [_without(item) for item in value] if isinstance(value, list) else value


def _blanked(key: str, value: Any) -> Any:
    """Files are objects with names; a link between nodes has the same key and is none."""
    is_files = key in _LISTS_OF_FILES and isinstance(value, list) and all(_is_file(item) for item in value)
    return "<files>" if is_files else _without(value)


def _is_file(item: Any) -> bool:
    return isinstance(item, dict) and "filename" in item
