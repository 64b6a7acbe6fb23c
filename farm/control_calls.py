"""What can be asked of a farm, as values: the same for clients that wait and for those that await."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from farm.control.bodies import ClockState, Done, FarmState, InstanceDetail, InstanceState, WaitState
from farm.control.fault_bodies import FaultList, FaultState, GateList, GateState
from farm.refused import Refused

__all__ = [
    "LONG_S",
    "Call",
    "advance",
    "arm",
    "arm_all",
    "as_timeout",
    "auto",
    "change",
    "clock",
    "crash",
    "farm_state",
    "fault",
    "faults",
    "gate",
    "gates",
    "heal",
    "hold",
    "instance",
    "instance_do",
    "log",
    "open_gate",
    "pass_time",
    "read_log",
    "release",
    "remove_fault",
    "remove_faults",
    "reset",
    "run_until_idle",
    "wait",
    "with_query",
]

A = TypeVar("A")

_MARGIN_S = 5.0
LONG_S = 600.0
"""How long a move over hours of load may take, or a look at a long log."""


@dataclass(frozen=True)
class Call(Generic[A]):
    """One question.

    :ivar answer: the type of what comes back.
    :ivar timeout_s: how long to wait for that, in real time.
    """

    method: str
    path: str
    answer: type[A]
    body: Any = None
    timeout_s: float = 10.0

    def read(self, content: bytes) -> A:
        """What came back."""
        return msgspec.json.decode(content, type=self.answer)


def _written(duration: str | float) -> str:
    """A duration as the farm reads it; a number is seconds."""
    return duration if isinstance(duration, str) else f"{round(duration * 1000)}ms"


def farm_state() -> Call[FarmState]:
    """Where everything is and how it goes."""
    return Call("GET", "/api/farm", FarmState)


def instance(name: str) -> Call[InstanceDetail]:
    """How one instance goes, with its settings."""
    return Call("GET", f"/api/instances/{name}", InstanceDetail)


def change(name: str, settings: Mapping[str, Any]) -> Call[InstanceDetail]:
    """Change settings while an instance runs."""
    return Call("PATCH", f"/api/instances/{name}", InstanceDetail, dict(settings))


def instance_do(name: str, what: str) -> Call[InstanceState]:
    """Start, stop, restart, pause or resume one."""
    return Call("POST", f"/api/instances/{name}/{what}", InstanceState, {})


def reset(name: str | None, *, files: bool) -> Call[Done]:
    """Empty one instance, or all."""
    path = "/api/reset" if name is None else f"/api/instances/{name}/reset"
    return Call("POST", path, Done, {"files": files})


def crash(name: str, keep: Collection[str], restart_after: str | float | None) -> Call[InstanceState]:
    """Let one crash."""
    body: dict[str, Any] = {"keep": list(keep)}
    if restart_after is not None:
        body["restart_after"] = _written(restart_after)
    return Call("POST", f"/api/instances/{name}/crash", InstanceState, body)


def arm(table: Mapping[str, Any]) -> Call[FaultList]:
    """Arm one fault; the answer has it alone."""
    return Call("POST", "/api/faults", FaultList, dict(table))


def arm_all(tables: Collection[Mapping[str, Any]]) -> Call[FaultList]:
    """Arm several, or none."""
    return Call("POST", "/api/faults", FaultList, {"faults": [dict(each) for each in tables]})


def faults() -> Call[FaultList]:
    """All faults there are and were."""
    return Call("GET", "/api/faults", FaultList)


def fault(fault_id: str) -> Call[FaultState]:
    """What has become of one fault."""
    return Call("GET", _fault(fault_id), FaultState)


def remove_fault(fault_id: str) -> Call[FaultState]:
    """Take one fault off."""
    return Call("DELETE", _fault(fault_id), FaultState)


def remove_faults() -> Call[Done]:
    """Take all faults off."""
    return Call("DELETE", "/api/faults", Done)


def heal() -> Call[Done]:
    """Take all faults off, open all gates, have every instance up."""
    return Call("POST", "/api/heal", Done, {})


def hold(table: Mapping[str, Any]) -> Call[GateState]:
    """Close a gate."""
    return Call("POST", "/api/gates", GateState, dict(table))


def gates() -> Call[GateList]:
    """All gates there are and were."""
    return Call("GET", "/api/gates", GateList)


def gate(gate_id: str) -> Call[GateState]:
    """What waits at one gate."""
    return Call("GET", _gate(gate_id), GateState)


def release(gate_id: str, count: int | None) -> Call[GateState]:
    """Let go what waits at one gate."""
    return Call("POST", f"{_gate(gate_id)}/release", GateState, {} if count is None else {"count": count})


def open_gate(gate_id: str) -> Call[GateState]:
    """Open one for good."""
    return Call("DELETE", _gate(gate_id), GateState)


def _fault(fault_id: str) -> str:
    return f"/api/faults/{quote(fault_id, safe='')}"


def _gate(gate_id: str) -> str:
    return f"/api/gates/{quote(gate_id, safe='')}"


def clock() -> Call[ClockState]:
    """How time passes."""
    return Call("GET", "/api/clock", ClockState)


def advance(duration: str | float) -> Call[ClockState]:
    """Move a virtual clock."""
    return _clock({"advance": _written(duration)})


def run_until_idle(limit: str | float | None) -> Call[ClockState]:
    """Move a virtual clock until nothing is due."""
    said = {} if limit is None else {"limit": _written(limit)}
    return _clock({"run_until_idle": True, **said})


def auto(*, on: bool, quiet: str | float | None) -> Call[ClockState]:
    """Let a virtual clock move by itself."""
    said = {} if quiet is None else {"quiet": _written(quiet)}
    return _clock({"auto": on, **said})


def pass_time(*, speed: float | None = None, freeze: bool | None = None) -> Call[ClockState]:
    """Let real time pass faster, slower or not at all."""
    said = {"speed": speed, "freeze": freeze}
    return _clock({key: value for key, value in said.items() if value is not None})


def _clock(body: dict[str, Any]) -> Call[ClockState]:
    return Call("POST", "/api/clock", ClockState, body, LONG_S)


def wait(timeout_s: float, condition: Mapping[str, Any]) -> Call[WaitState]:
    """Wait until something is so."""
    body = {**condition, "timeout": _written(timeout_s)}
    return Call("POST", "/api/wait", WaitState, body, timeout_s + _MARGIN_S)


def log(query: Mapping[str, Any]) -> Call[Any]:
    """The events of the log; what comes back is for :func:`read_log`, or for events."""
    return Call("GET", with_query("/api/log", query), object, None, LONG_S)


def with_query(path: str, query: Mapping[str, Any]) -> str:
    """A path with what was asked for behind it; ``None`` asks for nothing."""
    said = urlencode({key: value for key, value in query.items() if value is not None})
    return f"{path}?{said}" if said else path


def read_log(content: bytes) -> list[dict[str, Any]]:
    """The lines of a log as objects."""
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in content.splitlines()]


def as_timeout(why: Refused) -> Exception:
    """A waiting that was not met is a ``TimeoutError``; any other refusal stays what it is."""
    if why.status != 504:
        return why
    return TimeoutError(str(why.body["error"]))
