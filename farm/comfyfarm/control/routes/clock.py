"""Routes of the farm's clock."""

from comfyfarm.control.routing import ApiError, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.farm import ClockBody, ClockState
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.clock_control import WrongClock

_DAY_MS = 24 * 60 * 60 * 1000
_QUIET_MS = 5


@route(endpoints.GET_CLOCK)
def get_clock(farm: Farm) -> ClockState:
    """Return the simulated time and how it passes."""
    farm.catch_up()
    due = [backend.instance.due_ms for backend in farm.backends.values() if backend.instance.due_ms is not None]
    at_ms, is_virtual = farm.time.now_ms(), farm.clock_control.is_virtual
    stands = is_virtual or farm.time.is_frozen
    return ClockState(
        clock="virtual" if is_virtual else "real",
        at_ms=at_ms,
        unix_ms=farm.unix_ms + at_ms,
        speed=0 if stands else farm.time.speed,
        frozen=farm.time.is_frozen,
        auto=farm.clock_control.auto is not None,
        next_ms=farm.clock_control.next_ms if is_virtual else min(due, default=None),
    )


@route(endpoints.CHANGE_CLOCK)
async def post_clock(farm: Farm, body: ClockBody) -> ClockState:
    """Move a virtual clock, or change how a real one passes.

    The answer to a move comes when everything due has happened, its files are written and its websocket messages are
    handed to the transport.  It is 409 if the clock is of the other kind.
    """
    try:
        await _change(farm, body)
    except WrongClock as error:
        raise ApiError(409, str(error)) from error
    return get_clock(farm)


async def _change(farm: Farm, body: ClockBody) -> None:
    clock_control = farm.clock_control
    if body.advance is not None:
        await clock_control.advance(body.advance / 1000)
    elif body.run_until_idle:
        await clock_control.run_until_idle((_DAY_MS if body.limit is None else body.limit) / 1000)
    elif body.auto is not None:
        quiet_ms = _QUIET_MS if body.quiet is None else int(body.quiet)
        clock_control.set_auto(quiet_ms if body.auto else None)
    else:
        clock_control.change(speed=body.speed, is_frozen=body.freeze)
