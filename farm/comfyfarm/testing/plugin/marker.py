"""What does ``@pytest.mark.comfy_farm(...)`` ask for?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config import FarmConfig
from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.overlay import Overlay, Table, check_scenarios, check_tables, named
from comfyfarm.config.sources import ConfigSource
from comfyfarm.testing.claims import that_verdict
from comfyfarm.testing.plugin.stash import MARKER

AnyConfig = ConfigSource | FarmConfig


class BadMarker(Exception):
    """A marker asks for what there is not; the message says where, in one line."""


@dataclass(frozen=True)
class MarkerArgs:
    """What a test's markers ask for, those nearest to the test first.

    :ivar config: for factories that are called without one; ``None``: none.
    :ivar seed: of every farm; ``None``: as configured.
    :ivar faults: laid over each configuration, each with an id.
    :ivar scenarios: likewise.
    :ivar verdict: what each farm must be judged to be when the test is over; ``None``: anything.
    """

    config: AnyConfig | None = None
    seed: int | None = None
    faults: Sequence[Table] = ()
    scenarios: Sequence[Table] = ()
    verdict: str | None = None


def read_marker(item: pytest.Item) -> MarkerArgs:
    """What a test's markers ask for: key by key, the one nearest to the test decides.

    :raises BadMarker: where there is no such thing, or where it describes no farm.
    """
    try:
        said = _said(item)
        asked = MarkerArgs(**{_READ[key][0]: _READ[key][1](value) for key, value in said.items() if value is not None})
        _check(asked)
    except (BadMarker, ConfigError, ValueError) as why:
        raise BadMarker(f"@pytest.mark.{MARKER}: {why}") from why
    return asked


def _said(item: pytest.Item) -> Mapping[str, Any]:
    said: dict[str, Any] = {}
    for marker in item.iter_markers(MARKER):
        if marker.args:
            raise BadMarker(f"expected {', '.join(f'{key}=...' for key in _READ)} only")
        for key in marker.kwargs:
            if key not in _READ:
                raise BadMarker(f"{key}: unknown argument (there are: {', '.join(_READ)})")
        said = {**marker.kwargs, **said}
    return said


def _check(asked: MarkerArgs) -> None:
    """As far as it can be known before there is a farm; where there is a configuration, that is all but its ports."""
    check_scenarios(asked.scenarios)
    if asked.config is not None:
        Overlay(asked.seed, asked.faults, asked.scenarios).check(asked.config)


def _config(value: object) -> object:
    if isinstance(value, Path | str | Mapping | FarmConfig):
        return value
    raise BadMarker(f"config: expected a path, a dictionary or TOML text, got {type(value).__name__}")


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMarker(f"seed: expected int, got {type(value).__name__}")
    return value


def _faults(value: object) -> Sequence[Table]:
    if not isinstance(value, list | tuple):
        raise BadMarker(f"faults: expected a list of tables, got {type(value).__name__}")
    check_tables(value, "faults")
    return named(value)


def _scenarios(value: object) -> Sequence[Table]:
    return [_scenario(each) for each in (value if isinstance(value, list | tuple) else [value])]


def _scenario(value: object) -> Table:
    if isinstance(value, str):
        return {"use": value}
    if not isinstance(value, Mapping):
        raise BadMarker(f"scenario: expected an incident's id or a table, got {type(value).__name__}")
    return value


def _verdict(value: object) -> str:
    return that_verdict(value).verdict or ""


_READ: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "config": ("config", _config),
    "seed": ("seed", _seed),
    "faults": ("faults", _faults),
    "scenario": ("scenarios", _scenarios),
    "verdict": ("verdict", _verdict),
}
