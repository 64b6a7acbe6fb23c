"""The header ``X-Comfyfarm-Fault``: a fault that a client brings along, for its one request."""

from __future__ import annotations

import json
from typing import Any

from twisted.web.server import Request

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.fault import Fault, Rule
from comfyfarm.faults.phases import EXCHANGE
from comfyfarm.server.http.request import header

_NAME = "X-Comfyfarm-Fault"
_TAKEN = ("at", "cites")


class BadFault(Exception):
    """The header holds no fault that can strike a request; the message says why."""


def fault_in(request: Request) -> Fault | None:
    """The fault that a request brings along: ``do``, what that takes, and ``at`` (by itself ``request``).

    :raises BadFault: where it is none.
    """
    text = header(request, _NAME.lower())
    if text is None:
        return None
    try:
        return _read(text)
    except (ConfigError, ValueError, RecursionError) as why:
        raise BadFault(f"{_NAME}: {why}") from why


def _read(text: str) -> Fault:
    table = json.loads(text)
    if not isinstance(table, dict):
        raise ConfigError(f"expected an object, got {type(table).__name__}")
    for key in table:
        if key in Rule.__struct_fields__ and key not in _TAKEN:
            raise ConfigError(f"{key}: has no meaning for one request (there are: do, {', '.join(_TAKEN)})")
    fault = read_fault({**table, "at": _at(table.get("at", {}))})
    if fault.rule.at.phase not in EXCHANGE:
        raise ConfigError(f"at.phase: expected one of {', '.join(EXCHANGE)}, got {fault.rule.at.phase!r}")
    return fault


def _at(given: Any) -> Any:
    return {"phase": "request", **given} if isinstance(given, dict) else given
