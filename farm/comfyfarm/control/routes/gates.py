"""Routes of gates: a gate holds jobs or exchanges until they are released, so that a test can force a race."""

from typing import Any

from comfyfarm.control.routes.faults import arm, fault_state
from comfyfarm.control.routing import ApiError, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.faults import GateList, GateState, Held, ReleaseBody
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Firing
from comfyfarm.server.farm import Farm

_HOLD = "hold"


def _gate_state(armed: ArmedFault) -> GateState:
    state = fault_state(armed)
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


def _find(farm: Farm, gate_id: str) -> ArmedFault:
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
    (armed,) = arm(farm, [("", body)])
    return _gate_state(armed)


@route(endpoints.GET_GATE)
def get_gate(farm: Farm, gate_id: str) -> GateState:
    """Return the state of one gate, and what it holds."""
    return _gate_state(_find(farm, gate_id))


@route(endpoints.RELEASE_GATE)
def release(farm: Farm, gate_id: str, body: ReleaseBody) -> GateState:
    """Release what has been held longest, or everything that is held now; whatever comes later is held again."""
    armed = _find(farm, gate_id)
    farm.fault_controller.release([firing for firing in armed.firings if firing.active][: body.count])
    return _gate_state(armed)


@route(endpoints.OPEN_GATE)
def delete_gate(farm: Farm, gate_id: str) -> GateState:
    """Open a gate for good."""
    armed = _find(farm, gate_id)
    farm.fault_controller.remove(gate_id)
    return _gate_state(armed)
