"""A client of any ComfyUI server, for Twisted.

Submit a workflow, follow its messages, and download its files::

    client = ComfyClient("http://127.0.0.1:8188")
    prompt_id = await client.submit(workflow)
    entry = await client.wait(prompt_id)
    for picture in entry["outputs"]["9"]["images"]:
        content = await client.download(**picture)
    await client.close()
"""

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

from comfyfarm.clients.comfy_sync import HttpStatusError
from comfyfarm.clients.websocket import ComfyWebSocket, Message

_FIRST_POLL_S = 0.02
_LONGEST_POLL_S = 0.5
_NO_ANSWER = ConnectError, ConnectionClosed, ResponseFailed, RequestTransmissionFailed, DeferredTimeout


class ComfyClient:
    """A client of one ComfyUI server, with its own connections.

    Every method except :meth:`health` raises :class:`HttpStatusError` if the server answers with a status of 400 or
    more, and Twisted's errors (``ConnectError``, ``ResponseFailed``) if it does not answer.

    :ivar client_id: sent with each workflow; the server sends the messages of a job to the client that submitted it.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str | None = None,
        *,
        reactor: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make a client without connecting it.

        :param client_id: ``None``: a new UUID.
        :param reactor: ``None``: the global one.
        :param headers: sent with each request and with the opening of a websocket, such as ``Authorization``.
        """
        self.base_url = base_url.rstrip("/")
        self.client_id = client_id or str(uuid4())
        self._headers = dict(headers or {})
        if reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415  (it installs a reactor, so it must not come early)
        self._reactor = reactor
        self._pool = HTTPConnectionPool(self._reactor)
        self._pool.maxPersistentPerHost = 8
        self._pool.cachedConnectionTimeout = 30     # seconds; a server closes an idle connection after about 60
        self._http = HTTPClient(Agent(self._reactor, connectTimeout=10, pool=self._pool))
        self._requests: set[Deferred[bytes]] = set()
        self._sockets: set[ComfyWebSocket] = set()

    async def submit(self, workflow: Mapping[str, Any], **fields: Any) -> str:
        """Submit a workflow under the client's id, and return its prompt id.

        :param fields: further fields of the request: ``number``, ``extra_data``, ``prompt_id``, ...
        :raises HttpStatusError: with ComfyUI's ``error`` and ``node_errors`` in its body, if the workflow is invalid.
        """
        body = {"prompt": workflow, "client_id": self.client_id, **fields}
        answer = await self._fetch_json("POST", "/prompt", json=body)
        return str(answer["prompt_id"])

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[ComfyWebSocket]:
        """Receive the messages for the client's id; the websocket is open when the block begins.

        Iterating yields a dictionary for each text message and bytes for each binary one.  The iteration has no end;
        if the server closes the connection, it raises ``twisted.internet.error.ConnectionClosed``.  Use one block at
        a time for one client id: ComfyUI sends to the newest websocket only, and to none once any of them is closed.
        """
        socket = await ComfyWebSocket.open(self._reactor, self._socket_url(), self._headers)
        self._sockets.add(socket)
        try:
            yield socket
        finally:
            self._sockets.discard(socket)
            await socket.close()

    async def follow(self, prompt_id: str | None = None) -> AsyncGenerator[Message]:
        """Yield the messages for the client's id; with a ``prompt_id``, until that job has ended.

        Messages that were sent before the first step are lost: to receive all messages of a job, submit it inside
        :meth:`listening`.  If the job is no longer in the queue, the messages received so far are yielded.  Iterate to
        the end, or ``aclose()`` the generator (``contextlib.aclosing``): a loop that is left early keeps its
        websocket until :meth:`close`.
        """
        async with self.listening() as socket:
            if prompt_id is not None and not await self._is_queued(prompt_id):
                for message in socket.take_heard():
                    yield message
                return
            async for message in socket:
                yield message
                if prompt_id is not None and _is_last(message, prompt_id):
                    return

    async def wait(self, prompt_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until a job has ended, also with an error, and return its history entry.

        :raises TimeoutError: if it has not ended in time; the message says if it is still in the queue.
        """
        # This polls the history instead of listening: the messages of a job go only to the client that submitted it,
        # an older websocket of our client id receives none after a newer one is closed, and earlier ones are lost.
        deadline, pause_s = self._reactor.seconds() + timeout_s, _FIRST_POLL_S
        while prompt_id not in (history := await self.history(prompt_id)):
            if self._reactor.seconds() >= deadline:
                where = "still in the queue" if await self._is_queued(prompt_id) else "neither queued nor in history"
                raise TimeoutError(f"{self.base_url}: job {prompt_id} is {where} after {timeout_s:g} s")
            await deferLater(self._reactor, pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)
        return dict(history[prompt_id])

    async def history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """Return the history by prompt id, or only the entry of one job; a job has no entry before its end."""
        return dict(await self._fetch_json("GET", "/history" if prompt_id is None else f"/history/{prompt_id}"))

    async def queue(self) -> dict[str, Any]:
        """Return ``queue_running`` and ``queue_pending``, whose items begin with number and prompt id."""
        return dict(await self._fetch_json("GET", "/queue"))

    async def node_types(self, node_type: str | None = None) -> dict[str, Any]:
        """Return ``/object_info``: the declaration of one node type, or of all, by name."""
        return dict(await self._fetch_json("GET", "/object_info" if node_type is None else f"/object_info/{node_type}"))

    async def download(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:  # noqa: A002
        """Return the content of a file; the history names files by these three values."""
        query = urlencode({"filename": filename, "subfolder": subfolder, "type": type})
        return await self.fetch("GET", f"/view?{query}")

    async def upload(self, name: str, data: bytes, **fields: str) -> dict[str, Any]:
        """Store a picture for ``LoadImage``, and return the ``name``, ``subfolder`` and ``type`` it is stored under.

        The stored name differs if the name is already used.

        :param fields: ComfyUI's further fields: ``subfolder``, ``overwrite="true"``, ...
        """
        files = {"image": (name, "application/octet-stream", BytesIO(data))}
        return dict(await self._fetch_json("POST", "/upload/image", files=files, data=fields))

    async def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running job; with a ``prompt_id``, only if it is that one."""
        await self.fetch("POST", "/interrupt", json={} if prompt_id is None else {"prompt_id": prompt_id})

    async def health(self, timeout_s: float = 5.0) -> bool:
        """Return True if the server answers within the time, and without an error."""
        request = Deferred.fromCoroutine(self.fetch("GET", "/system_stats"))
        try:
            await request.addTimeout(timeout_s, self._reactor)
        except (HttpStatusError, *_NO_ANSWER):
            return False
        return True

    async def close(self) -> None:
        """Close all websockets and connections; requests under way are cancelled."""
        for request in list(self._requests):
            request.cancel()
        for socket in list(self._sockets):
            await socket.close()
        await self._pool.closeCachedConnections()

    def _socket_url(self) -> str:
        scheme, rest = self.base_url.split(":", 1)
        return f"{'wss' if scheme == 'https' else 'ws'}:{rest}/ws?{urlencode({'clientId': self.client_id})}"

    async def _is_queued(self, prompt_id: str) -> bool:
        queue = await self.queue()
        return any(item[1] == prompt_id for item in (*queue["queue_running"], *queue["queue_pending"]))

    async def _fetch_json(self, method: str, path: str, **options: Any) -> Any:
        return json.loads(await self.fetch(method, path, **options))

    async def fetch(self, method: str, path: str, **options: Any) -> bytes:
        """Send a request to any path, and return the content of the answer; ``options`` are those of treq."""
        request = Deferred.fromCoroutine(self._exchange(method, path, **options))
        self._requests.add(request)
        try:
            return await request
        finally:
            self._requests.discard(request)

    async def _exchange(self, method: str, path: str, **options: Any) -> bytes:
        url, headers = self.base_url + path, {**self._headers, **options.pop("headers", {})}
        response = await self._http.request(method, url, reactor=self._reactor, headers=headers, **options)
        content: bytes = await response.content()
        if response.code >= 400:
            raise HttpStatusError(response.code, content)
        return content


def _is_last(message: Message, prompt_id: str) -> bool:
    """Return True for the last message that ComfyUI sends about a job."""
    if isinstance(message, bytes) or message["type"] != "executing":
        return False
    return message["data"]["node"] is None and message["data"].get("prompt_id") == prompt_id
