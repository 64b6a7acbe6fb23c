"""The Twisted client; the farm runs in this reactor, on real sockets."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.protocol import Factory, Protocol

from comfyfarm.clients import ComfyClient, HttpStatusError, Message
from comfyfarm.testing import TwistedFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]
ONE = {"instance": [{"name": "one", "mode": "dynamic"}]}
A_LONG_JOB = text_to_image(steps=10_000)


def kinds(messages: list[Message]) -> list[str]:
    return [message["type"] for message in messages if isinstance(message, dict)]


class HangUp(Protocol):
    """Closes a connection at the first byte."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


@asynccontextmanager
async def a_server_that_hangs_up() -> AsyncIterator[str]:
    """The URL of a port that takes connections and answers nothing."""
    from twisted.internet import reactor

    listening = serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(Factory.forProtocol(HangUp))
    port: Any = await listening
    yield f"http://127.0.0.1:{port.getHost().port}"
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_workflow_becomes_a_picture(twisted_farm: Start) -> None:
    """Submit, wait, download: what the client is for."""
    client = (await twisted_farm(ONE))["one"].client
    entry = await client.wait(await client.submit(text_to_image()))
    (picture,) = entry["outputs"]["9"]["images"]
    assert (await client.download(**picture)).startswith(b"\x89PNG")


@pytest_twisted.ensureDeferred
async def test_whoever_listens_first_hears_all_of_a_job(twisted_farm: Start) -> None:
    """The socket is open when the block begins, so nothing is missed."""
    client = (await twisted_farm(ONE))["one"].client
    heard: list[Message] = []
    async with client.listening() as messages:
        await client.submit(text_to_image())
        async for message in messages:
            heard.append(message)
            if kinds([message]) == ["execution_success"]:
                break
    assert kinds(heard)[0] == "status"
    assert {"execution_start", "execution_cached", "executing", "progress", "executed"} <= set(kinds(heard))


@pytest_twisted.ensureDeferred
async def test_binary_messages_come_as_bytes(twisted_farm: Start) -> None:
    """Previews, to one who asks for them: type 1, format 1 (JPEG), then the picture."""
    client = (await twisted_farm(ONE))["one"].client
    async with client.listening() as messages:
        await client.submit(text_to_image(), extra_data={"preview_method": "latent2rgb"})
        async for message in messages:
            if isinstance(message, bytes):
                assert message.startswith(b"\0\0\0\1\0\0\0\1\xff\xd8")
                return


@pytest_twisted.ensureDeferred
async def test_following_a_job_ends_with_it(twisted_farm: Start) -> None:
    """The last message says that nothing of that job executes any more; a job behind it is not waited for."""
    client = (await twisted_farm(ONE))["one"].client
    prompt_id = await client.submit(text_to_image(steps=40))
    await client.submit(A_LONG_JOB)
    heard = [message async for message in client.follow(prompt_id)]
    assert heard[-1] == {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}


@pytest_twisted.ensureDeferred
async def test_following_a_job_that_has_ended_ends_at_once(twisted_farm: Start) -> None:
    """Its messages are gone; only what the server says to a newcomer is heard."""
    client = (await twisted_farm(ONE))["one"].client
    prompt_id = await client.submit(text_to_image())
    await client.wait(prompt_id)
    assert "executing" not in kinds([message async for message in client.follow(prompt_id)])


@pytest_twisted.ensureDeferred
async def test_a_refusal_carries_the_answer(twisted_farm: Start) -> None:
    client = (await twisted_farm(ONE))["one"].client
    with pytest.raises(HttpStatusError) as refused:
        await client.submit({})
    assert refused.value.status == 400
    assert refused.value.body["error"]["type"] == "prompt_no_outputs"


@pytest_twisted.ensureDeferred
async def test_queue_and_interrupt(twisted_farm: Start) -> None:
    """The running job is in the queue until it is interrupted; history then says how it ended."""
    client = (await twisted_farm(ONE))["one"].client
    prompt_id = await client.submit(A_LONG_JOB)
    assert [item[1] for item in (await client.queue())["queue_running"]] == [prompt_id]
    await client.interrupt(prompt_id)
    assert (await client.wait(prompt_id))["status"]["completed"] is False
    assert await client.history("another") == {}


@pytest_twisted.ensureDeferred
async def test_waiting_has_an_end(twisted_farm: Start) -> None:
    """And tells a job that takes long from one that is not there."""
    client = (await twisted_farm(ONE))["one"].client
    prompt_id = await client.submit(A_LONG_JOB)
    with pytest.raises(TimeoutError, match=f"{prompt_id} is still in the queue after 0 s"):
        await client.wait(prompt_id, timeout_s=0)
    with pytest.raises(TimeoutError, match="neither queued nor in history after 0 s"):
        await client.wait("never-submitted", timeout_s=0)


@pytest_twisted.ensureDeferred
async def test_an_upload_can_be_fetched_again(twisted_farm: Start) -> None:
    """Under the name in the answer, which is another where the name was taken."""
    client = (await twisted_farm(ONE))["one"].client
    first = await client.upload("a barn.png", b"one", subfolder="barns")
    second = await client.upload("a barn.png", b"two", subfolder="barns")
    assert first == {"name": "a barn.png", "subfolder": "barns", "type": "input"}
    assert second["name"] == "a barn (1).png"
    assert await client.download(second["name"], "barns", "input") == b"two"


@pytest_twisted.ensureDeferred
async def test_a_farm_that_stops_ends_the_listening(twisted_farm: Start) -> None:
    """With an error: a job that was being followed is not at its end."""
    farm = await twisted_farm(ONE)
    client = ComfyClient(farm["one"].url)
    async with client.listening() as messages:
        await farm.stop()
        with pytest.raises(ConnectionClosed):
            await _the_end(messages)
    assert not await client.health()
    await client.close()


async def _the_end(messages: AsyncIterator[Message]) -> None:
    async for _ in messages:
        pass


@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs_up_is_an_error_and_no_wait() -> None:
    """Also in the middle of the websocket's handshake."""
    async with a_server_that_hangs_up() as url:
        client = ComfyClient(url)
        with pytest.raises(ConnectionClosed):
            await anext(client.follow())
        assert not await client.health()
        await client.close()


@pytest_twisted.ensureDeferred
async def test_a_socket_that_is_refused_says_so(twisted_farm: Start) -> None:
    """A server may answer the upgrade with an error."""
    client = ComfyClient((await twisted_farm(ONE))["one"].url + "/no/such")
    with pytest.raises(HttpStatusError) as refused:
        await anext(client.follow())
    assert refused.value.status >= 400
    await client.close()


@pytest_twisted.ensureDeferred
async def test_nobody_is_not_healthy() -> None:
    """Every other method raises Twisted's own error."""
    async with a_server_that_hangs_up() as url:
        client = ComfyClient(url)
    assert not await client.health()
    with pytest.raises(ConnectError):
        await client.queue()
    await client.close()


@pytest_twisted.ensureDeferred
async def test_closing_leaves_nothing_behind(twisted_farm: Start) -> None:
    """Neither a loop that was left early, nor a request that is still open: the leftovers fixture looks."""
    client = ComfyClient((await twisted_farm(ONE))["one"].url)
    following = client.follow()
    await anext(following)
    open_request = gatherResults([Deferred.fromCoroutine(client.queue())], consumeErrors=True)
    await client.close()
    with pytest.raises(FirstError):
        await open_request
    await following.aclose()
