"""How does Twisted code talk to a ComfyUI?

Any ComfyUI: nothing here knows of the farm.  Send a workflow, hear how it goes, fetch what it made::

    client = ComfyClient("http://127.0.0.1:8188")
    prompt_id = await client.submit(workflow)
    entry = await client.wait(prompt_id)
    for picture in entry["outputs"]["9"]["images"]:
        content = await client.download(**picture)
    await client.close()
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool, RequestTransmissionFailed, ResponseFailed

from comfyfarm.clients.errors import HttpStatusError
from comfyfarm.clients.websocket import ComfyWebSocket, Message

_FIRST_POLL_S = 0.02
_LONGEST_POLL_S = 0.5
_UNREACHABLE = (
    HttpStatusError,
    ConnectError,
    ConnectionClosed,
    ResponseFailed,
    RequestTransmissionFailed,
    DeferredTimeout,
)


class ComfyClient:
    """One client of one server, with connections of its own.

    Every method but :meth:`health` raises :class:`HttpStatusError` where the server answers with a status of 400 or
    more, and Twisted's own errors (``ConnectError``, ``ResponseFailed``) where it does not answer at all.

    :ivar client_id: who the server takes us for; it sends the messages of a job to the client that submitted it.
    """

    def __init__(self, base_url: str, client_id: str | None = None, *, reactor: Any = None) -> None:
        """Connect to nothing yet.

        ``client_id`` defaults to a new UUID, ``reactor`` to the global one.
        """
        self.base_url = base_url.rstrip("/")
        self.client_id = client_id or str(uuid4())
        self._reactor = global_reactor() if reactor is None else reactor
        self._pool = HTTPConnectionPool(self._reactor)
        self._pool.maxPersistentPerHost = 8
        self._pool.cachedConnectionTimeout = 30     # seconds; a server closes an idle connection after about 60
        self._http = HTTPClient(Agent(self._reactor, connectTimeout=10, pool=self._pool))
        self._asking: set[Deferred[bytes]] = set()
        self._ears: set[ComfyWebSocket] = set()

    async def submit(self, workflow: Mapping[str, Any], **fields: Any) -> str:
        """Post a workflow under our client id; ``fields`` (``number``, ``extra_data``, ...) go beside it.

        :returns: the prompt id that the server gave, or took over from ``fields``.
        :raises Refused: with ComfyUI's ``error`` and ``node_errors`` in its body.
        """
        body = {"prompt": workflow, "client_id": self.client_id, **fields}
        answer = await self._ask_json("POST", "/prompt", json=body)
        return str(answer["prompt_id"])

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[ComfyWebSocket]:
        """Hear what the server says to our client id, from now on: the socket is open when the block begins.

        Iterating gives a dictionary for each text message and bytes for each binary one.  It never ends by
        itself; where the server hangs up it raises ``twisted.internet.error.ConnectionClosed``.  One at a time for
        one client id: ComfyUI speaks only to the newest, and to none once any of them closes.
        """
        ear = await ComfyWebSocket.open(self._reactor, self._socket_url())
        self._ears.add(ear)
        try:
            yield ear
        finally:
            self._ears.discard(ear)
            await ear.close()

    async def follow(self, prompt_id: str | None = None) -> AsyncGenerator[Message]:
        """Give every message for our client id; with a ``prompt_id``, end when that job has ended.

        What was said before the first step is lost, so to hear all of a job, submit it inside :meth:`listening`.
        A job that is no longer in the queue gives what came meanwhile and ends.  Iterate to the end, or
        ``aclose()`` it (``contextlib.aclosing``): a loop that is left early keeps its socket until :meth:`close`.
        """
        async with self.listening() as ear:
            if prompt_id is not None and not await self._is_queued(prompt_id):
                for message in ear.take_heard():
                    yield message
                return
            async for message in ear:
                yield message
                if prompt_id is not None and _ends(message, prompt_id):
                    return

    async def wait(self, prompt_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until a job has ended, well or badly, and give its history entry.

        :raises TimeoutError: where it has not ended in time; says whether it is still in the queue.
        """
        # History is asked, not the websocket: a job tells only the client that submitted it, an older socket with
        # our client id goes deaf when a newer one closes, and what was said before we listened is lost.
        deadline, pause_s = self._reactor.seconds() + timeout_s, _FIRST_POLL_S
        while prompt_id not in (found := await self.history(prompt_id)):
            if self._reactor.seconds() >= deadline:
                where = "still in the queue" if await self._is_queued(prompt_id) else "neither queued nor in history"
                raise TimeoutError(f"{self.base_url}: job {prompt_id} is {where} after {timeout_s:g} s")
            await deferLater(self._reactor, pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)
        return dict(found[prompt_id])

    async def history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """Entries by prompt id: all of them, or the one asked for; an unfinished or unknown job has none."""
        return dict(await self._ask_json("GET", "/history" if prompt_id is None else f"/history/{prompt_id}"))

    async def queue(self) -> dict[str, Any]:
        """``queue_running`` and ``queue_pending``, whose items begin with number and prompt id."""
        return dict(await self._ask_json("GET", "/queue"))

    async def download(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:  # noqa: A002
        """Fetch a file, by the three words that history names it with."""
        query = urlencode({"filename": filename, "subfolder": subfolder, "type": type})
        return await self._ask("GET", f"/view?{query}")

    async def upload(self, name: str, data: bytes, **fields: str) -> dict[str, Any]:
        """Store a picture for ``LoadImage``; ``fields`` are ComfyUI's (``subfolder``, ``overwrite="true"``, ...).

        :returns: ``name``, ``subfolder`` and ``type`` as stored; the name differs where it was taken.
        """
        files = {"image": (name, "application/octet-stream", BytesIO(data))}
        return dict(await self._ask_json("POST", "/upload/image", files=files, data=fields))

    async def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running job, or only that one if it is running."""
        await self._ask("POST", "/interrupt", json={} if prompt_id is None else {"prompt_id": prompt_id})

    async def health(self, timeout_s: float = 5.0) -> bool:
        """Whether the server answers, and well, within that time."""
        asking = Deferred.fromCoroutine(self._ask("GET", "/system_stats"))
        try:
            await asking.addTimeout(timeout_s, self._reactor)
        except _UNREACHABLE:
            return False
        return True

    async def close(self) -> None:
        """Leave nothing behind: no socket, no connection, no delayed call; an open question ends in an error."""
        for asking in list(self._asking):
            asking.cancel()
        for ear in list(self._ears):
            await ear.close()
        await self._pool.closeCachedConnections()

    def _socket_url(self) -> str:
        scheme, rest = self.base_url.split(":", 1)
        return f"{'wss' if scheme == 'https' else 'ws'}:{rest}/ws?{urlencode({'clientId': self.client_id})}"

    async def _is_queued(self, prompt_id: str) -> bool:
        queue = await self.queue()
        return any(item[1] == prompt_id for item in (*queue["queue_running"], *queue["queue_pending"]))

    async def _ask_json(self, method: str, path: str, **body: Any) -> Any:
        return json.loads(await self._ask(method, path, **body))

    async def _ask(self, method: str, path: str, **body: Any) -> bytes:
        asking = Deferred.fromCoroutine(self._exchange(method, path, **body))
        self._asking.add(asking)
        try:
            return await asking
        finally:
            self._asking.discard(asking)

    async def _exchange(self, method: str, path: str, **body: Any) -> bytes:
        response = await self._http.request(method, self.base_url + path, reactor=self._reactor, **body)
        content = await response.content()
        if response.code >= 400:
            raise HttpStatusError(response.code, content)
        return content


def _ends(message: Message, prompt_id: str) -> bool:
    """Whether this is the last that a client hears of a job."""
    if isinstance(message, bytes) or message["type"] != "executing":
        return False
    return message["data"]["node"] is None and message["data"].get("prompt_id") == prompt_id


def global_reactor() -> Any:
    """The one that runs."""
    from twisted.internet import reactor  # noqa: PLC0415  (importing it installs one; only who runs may do so)

    return reactor
