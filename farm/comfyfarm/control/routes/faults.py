"""Breaking the farm on purpose, and healing it: docs/faults.md."""

from __future__ import annotations

from typing import Any

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.control.routing import ApiError, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.faults import FaultList, FaultState
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Fault
from comfyfarm.faults.registry import UnknownFault
from comfyfarm.server.farm import Farm


def fault_state(armed: ArmedFault) -> FaultState:
    """A fault, and what has become of it."""
    return FaultState(
        id=armed.fault.id,
        state=armed.state,
        fault=armed.fault.as_written(),
        on=tuple(armed.counts),
        matched=armed.matched,
        fired=armed.fired,
        lasts=armed.lasts,
    )


def arm(farm: Farm, tables: list[tuple[str, Any]]) -> list[ArmedFault]:
    """Arm all faults of these tables, or none.

    :param tables: each with its place, empty where it stands alone.
    :raises Rejected: where one cannot be armed.
    """
    try:
        faults = [(place, read_fault(table, place)) for place, table in tables]
    except ConfigError as why:
        raise ApiError(422, str(why)) from why
    for place, fault in faults:
        _check(farm, place, fault)
    try:
        return farm.fault_controller.arm_all([fault for _, fault in faults])
    except UnknownFault as why:
        raise ApiError(422, str(why)) from why


def _check(farm: Farm, place: str, fault: Fault) -> None:
    try:
        farm.registry.check(fault)
    except UnknownFault as why:
        raise ApiError(422, f"{place}.{why}".removeprefix(".")) from why


def _listed(farm: Farm) -> list[ArmedFault]:
    return [armed for armed in farm.registry.armed.values() if not armed.is_private]


@route(endpoints.LIST_FAULTS)
def get_faults(farm: Farm) -> FaultList:
    """Say which faults there are and were, how often each has struck, and which never did."""
    states = tuple(fault_state(armed) for armed in _listed(farm))
    return FaultList(faults=states, never_fired=tuple(each.id for each in states if not any(each.fired.values())))


@route(endpoints.ARM_FAULTS)
def post_faults(farm: Farm, body: Any) -> FaultList:
    """Arm a fault, written as a ``[[fault]]`` of the configuration, or several: ``{"faults": [...]}``.

    All of them or none; the answer has these and no others.
    """
    several = body.get("faults") if isinstance(body, dict) else None
    if several is None:
        tables = [("", body)]
    elif isinstance(several, list) and len(body) == 1:
        tables = [(f"faults[{index}]", each) for index, each in enumerate(several)]
    else:
        raise ApiError(422, "faults: expected a list of faults, and nothing beside it")
    states = tuple(fault_state(armed) for armed in arm(farm, tables))
    return FaultList(faults=states, never_fired=tuple(each.id for each in states))


@route(endpoints.REMOVE_FAULTS)
async def delete_faults(farm: Farm) -> None:
    """Take every fault off: what they hold goes on, and the instances that they keep down come up."""
    farm.fault_controller.remove_all()
    await _settled(farm)


@route(endpoints.GET_FAULT)
def get_fault(farm: Farm, fault_id: str) -> FaultState:
    """Say what has become of one fault."""
    return fault_state(_find(farm, fault_id))


@route(endpoints.REMOVE_FAULT)
async def delete_fault(farm: Farm, fault_id: str) -> FaultState:
    """Take one fault off: what it holds goes on, and the instance that it keeps down comes up."""
    armed = _find(farm, fault_id)
    farm.fault_controller.remove(fault_id)
    await _settled(farm)
    return fault_state(armed)


def _find(farm: Farm, fault_id: str) -> ArmedFault:
    try:
        return farm.registry.find(fault_id)
    except UnknownFault as why:
        raise ApiError(404, str(why)) from why


@route(endpoints.HEAL)
async def post_heal(farm: Farm) -> None:
    """Take all faults off, open all gates, and have every instance up and at work."""
    farm.fault_controller.heal()
    await _settled(farm)


async def _settled(farm: Farm) -> None:
    """Answer when clients can know of it: real ports open in a later turn of the reactor."""
    for backend in farm.backends.values():
        await backend.port.settled()
