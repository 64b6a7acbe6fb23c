"""Routes that arm, list, remove and heal faults (docs/faults.md).

A gate is a fault that holds jobs or exchanges until they are released, so that a test can force a race.
"""

from typing import Any

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.control.routes.instances import ports_settled
from comfyfarm.control.routing import ApiError, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.faults import FaultList, FaultState, GateList, GateState, Held, ReleaseBody
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.registry import UnknownFault
from comfyfarm.server.farm import Farm

_HOLD = "hold"
_MAX_FAULTS = 500      # one turn of the reactor arms them, because it arms all or none


def _fault_state(armed: ArmedFault) -> FaultState:
    return FaultState(
        id=armed.fault.id,
        state=armed.state,
        fault=armed.fault.as_written(),
        on=tuple(armed.counts),
        matched=armed.matched,
        fired=armed.fired,
        lasts=armed.lasts,
    )


def _arm(farm: Farm, tables: list[tuple[str, Any]]) -> list[ArmedFault]:
    """Arm all faults of these tables, or none.

    :param tables: each with its place in the body; the place is empty if the body is the table.
    :raises ApiError: if one cannot be armed.
    """
    try:
        faults = [(place, read_fault(table, place)) for place, table in tables]
    except ConfigError as error:
        raise ApiError(422, str(error)) from error
    for place, fault in faults:
        try:
            farm.registry.check(fault)
        except UnknownFault as error:
            raise ApiError(422, f"{place}.{error}".removeprefix(".")) from error
    try:
        return farm.fault_controller.arm_all([fault for _, fault in faults])
    except UnknownFault as error:
        raise ApiError(422, str(error)) from error


@route(endpoints.LIST_FAULTS)
def get_faults(farm: Farm) -> FaultList:
    """List all faults, also those that have ended, how often each has fired, and which never did."""
    states = tuple(_fault_state(armed) for armed in farm.registry.armed.values() if not armed.is_private)
    return FaultList(faults=states, never_fired=tuple(state.id for state in states if not any(state.fired.values())))


@route(endpoints.ARM_FAULTS)
def post_faults(farm: Farm, body: Any) -> FaultList:
    """Arm a fault, written as a ``[[fault]]`` of the configuration, or several: ``{"faults": [...]}``.

    All of them are armed, or none; the answer lists only these.
    """
    several = body.get("faults") if isinstance(body, dict) else None
    if several is None:
        tables = [("", body)]
    elif isinstance(several, list) and len(body) == 1:
        if len(several) > _MAX_FAULTS:
            raise ApiError(422, f"faults: expected at most {_MAX_FAULTS} faults in one request, got {len(several)}")
        tables = [(f"faults[{index}]", table) for index, table in enumerate(several)]
    else:
        raise ApiError(422, "faults: expected a list of faults, and nothing beside it")
    states = tuple(_fault_state(armed) for armed in _arm(farm, tables))
    return FaultList(faults=states, never_fired=tuple(state.id for state in states))


@route(endpoints.REMOVE_FAULTS)
async def delete_faults(farm: Farm) -> None:
    """Remove every fault: everything they hold is released, and what they did to instances is undone."""
    farm.fault_controller.remove_all()
    await ports_settled(farm.backends.values())


@route(endpoints.GET_FAULT)
def get_fault(farm: Farm, fault_id: str) -> FaultState:
    """Return the state of one fault."""
    return _fault_state(_find(farm, fault_id))


@route(endpoints.REMOVE_FAULT)
async def delete_fault(farm: Farm, fault_id: str) -> FaultState:
    """Remove one fault: everything it holds is released, and what it did to instances is undone."""
    armed = _find(farm, fault_id)
    farm.fault_controller.remove(fault_id)
    await ports_settled(farm.backends.values())
    return _fault_state(armed)


def _find(farm: Farm, fault_id: str) -> ArmedFault:
    try:
        return farm.registry.find(fault_id)
    except UnknownFault as error:
        raise ApiError(404, str(error)) from error


@route(endpoints.HEAL)
async def post_heal(farm: Farm) -> None:
    """Remove all faults, open all gates, and start, thaw and resume every instance."""
    farm.fault_controller.heal()
    await ports_settled(farm.backends.values())


def _gate_state(armed: ArmedFault) -> GateState:
    state = _fault_state(armed)
    held = tuple(_held(firing) for firing in armed.firings if firing.active)
    return GateState(id=state.id, state=state.state, gate=state.fault, fired=state.fired, held=held)


def _held(firing: Firing) -> Held:
    facts = firing.facts
    return Held(
        instance=firing.instance,
        prompt_id=facts.prompt_id,
        job=facts.job_name,
        node=facts.node,
        route=facts.route,
        since_ms=firing.at_ms,
    )


def _gates(farm: Farm) -> dict[str, ArmedFault]:
    return {name: armed for name, armed in farm.registry.armed.items() if armed.fault.effect.do == _HOLD}


def _find_gate(farm: Farm, gate_id: str) -> ArmedFault:
    gates = _gates(farm)
    if gate_id not in gates:
        raise ApiError(404, f"no gate is called {gate_id!r} (there are: {', '.join(gates) or 'none'})")
    return gates[gate_id]


@route(endpoints.LIST_GATES)
def get_gates(farm: Farm) -> GateList:
    """List all gates, and what each holds."""
    return GateList(gates=tuple(_gate_state(armed) for armed in _gates(farm).values()))


@route(endpoints.CLOSE_GATE)
def post_gate(farm: Farm, body: Any) -> GateState:
    """Close a gate, written as a ``[[fault]]`` of the configuration without ``do``."""
    if isinstance(body, dict):
        if "do" in body:
            raise ApiError(422, "do: a gate holds, and does nothing else (POST /api/faults arms faults)")
        body = {"do": _HOLD, **body}
    (armed,) = _arm(farm, [("", body)])
    return _gate_state(armed)


@route(endpoints.GET_GATE)
def get_gate(farm: Farm, gate_id: str) -> GateState:
    """Return the state of one gate, and what it holds."""
    return _gate_state(_find_gate(farm, gate_id))


@route(endpoints.RELEASE_GATE)
def release(farm: Farm, gate_id: str, body: ReleaseBody) -> GateState:
    """Release what has been held longest, or everything that is held now; whatever comes later is held again."""
    armed = _find_gate(farm, gate_id)
    farm.fault_controller.release([firing for firing in armed.firings if firing.active][: body.count])
    return _gate_state(armed)


@route(endpoints.OPEN_GATE)
def delete_gate(farm: Farm, gate_id: str) -> GateState:
    """Open a gate for good."""
    armed = _find_gate(farm, gate_id)
    farm.fault_controller.remove(gate_id)
    return _gate_state(armed)
