"""The arguments of ``@pytest.mark.comfy_farm(...)``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, get_args

import pytest

from comfyfarm.config import FarmConfig
from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.overlay import Overlay, Table, check_scenarios, check_tables, named
from comfyfarm.config.sources import ConfigSource
from comfyfarm.events.orders import DeliveryMode
from comfyfarm.testing.expectations import Expectation, expect_jobs, expect_none_of, expect_verdict
from comfyfarm.testing.plugin.stash import MARKER

AnyConfig = ConfigSource | FarmConfig


class BadMarker(Exception):
    """The arguments of a marker are invalid; the message says which, in one line."""


@dataclass(frozen=True)
class MarkerArgs:
    """The arguments of a test's markers; for each key that of the marker nearest to the test.

    :ivar config: for factories that are called without one; ``None``: none.
    :ivar seed: the seed of every farm; ``None``: as configured.
    :ivar faults: added to each configuration; each has an id.
    :ivar scenario: the scenarios added to each configuration.
    :ivar delivery: what counts as delivered; ``None``: as configured.
    :ivar verdict: the verdict that each farm must have at the end of the test; ``None``: any.
    :ivar jobs: the number of logical jobs that each farm must have got by then; ``None``: any.
    :ivar no: the names of findings that no farm may have then.
    """

    config: AnyConfig | None = None
    seed: int | None = None
    faults: Sequence[Table] = ()
    scenario: Sequence[Table] = ()
    delivery: DeliveryMode | None = None
    verdict: str | None = None
    jobs: int | None = None
    no: Sequence[str] = ()

    def expectation(self) -> Expectation | None:
        """Return what must be true of each farm at the end of the test; ``None``: nothing.

        :raises ValueError: if the arguments contradict each other.
        """
        parts = []
        if self.verdict is not None:
            parts.append(expect_verdict(self.verdict, self.jobs))
        elif self.jobs is not None:
            parts.append(expect_jobs(self.jobs))
        if self.no:
            parts.append(expect_none_of(*self.no))
        return reduce(and_, parts) if parts else None


def read_marker(item: pytest.Item) -> MarkerArgs:
    """Return the arguments of a test's markers.

    :raises BadMarker: if they are invalid.
    """
    try:
        arguments = {key: value for key, value in _arguments(item).items() if value is not None}
        args = MarkerArgs(**{key: _READERS[key](value) for key, value in arguments.items()})
        args.expectation()
        check_scenarios(args.scenario)
        if args.config is not None:     # all but its ports can be checked before there is a farm
            Overlay(args.seed, args.faults, args.scenario).check(args.config)
    except (BadMarker, ConfigError, ValueError) as error:
        raise BadMarker(f"@pytest.mark.{MARKER}: {error}") from error
    return args


def _arguments(item: pytest.Item) -> Mapping[str, Any]:
    arguments: dict[str, Any] = {}
    for marker in item.iter_markers(MARKER):
        if marker.args:
            raise BadMarker(f"expected {', '.join(f'{key}=...' for key in _READERS)} only")
        for key in marker.kwargs:
            if key not in _READERS:
                raise BadMarker(f"{key}: unknown argument (there are: {', '.join(_READERS)})")
        arguments = {**marker.kwargs, **arguments}
    return arguments


def _read_config(value: object) -> object:
    if isinstance(value, Path | str | Mapping | FarmConfig):
        return value
    raise BadMarker(f"config: expected a path, a dictionary or TOML text, got {type(value).__name__}")


def _read_seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMarker(f"seed: expected int, got {type(value).__name__}")
    return value


def _read_faults(value: object) -> Sequence[Table]:
    if not isinstance(value, list | tuple):
        raise BadMarker(f"faults: expected a list of tables, got {type(value).__name__}")
    check_tables(value, "faults")
    return named(value)


def _read_scenarios(value: object) -> Sequence[Table]:
    return [_read_scenario(scenario) for scenario in (value if isinstance(value, list | tuple) else [value])]


def _read_scenario(value: object) -> Table:
    if isinstance(value, str):
        return {"use": value}
    if not isinstance(value, Mapping):
        raise BadMarker(f"scenario: expected an incident's id or a table, got {type(value).__name__}")
    return value


def _read_verdict(value: object) -> str:
    return expect_verdict(value).verdict or ""


def _read_jobs(value: object) -> int | None:
    return expect_jobs(value).jobs


def _read_delivery(value: object) -> object:
    if value in (modes := get_args(DeliveryMode)):
        return value
    raise BadMarker(f"delivery: expected one of {', '.join(map(repr, modes))}, got {value!r}")


def _read_no(value: object) -> Sequence[str]:
    if not isinstance(value, list | tuple):
        raise BadMarker(f"no: expected a list of names of findings, got {type(value).__name__}")
    for name in value:
        if not isinstance(name, str):
            raise BadMarker(f"no: expected names of findings, got {type(name).__name__}")
    if value:
        expect_none_of(*value)
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "config": _read_config,
    "seed": _read_seed,
    "faults": _read_faults,
    "scenario": _read_scenarios,
    "delivery": _read_delivery,
    "verdict": _read_verdict,
    "jobs": _read_jobs,
    "no": _read_no,
}
