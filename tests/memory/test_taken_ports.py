"""Another program takes the port of an instance while it is closed."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.events import PortBlocked, Refusing, ServerReady
from comfyfarm.server.ports import BoundPort, PortTaken
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

TWO = {"instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}
ERROR = "port 40001 cannot be had again: Address already in use"


def take_port(farm: MemoryFarm) -> Callable[[], None]:
    """Let another program have the port of the first instance once it is closed; return what gives it back."""
    port = farm["gpu-1"].backend.port
    bind = port.bind

    def taken(_host: str, number: int) -> BoundPort:
        raise PortTaken(number, "Address already in use")

    def give_back() -> None:
        port.bind = bind

    port.bind = taken
    return give_back


def state(farm: MemoryFarm) -> tuple[str, str | None]:
    found = farm.control("GET", "/api/farm").json()["instances"]["gpu-1"]
    return found["state"], found["port_error"]


@pytest.mark.parametrize("path", ["/api/heal", "/api/instances/gpu-1/start", "/api/instances/gpu-1/restart"])
def test_who_starts_an_instance_is_told_that_its_port_is_taken_and_it_starts_when_it_is_free(
    memory_farm: Start, path: str
) -> None:
    farm = memory_farm(TWO)
    give_back = take_port(farm)
    farm.control("POST", "/api/instances/gpu-1/stop")
    reply = farm.control("POST", path)
    assert reply.status == 503
    assert reply.json() == {"error": f"gpu-1: {ERROR} (it is tried again each second; all else is done)"}
    assert state(farm) == ("booting", ERROR)
    assert [event.instance for event in farm.farm.log.of(PortBlocked)] == ["gpu-1"]
    ready = len(list(farm.farm.log.of(ServerReady)))
    farm.wire.reactor.advance(5)
    assert state(farm) == ("booting", ERROR)
    give_back()
    farm.wire.reactor.advance(1)
    assert state(farm) == ("running", None)
    assert len(list(farm.farm.log.of(ServerReady))) == ready + 1
    assert farm.control("POST", "/api/heal").status == 200
    assert farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image()}).status == 200


def test_an_instance_that_is_stopped_while_its_port_is_taken_is_not_started_when_it_is_free(
    memory_farm: Start,
) -> None:
    farm = memory_farm(TWO)
    give_back = take_port(farm)
    farm.control("POST", "/api/instances/gpu-1/restart")
    farm.control("POST", "/api/instances/gpu-1/stop")
    assert state(farm) == ("stopped", None)
    give_back()
    farm.wire.reactor.advance(5)
    assert state(farm) == ("stopped", None)
    assert farm.control("POST", "/api/instances/gpu-1/start").json()["state"] == "running"


def test_an_instance_that_refused_accepts_again_when_its_port_is_free(memory_farm: Start) -> None:
    """The event comes then, so that nobody is blamed for a job that it could not take."""
    farm = memory_farm(TWO)
    give_back = take_port(farm)
    with farm.fault(do="refuse", at="process", on="gpu-1"):
        farm.advance(1)
    assert [event.on for event in farm.farm.log.of(Refusing)] == [True]
    assert state(farm) == ("booting", ERROR)
    give_back()
    farm.wire.reactor.advance(1)
    assert [event.on for event in farm.farm.log.of(Refusing)] == [True, False]
    assert state(farm) == ("running", None)
