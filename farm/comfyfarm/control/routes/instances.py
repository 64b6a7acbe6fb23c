"""Routes of the instances, of one or of all: state, settings, start and stop."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.equipment import check_change
from comfyfarm.config.live_changes import as_written, changed, differing, live_keys, live_type
from comfyfarm.config.scenarios.scenario import InstanceAction
from comfyfarm.control.routing import ApiError, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.farm import FarmState, InstanceDetail, InstanceState, ResetBody
from comfyfarm.control.schema.faults import CrashBody
from comfyfarm.events import StepTaken
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.turns import in_turns

_MAX_VALUES = {"missing_nodes": 1000, "timing": 2000}
_MAX_VALUES_ELSE = 10_000

# The farm.


@route(endpoints.GET_HEALTH)
def healthz(_farm: Farm) -> None:
    """Confirm that the farm is serving."""


@route(endpoints.GET_FARM)
def get_farm(farm: Farm) -> FarmState:
    """Return the URLs, folders and states of the farm and its instances."""
    settings = farm.config.farm
    return FarmState(
        control=farm.control_url,
        seed=settings.seed or 0,
        clock=settings.clock,
        speed=farm.time.speed,
        at_ms=farm.time.now_ms(),
        lag_ms=farm.lag.lag_ms,
        max_lag_ms=farm.lag.max_lag_ms,
        trial=farm.analysis.trial,
        instances=get_instances(farm),
    )


@route(endpoints.RESET)
async def reset(farm: Farm, body: ResetBody) -> None:
    """Make all instances forget queue, running job, history, cache and uploads, and resume those that are paused.

    Settings stay as they are, and a stopped instance stays stopped.  A new trial begins.
    """
    removals = [backend.reset(files=body.files) for backend in farm.backends.values()]
    farm.analysis.begin_trial()
    for removal in removals:
        await in_turns(farm.reactor, removal)


# An instance.


def backend_of(farm: Farm, name: str) -> Backend:
    """Return an instance by its name.

    :raises ApiError: if there is none of that name.
    """
    if name not in farm.backends:
        raise ApiError(404, f"no instance is called {name!r}; there are: {', '.join(farm.backends)}")
    return farm.backends[name]


def state_of(farm: Farm, name: str) -> InstanceState:
    """Return the present state of an instance.

    :raises ApiError: if there is none of that name.
    """
    backend = backend_of(farm, name)
    backend.driver.catch_up()
    backend.driver.set_alarm()
    queue = backend.instance.queue
    return InstanceState(
        url=backend.url,
        mode=backend.config.mode,
        state=backend.state,
        refusing=backend.is_refusing,
        port_error=backend.port.error,
        draining=name in farm.analysis.drained,
        input_dir=str(backend.disk.input_dir),
        output_dir=str(backend.disk.output_dir),
        epoch=backend.epoch,
        queue_remaining=queue.remaining,
        running=queue.running.prompt_id if queue.running else None,
        history=len(backend.instance.history.entries),
        finished=farm.analysis.finished[name],
    )


@route(endpoints.LIST_INSTANCES)
def get_instances(farm: Farm) -> dict[str, InstanceState]:
    """Return the state of every instance, by name."""
    return {name: state_of(farm, name) for name in farm.backends}


@route(endpoints.GET_INSTANCE)
def get_instance(farm: Farm, name: str) -> InstanceDetail:
    """Return the state of one instance, with its settings."""
    facts = msgspec.structs.asdict(state_of(farm, name))
    config = backend_of(farm, name).config
    return InstanceDetail(**facts, settings=as_written(config), live=live_type().__struct_fields__)


@route(endpoints.CHANGE_INSTANCE, described_as=live_type)
def patch_instance(farm: Farm, name: str, body: Any) -> InstanceDetail:
    """Change settings while the instance runs; its running job uses them from its next step.

    Values are written as in the configuration; tables are merged key by key, lists are replaced.
    If one key is wrong, nothing changes.
    """
    backend = backend_of(farm, name)
    _check_size(body)
    try:
        config = changed(backend.config, body)
        check_change(config, [other.config for other in farm.backends.values()], farm.equipment_cache)
    except ConfigError as error:
        raise ApiError(422, str(error)) from error
    backend.change(config, list(body))
    return get_instance(farm, name)


def _check_size(change: Any) -> None:
    """Check that a change can be made within one turn of the reactor.

    :raises ApiError: if a key has too many values, in all its lists and tables together.
    """
    for key in live_keys() if isinstance(change, dict) else ():
        allowed, count, left = _MAX_VALUES.get(key, _MAX_VALUES_ELSE), 0, [change.get(key)]
        while left:
            inner = left.pop()
            if isinstance(inner, dict | list):
                count += len(inner)
                if count > allowed:
                    raise ApiError(422, f"{key}: expected at most {allowed} values in one change, got {count} or more")
                left += inner.values() if isinstance(inner, dict) else inner


@route(endpoints.STOP_INSTANCE)
async def stop_instance(farm: Farm, name: str) -> InstanceState:
    """Stop an instance: its port and connections are closed; queue, history, cache and uploads are lost.

    The port's number stays reserved.
    """
    await _running(farm, name).stop()
    note_step(farm, "stop", name)
    return state_of(farm, name)


@route(endpoints.START_INSTANCE)
async def start_instance(farm: Farm, name: str) -> InstanceState:
    """Start a stopped instance, as a new process with a new epoch."""
    backend = backend_of(farm, name)
    if backend.state != "stopped":
        raise ApiError(409, f"{name} runs already")
    backend.start()
    note_step(farm, "start", name)
    await ports_settled([backend])
    return state_of(farm, name)


async def ports_settled(backends: Collection[Backend]) -> None:
    """Wait until clients can connect: real ports open in a later turn of the reactor.

    :raises ApiError: if another program has taken the port of an instance that shall be open.
    """
    for backend in backends:
        await backend.port.settled()
    errors = [f"{backend.config.name}: {backend.port.error}" for backend in backends if backend.port.error]
    if errors:
        raise ApiError(503, f"{'; '.join(errors)} (it is tried again each second; all else is done)")


@route(endpoints.RESTART_INSTANCE)
async def restart_instance(farm: Farm, name: str) -> InstanceState:
    """Stop an instance, if it runs, and start it with a new epoch."""
    backend = backend_of(farm, name)
    if backend.state != "stopped":
        await backend.stop()
    backend.start()
    note_step(farm, "restart", name)
    await ports_settled([backend])
    return state_of(farm, name)


@route(endpoints.CRASH_INSTANCE)
async def crash_instance(farm: Farm, name: str, body: CrashBody) -> InstanceState:
    """Crash an instance: connections are reset, the port is closed, and what is not kept is lost.

    With ``restart_after`` it is started again after that time, unless it is healed or started before.
    """
    process = _running(farm, name).process
    farm.fault_controller.crash(name, body.keep, body.restart_after)
    note_step(farm, "crash", name, differing(body, CrashBody()))
    await process.ended()
    return state_of(farm, name)


@route(endpoints.PAUSE_INSTANCE)
def pause_instance(farm: Farm, name: str) -> InstanceState:
    """Pause an instance's worker before its next step; clients are answered as before."""
    _running(farm, name).pause()
    note_step(farm, "pause", name)
    return state_of(farm, name)


@route(endpoints.RESUME_INSTANCE)
def resume_instance(farm: Farm, name: str) -> InstanceState:
    """Resume an instance's worker: the interrupted step takes the rest of its time."""
    _running(farm, name).resume()
    note_step(farm, "resume", name)
    return state_of(farm, name)


@route(endpoints.RESET_INSTANCE)
async def reset_instance(farm: Farm, name: str, body: ResetBody) -> None:
    """Make one instance forget queue, running job, history, cache and uploads, and resume it if it is paused."""
    removal = backend_of(farm, name).reset(files=body.files)
    note_step(farm, "reset", name, differing(body, ResetBody()))
    await in_turns(farm.reactor, removal)


def note_step(farm: Farm, action: InstanceAction, name: str, settings: Mapping[str, Any] = {}) -> None:
    """Publish what was done to an instance by hand, so that it can be repeated as a step of a scenario."""
    now_ms = farm.time.now_ms()
    farm.log.publish(StepTaken(at_ms=now_ms, scenario="", action=action, on=(name,), settings=dict(settings)))


def _running(farm: Farm, name: str) -> Backend:
    backend = backend_of(farm, name)
    if backend.state == "stopped":
        raise ApiError(409, f"{name} is stopped")
    return backend
