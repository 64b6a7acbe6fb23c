"""Virtual time on real sockets: the same jobs, times and outputs as in memory; and the clients that steer it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.comfy_sync import SyncComfyClient, ask
from comfyfarm.events.encoding import as_object
from comfyfarm.events.saved_log import read_events
from comfyfarm.testing import MemoryFarm, TwistedFarm, as_config
from comfyfarm.testing.child import RunningFarm, run_farm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]

NAMES = ["gpu-1", "gpu-2"]
TIMING = {"step": {"normal": "2s", "sd": "400ms"}, "node": "5ms", "jitter": 0.1}
CONFIG = {
    "farm": {"clock": "virtual", "seed": 7},
    "instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": TIMING}],
}
JOBS = 16
STEER = {"farm": {"clock": "virtual"}, "instance": [{"name": "gpu", "timing": {"step": "60s"}}]}


def body(number: int) -> dict[str, Any]:
    return {"prompt": text_to_image(steps=3, seed=number), "client_id": "me"}


def load(post: Callable[[str, dict[str, Any]], object], advance: Callable[[str], object]) -> None:
    """The same requests in the same order, and the same moves of the clock between them."""
    for number in range(JOBS):
        post(NAMES[number % 2], body(number))
        advance("5s")


def of_the_simulation(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What happened to each instance, but for its place in the log and the exchanges of the wire."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for event in events:
        if event.get("instance") in found and event["kind"] not in ("exchanged", "frame_sent"):
            found[event["instance"]].append({**event, "seq": 0})
    return found


def in_a_child(log: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What happened, and each history, on real sockets."""
    described = {**CONFIG, "farm": {**CONFIG["farm"], "log": log}}    # type: ignore[dict-item]
    with run_farm(described) as farm:
        load(lambda name, said: ask("POST", f"{farm[name].url}/prompt", said), farm.advance)
        farm.run_until_idle()
        histories = {name: SyncComfyClient(farm[name].url).get_history() for name in NAMES}
        files = {name: sorted(path.name for path in farm[name].output_dir.iterdir()) for name in NAMES}
    saved = read_events(log.read_bytes().splitlines(), lambda text, _seq: pytest.fail(text))
    events = [as_object(event) for event in saved]
    return of_the_simulation(events), {"histories": histories, "files": files}


def in_memory() -> tuple[dict[str, Any], dict[str, Any]]:
    """The same without a socket."""
    farm = MemoryFarm.start(as_config(CONFIG))
    try:
        load(lambda name, said: farm[name].ask("POST", "/prompt", json=said), farm.advance)
        farm.run_until_idle()
        whole = farm.control("GET", "/api/log?since=0").body.splitlines()
        events = [as_object(event) for event in read_events(whole, lambda text, _seq: pytest.fail(text))]
        histories = {name: farm[name].ask("GET", "/history").json() for name in NAMES}
        disks = {name: farm.farm.backends[name].disk.output_dir for name in NAMES}
        files = {name: sorted(path.name for path in disk.iterdir()) for name, disk in disks.items()}
        return of_the_simulation(events), {"histories": histories, "files": files}
    finally:
        farm.stop()


def test_real_sockets_give_the_same_jobs_times_and_outputs(tmp_path: Path) -> None:
    """Twice in a child process, and once in memory: ids, moments, histories and files are equal."""
    first, second, memory = in_a_child(tmp_path / "1"), in_a_child(tmp_path / "2"), in_memory()
    assert first == second
    assert first == memory
    assert all(len(history) == JOBS / 2 for history in first[1]["histories"].values())


@pytest.fixture
def steered(comfy_farm: Callable[[Any], RunningFarm]) -> RunningFarm:
    return comfy_farm(STEER)


def test_an_hour_passes_at_once_for_plain_code(steered: RunningFarm) -> None:
    """``advance`` and ``run_until_idle`` return when everything has happened."""
    client = SyncComfyClient(steered.url)
    prompt_id = client.submit_workflow(text_to_image(steps=20))
    assert steered.advance("10min") == 600_000
    assert client.get_history(prompt_id) == {}
    assert steered.run_until_idle() == 20 * 60_000 + 31
    assert client.get_history(prompt_id)[prompt_id]["status"]["completed"]


def test_an_automatic_clock_serves_clients_that_only_wait(steered: RunningFarm) -> None:
    """A job of twenty minutes is waited for as usual, and is there in a moment."""
    client = SyncComfyClient(steered.url)
    steered.control.auto(quiet="1ms")
    prompt_id = client.submit_workflow(text_to_image(steps=20))
    assert client.wait_for_completion(prompt_id)["status"]["completed"]
    seen = steered.control.wait(finished=1)
    assert seen.at_ms == steered.control.clock().at_ms
    assert steered.control.auto(False).auto is False


def test_plain_code_steers_a_farm(steered: RunningFarm) -> None:
    """Change, pause, stop, start, log, wait."""
    control = steered.control
    assert control.change("gpu", timing={"step": "1s"}).settings["timing"]["step"] == "1000ms"
    assert control.pause("gpu").state == "paused"
    assert control.resume("gpu").state == "running"
    assert control.stop("gpu").state == "stopped"
    assert not SyncComfyClient(steered.url).health()
    assert control.start("gpu").epoch == 2
    assert SyncComfyClient(steered.url).health()
    assert control.state().instances["gpu"].epoch == 2
    assert [event["kind"] for event in control.log(kind="server_stopped,server_started")] == [
        "server_stopped",
        "server_started",
    ]
    with pytest.raises(HttpStatusError, match="cannot change while it runs"):
        control.change("gpu", port=1)
    with pytest.raises(TimeoutError, match="there was no running = 1"):
        control.wait(running=1, timeout_s=0.05)
    SyncComfyClient(steered.url).submit_workflow(text_to_image())
    with pytest.raises(TimeoutError, match="not idle"):
        steered.run_until_idle("1s")


def test_a_real_clock_is_not_moved_but_made_faster(comfy_farm: Callable[[Any], RunningFarm]) -> None:
    farm = comfy_farm({"instance": [{"name": "gpu", "timing": {"step": "60s"}}]})
    with pytest.raises(HttpStatusError, match="clock is real"):
        farm.advance("1s")
    assert farm.control.freeze().speed == 0
    client = SyncComfyClient(farm.url)
    prompt_id = client.submit_workflow(text_to_image(steps=20))
    assert farm.control.clock().next_ms is not None
    farm.control.freeze(False)
    assert farm.control.speed(100_000).speed == 100_000
    assert client.wait_for_completion(prompt_id)["status"]["completed"]


@pytest_twisted.ensureDeferred
async def test_twisted_code_steers_a_farm(twisted_farm: Start) -> None:
    """The same methods, awaited; the websocket hears a whole hour."""
    farm = await twisted_farm(STEER)
    client = farm["gpu"].client
    async with client.listening() as messages:
        prompt_id = await client.submit(text_to_image(steps=60))
        assert await farm.advance("30min") == 30 * 60_000
        assert (await farm.control.wait(running=1)).running == 1
        assert await farm.run_until_idle() == 60 * 60_000 + 31
        async for message in messages:
            if not isinstance(message, bytes) and message["type"] == "execution_success":
                break
    assert prompt_id in await client.history()
    with pytest.raises(HttpStatusError, match="speed"):
        await farm.control.speed(2)
    assert (await farm.control.stop("gpu")).state == "stopped"
    assert (await farm.control.start("gpu")).state == "running"
    assert await client.health()
    assert {event["instance"] for event in await farm.control.log(instance="gpu")} == {"gpu"}


@pytest_twisted.ensureDeferred
async def test_a_client_that_does_not_read_holds_nothing_up(twisted_farm: Start) -> None:
    """It is cut off in the end, as ever; the farm goes on, and who reads hears everything."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import clientFromString
    from twisted.internet.protocol import Factory, Protocol

    farm = await twisted_farm(STEER)
    client = farm["gpu"].client
    port = farm.farm.backends["gpu"].port.number
    deaf = await clientFromString(reactor, f"tcp:127.0.0.1:{port}").connect(Factory.forProtocol(Protocol))
    first = f"GET /ws?clientId=deaf HTTP/1.1\r\nHost: 127.0.0.1:{port}"
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    deaf.transport.write(f"{first}\r\n{upgrade}\r\n{key}\r\n\r\n".encode())
    deaf.transport.pauseProducing()
    async with client.listening() as messages:
        for number in range(40):
            await client.submit(text_to_image(steps=60, seed=number))
        await farm.run_until_idle("72h")
        ended = 0
        async for message in messages:
            ended += not isinstance(message, bytes) and message["type"] == "execution_success"
            if ended == 40:
                break
    deaf.transport.abortConnection()
