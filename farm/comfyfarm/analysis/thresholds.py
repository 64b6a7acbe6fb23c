"""Bounds and terms, as people say them in a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from comfyfarm.units import Duration


def as_table(kind: type[msgspec.Struct], said: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, as a configuration would have it: a number for a duration is seconds.

    :param kind: the Struct that it is meant for; what that does not know stays as it is.
    """
    durations = {each.name for each in msgspec.structs.fields(kind) if each.type is Duration}
    return {key: _written(value) if key in durations else value for key, value in said.items()}


def _written(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{round(value * 1000)}ms" if is_number else value
