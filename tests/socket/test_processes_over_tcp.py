"""What a client of a real socket sees of a process that crashes, freezes or refuses."""

import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionClosed
from twisted.internet.task import deferLater

from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.testing import TwistedFarm
from comfyfarm.testing.child import RunningFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]
VIRTUAL = {"farm": {"clock": "virtual"}, "instance": [{"name": "gpu-1", "timing": {"step": "1s"}}, {"name": "gpu-2"}]}


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=10)


def post(url: str) -> socket.socket:
    """Send a prompt, and do not wait for the answer."""
    connection = connect(url)
    body = json.dumps({"prompt": text_to_image(steps=1)}).encode()
    head = f"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def read(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_crash_is_a_reset_then_a_refusal_then_the_same_port_again(comfy_farm: Callable[[Any], RunningFarm]) -> None:
    """A client in the middle of an exchange sees ECONNRESET, the next one ECONNREFUSED."""
    farm = comfy_farm(VIRTUAL)
    url = farm["gpu-1"].url
    with farm.hold(on="gpu-1", at={"phase": "request", "route": "/prompt"}) as gate:
        waiting = post(url)
        farm.control.wait(event={"kind": "fault_fired", "id": gate.id})
        assert farm.control.crash("gpu-1").state == "stopped"
        with pytest.raises(ConnectionResetError):
            read(waiting)
        with pytest.raises(ConnectionRefusedError):
            connect(url)
        again = farm.control.start("gpu-1")
        assert (again.url, again.epoch, gate.held) == (url, 2, ())
    assert SyncComfyClient(url).health()
    assert SyncComfyClient(farm["gpu-2"].url).health()


def test_a_crash_and_a_restart_in_one_breath_leave_the_port_open(comfy_farm: Callable[[Any], RunningFarm]) -> None:
    """The real port is closed in a later turn of the reactor; the new process listens right behind that."""
    farm = comfy_farm(VIRTUAL)
    for _ in range(5):
        with farm.fault(do="crash", at="process", on="gpu-1", restart_after="0s"):
            farm.advance("1s")
            farm.control.wait(event={"kind": "server_started"})
        assert SyncComfyClient(farm["gpu-1"].url).health()
    assert farm.control.restart("gpu-1").epoch == 7
    assert SyncComfyClient(farm["gpu-1"].url).health()


def test_a_frozen_server_takes_connections_and_answers_when_it_thaws(comfy_farm: Callable[[Any], RunningFarm]) -> None:
    farm = comfy_farm(VIRTUAL)
    url = farm["gpu-1"].url
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="10s") as fault:
        farm.advance("1s")
        assert (fault.fired, farm.control.instance("gpu-1").state) == (1, "frozen")
        waiting = post(url)
        waiting.settimeout(0.05)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        waiting.settimeout(10)
        farm.advance("9s")
        assert read(waiting).startswith(b"HTTP/1.1 200 ")
    farm.run_until_idle()
    assert len(farm.control.log(kind="finished")) == 1


def test_a_refusing_server_answers_whom_it_has_and_nobody_else(comfy_farm: Callable[[Any], RunningFarm]) -> None:
    farm = comfy_farm(VIRTUAL)
    url = farm["gpu-1"].url
    with farm.hold(on="gpu-1", at="submit") as gate:
        waiting = post(url)
        farm.control.wait(event={"kind": "fault_fired", "id": gate.id})
        with farm.fault(do="refuse", at="process", on="gpu-1"):
            farm.advance("1s")
            assert farm.control.instance("gpu-1").refusing
            with pytest.raises(ConnectionRefusedError):
                connect(url)
            gate.release()
            assert read(waiting).startswith(b"HTTP/1.1 200 ")
    assert SyncComfyClient(url).health()


def test_plain_code_breaks_and_heals_a_farm(comfy_farm: Callable[[Any], RunningFarm]) -> None:
    """Every call of the client."""
    farm = comfy_farm(VIRTUAL)
    control = farm.control
    armed = control.arm(do="crash", at="process", on="gpu-1", after="5s")
    assert (armed.id, armed.on) == ("crash-1", ("gpu-1",))
    gate = control.hold(on="gpu-2", at="start", id="door")
    assert [each.id for each in control.arm_all([{"do": "hang", "at": "save"}])] == ["hang-1"]
    assert control.faults().never_fired == ("crash-1", "door", "hang-1")
    assert [each.id for each in control.gates().gates] == [gate.id]
    SyncComfyClient(farm["gpu-2"].url).submit_workflow(text_to_image(steps=1))
    farm.advance("5s")
    (held,) = control.gate("door").held
    assert (held.instance, control.fault("crash-1").fired) == ("gpu-2", {"gpu-1": 1})
    assert control.release("door", 1).held == ()
    assert control.remove_fault("crash-1").lasts is False
    assert control.open_gate("door").state == "removed"
    assert control.crash("gpu-2", ["queue"], restart_after=2.5).state == "stopped"
    farm.heal()
    assert {each.state for each in control.state().instances.values()} == {"running"}
    control.remove_faults()
    with pytest.raises(HttpStatusError, match="lunch"):
        control.arm(do="crash", at="lunch")
    with pytest.raises(HttpStatusError, match="lunch"), farm.fault(do="crash", at="lunch"):
        pass


@pytest_twisted.ensureDeferred
async def test_twisted_code_breaks_and_heals_a_farm(twisted_farm: Start) -> None:
    """Inside a block, and with every call of the client; a websocket sees the crash as a lost connection."""
    farm = await twisted_farm(VIRTUAL)
    client = farm["gpu-1"].client
    async with client.listening() as messages, farm.fault(do="crash", at="process", on="gpu-1") as fault:
        await farm.advance("1s")
        with pytest.raises(ConnectionClosed):
            async for _ in messages:
                pass
        assert (fault.fired, fault.state) == (1, "expired")
        assert not await client.health()
    assert await client.health()
    async with farm.hold(on="gpu-1", at="history") as gate:
        prompt_id = await client.submit(text_to_image(steps=1))
        await farm.advance("1min")
        assert [each.facts.prompt_id for each in gate.held] == [prompt_id]
        gate.release()
        assert prompt_id in await client.history()
    control = farm.control
    armed = await control.arm(do="freeze", at="process", on="gpu-2")
    (other,) = await control.arm_all([{"do": "hang", "at": "save"}])
    gate_state = await control.hold(at="start", id="door")
    await farm.advance("1s")
    assert (await control.fault(armed.id)).lasts
    assert [each.id for each in (await control.gates()).gates] == ["hold-1", gate_state.id]
    assert (await control.gate("door")).held == (await control.release("door")).held == ()
    assert (await control.open_gate("door")).state == "removed"
    assert (await control.remove_fault(other.id)).state == "removed"
    await control.remove_faults()
    assert (await control.instance("gpu-2")).state == "running"
    assert (await control.crash("gpu-2", restart_after="1s")).state == "stopped"
    await control.heal()
    assert (await control.restart("gpu-2")).state == "running"
    await farm.heal()
    assert (await control.faults()).never_fired == (other.id, "door")


@pytest_twisted.ensureDeferred
async def test_a_client_that_hung_up_on_a_frozen_server_has_still_asked(twisted_farm: Start) -> None:
    """Its socket is gone when the server gets to hear it; the job runs, and nothing of ours goes wrong."""
    from twisted.internet import reactor

    farm = await twisted_farm(VIRTUAL)
    async with farm.fault(do="freeze", at="process", on="gpu-1") as fault:
        await farm.advance("1s")
        assert fault.fired == 1
        post(farm["gpu-1"].url).close()
        site, was_there = farm["gpu-1"].backend.site, False
        while not was_there or site.channels:
            await deferLater(reactor, 0)
            was_there = was_there or bool(site.channels)
    await farm.run_until_idle()
    kinds = [(each["kind"], each.get("status")) for each in await farm.control.log(kind="exchanged,finished")]
    assert kinds == [("exchanged", 0), ("finished", "success")]
