"""One instance: how it goes, what may change, and its life."""

from __future__ import annotations

from typing import Any

import msgspec

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.equipment import check_change
from comfyfarm.config.live_changes import as_written, changed, live_type
from comfyfarm.control.routing import ApiError, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.farm import InstanceDetail, InstanceState, ResetBody
from comfyfarm.control.schema.faults import CrashBody
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import Farm


def backend_of(farm: Farm, name: str) -> Backend:
    """An instance.

    :raises Rejected: where there is none of that name.
    """
    if name not in farm.backends:
        raise ApiError(404, f"no instance is called {name!r}; there are: {', '.join(farm.backends)}")
    return farm.backends[name]


def state_of(farm: Farm, name: str) -> InstanceState:
    """How an instance goes."""
    backend = backend_of(farm, name)
    backend.driver.catch_up()
    backend.driver.set_alarm()
    queue = backend.instance.queue
    return InstanceState(
        url=backend.url,
        mode=backend.config.mode,
        state=backend.state,
        refusing=backend.is_refusing,
        draining=name in farm.analysis.drained,
        input_dir=str(backend.disk.input_dir),
        output_dir=str(backend.disk.output_dir),
        epoch=backend.epoch,
        queue_remaining=queue.remaining,
        running=queue.running.prompt_id if queue.running else None,
        history=len(backend.instance.history.entries),
        finished=farm.analysis.finished[name],
    )


def _detail_of(farm: Farm, name: str) -> InstanceDetail:
    facts = msgspec.structs.asdict(state_of(farm, name))
    config = backend_of(farm, name).config
    return InstanceDetail(**facts, settings=as_written(config), live=live_type().__struct_fields__)


@route(endpoints.LIST_INSTANCES)
def get_instances(farm: Farm) -> dict[str, InstanceState]:
    """Say how every instance goes, by name."""
    return {name: state_of(farm, name) for name in farm.backends}


@route(endpoints.GET_INSTANCE)
def get_instance(farm: Farm, name: str) -> InstanceDetail:
    """Say how one instance goes, with its settings."""
    return _detail_of(farm, name)


@route(endpoints.CHANGE_INSTANCE, described_as=live_type)
def patch_instance(farm: Farm, name: str, body: Any) -> InstanceDetail:
    """Change settings while the instance runs; its running job hears of them at its next step.

    Values are written as in the configuration; tables are merged key by key, lists are replaced.
    One bad key, and nothing changes.
    """
    backend = backend_of(farm, name)
    try:
        config = changed(backend.config, body)
        check_change(config, [each.config for each in farm.backends.values()], farm.equipment_cache)
    except ConfigError as why:
        raise ApiError(422, str(why)) from why
    backend.change(config, list(body))
    return _detail_of(farm, name)


@route(endpoints.STOP_INSTANCE)
async def stop_instance(farm: Farm, name: str) -> InstanceState:
    """Close its port and hang up; queue, history, cache and uploads are gone.  The port's number stays its own."""
    backend = backend_of(farm, name)
    _running(name, backend)
    await backend.stop()
    return state_of(farm, name)


@route(endpoints.START_INSTANCE)
async def start_instance(farm: Farm, name: str) -> InstanceState:
    """Listen again, as a new process would: a new epoch."""
    backend = backend_of(farm, name)
    if backend.state != "stopped":
        raise ApiError(409, f"{name} runs already")
    backend.start()
    await backend.port.settled()
    return state_of(farm, name)


@route(endpoints.RESTART_INSTANCE)
async def restart_instance(farm: Farm, name: str) -> InstanceState:
    """Stop it, if it runs, and start it: a new epoch."""
    backend = backend_of(farm, name)
    if backend.state != "stopped":
        await backend.stop()
    backend.start()
    await backend.port.settled()
    return state_of(farm, name)


@route(endpoints.CRASH_INSTANCE)
async def crash_instance(farm: Farm, name: str, body: CrashBody) -> InstanceState:
    """Let its process die: connections are reset, the port is closed, and what is not kept is lost.

    With ``restart_after`` it comes back, unless it is healed or started before.
    """
    process = _running(name, backend_of(farm, name)).process
    farm.fault_controller.crash(name, body.keep, body.restart_after)
    await process.ended()
    return state_of(farm, name)


@route(endpoints.PAUSE_INSTANCE)
def pause_instance(farm: Farm, name: str) -> InstanceState:
    """Let its worker take no further step; clients are answered as before."""
    _running(name, backend_of(farm, name)).pause()
    return state_of(farm, name)


@route(endpoints.RESUME_INSTANCE)
def resume_instance(farm: Farm, name: str) -> InstanceState:
    """Let its worker go on: the running step takes as long as it still had to."""
    _running(name, backend_of(farm, name)).resume()
    return state_of(farm, name)


@route(endpoints.RESET_INSTANCE)
def reset_instance(farm: Farm, name: str, body: ResetBody) -> None:
    """Make one instance forget queue, running job, history, cache and uploads, and go on where it was paused."""
    backend_of(farm, name).reset(files=body.files)


def _running(name: str, backend: Backend) -> Backend:
    if backend.state == "stopped":
        raise ApiError(409, f"{name} is stopped")
    return backend
