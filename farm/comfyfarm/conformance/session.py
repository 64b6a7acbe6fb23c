"""The session of one scenario on one server: its requests, jobs, websockets and waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any, cast
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.describe import View, describe_reply
from comfyfarm.conformance.http_client import RawHttpClient, RawReply, multipart_form
from comfyfarm.conformance.socket_recorder import SocketRecorder, is_message
from comfyfarm.conformance.transcript import Transcript
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

Graph = dict[str, dict[str, Any]]

_POLL_S = 0.01
_QUIET_S = 0.06         # without a message for this long, no more are expected
_BETWEEN_JOBS_S = 0.003     # so that no two jobs have the same create_time
_JOB_TIMEOUT_S = 60.0
_LAST_MESSAGE_TIMEOUT_S = 4.0
_MESSAGE_TIMEOUT_S = 20.0


class NotPossible(Exception):
    """The scenario cannot be run on this server; the message says why."""


@dataclass(eq=False, kw_only=True)
class Session(Transcript):
    """The session of one scenario on one server.

    :ivar behaviour: that of the version that the server is compared with.
    """

    server: RawHttpClient
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    _listeners: list[SocketRecorder] = field(default_factory=list)

    # Requests.

    async def request(
        self,
        line: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        view: View | None = None,
        as_line: str | None = None,
        record: bool = True,
    ) -> RawReply:
        """Send ``METHOD /path``, receive the reply, and record both.

        :param json: a JSON body; ``None`` for none.
        :param view: returns the part of the reply's JSON that is compared.
        :param as_line: the line to record instead, e.g. to name the body.
        :param record: ``False`` keeps the request out of the transcript.
        """
        content_type = {}
        if json is not None:
            data, content_type = dumps(json).encode(), {"Content-Type": "application/json"}
        reply = await self.server.request(line, data, {**content_type, **(headers or {})})
        if record:
            self.steps.append(describe_reply(as_line or line, reply, view))
        return reply

    async def get(self, *paths: str, view: View | None = None) -> None:
        """Send and record a GET request for each path."""
        for path in paths:
            await self.request(f"GET {path}", view=view)

    async def peek(self, path: str) -> Any:
        """Return the JSON of a GET request, which is not recorded."""
        return (await self.request(f"GET {path}", record=False)).json

    async def upload(
        self, name: str, content: bytes, to: str = "/upload/image", *, record: bool = True, **fields: Any
    ) -> None:
        """Send a file in a form."""
        headers, body = multipart_form(name, content, fields)
        line = " ".join([f"POST {to} {name}", *(f"{key}={value}" for key, value in fields.items())])
        await self.request(f"POST {to}", data=body, headers=headers, as_line=line, record=record)

    # Jobs.

    async def post(
        self, graph: Graph, listener: SocketRecorder | None = None, *, record: bool = True, **fields: Any
    ) -> RawReply:
        """Send ``POST /prompt`` with the listener's client id; ``fields`` are added to the body."""
        body = {"prompt": graph, **fields, **({"client_id": listener.client_id} if listener else {})}
        reply = await self.request("POST /prompt", json=body, record=record)
        self.register_job(reply)
        await self.pause(_BETWEEN_JOBS_S)
        return reply

    async def submit(self, graph: Graph, listener: SocketRecorder | None = None, **fields: Any) -> str:
        """Post a valid prompt and return its id."""
        reply = await self.post(graph, listener, **fields)
        return str(reply.json["prompt_id"])

    async def run(self, graph: Graph, listener: SocketRecorder | None = None, **fields: Any) -> str:
        """Post a valid prompt, wait until it has ended, and return its id."""
        prompt_id = await self.submit(graph, listener, **fields)
        await self.until_done(prompt_id, listener=listener)
        return prompt_id

    async def run_recorded(
        self, graph: Graph, listener: SocketRecorder | None = None, *, view: View | None = None, **fields: Any
    ) -> str:
        """Run a job, record the messages of the listener and the job's history entry, and return its id."""
        prompt_id = await self.run(graph, listener, **fields)
        if listener is not None:
            self.record(listener)
        await self.get(f"/history/{prompt_id}", view=view)
        return prompt_id

    async def until_done(self, *prompt_ids: str, listener: SocketRecorder | None = None) -> None:
        """Wait until the jobs have ended and no more messages arrive.

        :param listener: the websocket that receives their last messages, if any.
        """
        for prompt_id in prompt_ids:
            if listener is None:
                await self._until_in_history(prompt_id)
            else:
                await self._until_last_message(listener, prompt_id)
        await self.until_quiet()

    async def _until_in_history(self, prompt_id: str) -> None:
        await self._until(f"/history/{prompt_id}", lambda history: prompt_id in history)

    async def _until_last_message(self, listener: SocketRecorder, prompt_id: str) -> None:
        # The last message follows the history entry at once: if the entry exists, waiting longer is pointless.
        deadline = self.server.reactor.seconds() + _JOB_TIMEOUT_S
        is_last = is_message("executing", node=None, prompt_id=prompt_id)
        while True:
            try:
                await self.wait_for_match(listener, is_last, timeout_s=_LAST_MESSAGE_TIMEOUT_S)
            except TimeoutError:
                if self.server.reactor.seconds() > deadline or prompt_id in await self.peek(f"/history/{prompt_id}"):
                    raise
            else:
                return

    async def until_running(self, prompt_id: str) -> None:
        await self._until("/queue", lambda queue: any(item[1] == prompt_id for item in queue["queue_running"]))

    async def until_idle(self) -> None:
        """Wait until no job is pending or running."""
        await self._until("/prompt", lambda state: state["exec_info"]["queue_remaining"] == 0)

    async def history_entry(self, prompt_id: str) -> dict[str, Any]:
        return dict((await self.peek(f"/history/{prompt_id}"))[prompt_id])

    async def _until(self, path: str, is_true: Callable[[Any], bool]) -> None:
        """Wait until the JSON of ``path`` fulfils ``is_true``."""
        deadline = self.server.reactor.seconds() + _JOB_TIMEOUT_S
        while not is_true(await self.peek(path)):
            if self.server.reactor.seconds() > deadline:
                raise TimeoutError("the server does not get on")
            await self.pause(_POLL_S)

    # Websockets.

    async def listen(self, client_id: str | None = None) -> SocketRecorder:
        """Open a websocket and wait for its first ``status``."""
        own_id = self.new_id("client") if client_id is None else client_id
        url = f"ws{self.server.base_url.removeprefix('http')}/ws?{urlencode({'clientId': own_id})}"
        socket = await SocketRecorder.open(self.server.reactor, url, self.server.headers)
        listener = cast(SocketRecorder, socket)
        self._listeners.append(listener)
        listener.name, listener.client_id = f"websocket {len(self._listeners)}", own_id
        await self.wait_for_message(listener, "status")
        return listener

    async def wait_for_message(self, listener: SocketRecorder, kind: str, *, start: int = 0, **data: Any) -> None:
        """Wait for a message of type ``kind`` with these data; messages from index ``start`` on count."""
        await self.wait_for_match(listener, is_message(kind, **data), start=start)

    async def wait_for_match(
        self,
        listener: SocketRecorder,
        matches: Callable[[Message], bool],
        *,
        timeout_s: float = _MESSAGE_TIMEOUT_S,
        start: int = 0,
    ) -> None:
        """Wait for a message that matches; messages from index ``start`` on count."""
        match = Deferred.fromCoroutine(listener.first(matches, start))
        try:
            await match.addTimeout(timeout_s, self.server.reactor)
        except DeferredTimeout:
            raise TimeoutError(f"{listener.name} did not hear what it should") from None

    async def until_quiet(self) -> None:
        """Wait until no websocket receives any more messages."""
        count = -1
        while count != (now := sum(len(listener.received) for listener in self._listeners)):
            count = now
            await self.pause(_QUIET_S)

    async def pause(self, seconds: float) -> None:
        await deferLater(self.server.reactor, seconds)

    # Setup and teardown.

    async def begin(self) -> None:
        """Stop all jobs and clear the history."""
        await self.request("POST /queue", json={"clear": True}, record=False)
        if (await self.peek("/prompt"))["exec_info"]["queue_remaining"]:
            await self.request("POST /interrupt", json={}, record=False)
            await self.until_idle()
        await self.request("POST /history", json={"clear": True}, record=False)

    async def end(self) -> None:
        """Close all websockets."""
        closing = [Deferred.fromCoroutine(listener.close()) for listener in self._listeners if listener.is_open]
        await gatherResults(closing, consumeErrors=True)
