"""The farm as a whole."""

from __future__ import annotations

from comfyfarm.control.routes.instances import state_of
from comfyfarm.control.routing import route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.farm import FarmState, ResetBody
from comfyfarm.server.farm import Farm


@route(endpoints.GET_HEALTH)
def healthz(_farm: Farm) -> None:
    """Say that the farm serves."""


@route(endpoints.GET_FARM)
def get_farm(farm: Farm) -> FarmState:
    """Say where everything is and how it goes."""
    settings = farm.config.farm
    return FarmState(
        control=farm.control_url,
        seed=settings.seed or 0,
        clock=settings.clock,
        speed=farm.time.speed,
        at_ms=farm.time.now_ms(),
        instances={name: state_of(farm, name) for name in farm.backends},
    )


@route(endpoints.RESET)
def reset(farm: Farm, body: ResetBody) -> None:
    """Make all instances forget queue, running job, history, cache and uploads, and go on where they were paused.

    Settings stay as they are, and a stopped instance stays stopped.
    """
    for backend in farm.backends.values():
        backend.reset(files=body.files)
