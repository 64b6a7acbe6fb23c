"""What can a scenario do at a server?  It asks, it listens, it waits; what it learns becomes its transcript."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.asking import Asker, RawReply, form
from comfyfarm.conformance.described import View, describe_reply
from comfyfarm.conformance.graphs import Graph
from comfyfarm.conformance.listening import SocketRecorder, says
from comfyfarm.conformance.transcript import Transcript

_POLL_S = 0.01
_QUIET_S = 0.06         # nothing was heard for so long: then nothing more comes
_BETWEEN_JOBS_S = 0.003     # so that no two jobs have the same create_time
_JOB_WITHIN_S = 60.0
_TOLD_WITHIN_S = 4.0
_MESSAGE_WITHIN_S = 20.0


class NotPossible(Exception):
    """This server cannot be asked that; the message says why."""


@dataclass(eq=False, kw_only=True)
class Session(Transcript):
    """One scenario's stay at a server."""

    server: Asker
    _listeners: list[SocketRecorder] = field(default_factory=list)

    # Asking.

    async def ask(
        self,
        line: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        view: View | None = None,
        as_line: str | None = None,
    ) -> RawReply:
        """Send ``METHOD /path`` and write down what was answered.

        :param json: a body; ``None`` for none.
        :param view: gives the part of an answer's JSON that counts.
        :param as_line: what the transcript says instead, where the line is not the whole of it.
        """
        reply = await self.peek(line, json=json, data=data, headers=headers)
        self.steps.append(describe_reply(as_line or line, reply, view))
        return reply

    async def peek(
        self, line: str, *, json: Any = None, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> RawReply:
        """Ask without writing it down."""
        kind = {}
        if json is not None:
            data, kind = _as_bytes(json), {"Content-Type": "application/json"}
        return await self.server.ask(line, data, {**kind, **(headers or {})})

    async def upload(
        self, name: str, content: bytes, to: str = "/upload/image", *, quietly: bool = False, **fields: Any
    ) -> None:
        """Send a file in a form, and write down what was answered.

        :param quietly: do not write it down.
        """
        headers, body = form(name, content, fields)
        if quietly:
            await self.peek(f"POST {to}", data=body, headers=headers)
            return
        line = " ".join([f"POST {to} {name}", *(f"{key}={value}" for key, value in fields.items())])
        await self.ask(f"POST {to}", data=body, headers=headers, as_line=line)

    # Jobs.

    async def post(
        self, graph: Graph, listener: SocketRecorder | None = None, *, quietly: bool = False, **fields: Any
    ) -> RawReply:
        """``POST /prompt``, under the listener's client id; ``fields`` go beside the prompt.

        :param quietly: do not write it down.
        """
        body = {"prompt": graph, **fields, **({"client_id": listener.client_id} if listener else {})}
        reply = await (self.peek if quietly else self.ask)("POST /prompt", json=body)
        self.learn(reply)
        await self.pause(_BETWEEN_JOBS_S)
        return reply

    async def submit(self, graph: Graph, listener: SocketRecorder | None = None, **fields: Any) -> str:
        """Post a prompt that is taken on; gives its id."""
        reply = await self.post(graph, listener, **fields)
        return str(reply.json["prompt_id"])

    async def run(self, graph: Graph, listener: SocketRecorder | None = None, **fields: Any) -> str:
        """Post a prompt and wait until it is over; gives its id."""
        prompt_id = await self.submit(graph, listener, **fields)
        await self.until_over(prompt_id, heard_by=listener)
        return prompt_id

    async def until_over(self, *prompt_ids: str, heard_by: SocketRecorder | None = None) -> None:
        """Wait until jobs have ended and nothing more is said.

        :param heard_by: who is told of their ends, if anybody is.
        """
        for prompt_id in prompt_ids:
            if heard_by is None:
                await self._until(partial(self._is_in_history, prompt_id))
            else:
                await self._until_told(heard_by, prompt_id)
        await self.until_quiet()

    async def _until_told(self, listener: SocketRecorder, prompt_id: str) -> None:
        """Wait for the last message of a job; not for long where history has it already."""
        deadline = self.server.reactor.seconds() + _JOB_WITHIN_S
        while True:
            try:
                await self.handles(listener, "executing", within_s=_TOLD_WITHIN_S, node=None, prompt_id=prompt_id)
            except TimeoutError:
                if self.server.reactor.seconds() > deadline or await self._is_in_history(prompt_id):
                    raise
            else:
                return

    async def until_running(self, prompt_id: str) -> None:
        """Wait until the worker has taken a job."""

        async def is_running() -> bool:
            queue = (await self.peek("GET /queue")).json
            return any(item[1] == prompt_id for item in queue["queue_running"])

        await self._until(is_running)

    async def until_idle(self) -> None:
        """Wait until no job waits or runs."""

        async def is_idle() -> bool:
            state = (await self.peek("GET /prompt")).json
            return bool(state["exec_info"]["queue_remaining"] == 0)

        await self._until(is_idle)

    async def entry(self, prompt_id: str) -> dict[str, Any]:
        """A job's history entry."""
        return dict((await self.peek(f"GET /history/{prompt_id}")).json[prompt_id])

    async def _is_in_history(self, prompt_id: str) -> bool:
        return prompt_id in (await self.peek(f"GET /history/{prompt_id}")).json

    async def _until(self, is_so: Callable[[], Any]) -> None:
        deadline = self.server.reactor.seconds() + _JOB_WITHIN_S
        while not await is_so():
            if self.server.reactor.seconds() > deadline:
                raise TimeoutError("the server does not get on")
            await self.pause(_POLL_S)

    # Listening.

    async def listen(self, client_id: str | None = None) -> SocketRecorder:
        """Open a websocket and wait for its greeting."""
        known = self.new_id("client") if client_id is None else client_id
        url = f"ws{self.server.base_url.removeprefix('http')}/ws?{urlencode({'clientId': known})}"
        name = f"websocket {len(self._listeners) + 1}"
        listener = await SocketRecorder.connect(self.server.reactor, url, name, known)
        self._listeners.append(listener)
        await self.handles(listener, "status")
        return listener

    async def handles(
        self, listener: SocketRecorder, kind: str, *, within_s: float = _MESSAGE_WITHIN_S, start: int = 0, **data: Any
    ) -> Message:
        """Wait for a message of this kind that has these data; it may have come already."""
        return await self.meets(listener, says(kind, **data), within_s=within_s, start=start)

    async def meets(
        self,
        listener: SocketRecorder,
        wanted: Callable[[Message], bool],
        *,
        within_s: float = _MESSAGE_WITHIN_S,
        start: int = 0,
    ) -> Message:
        """Wait for the first message that is wanted."""
        waiting = Deferred.fromCoroutine(listener.first(wanted, start))
        try:
            return await waiting.addTimeout(within_s, self.server.reactor)
        except DeferredTimeout:
            raise TimeoutError(f"{listener.name} did not hear what it should") from None

    async def until_quiet(self) -> None:
        """Wait until no listener hears anything more."""
        heard = -1
        while heard != (now := sum(len(each.heard) for each in self._listeners)):
            heard = now
            await self.pause(_QUIET_S)

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await deferLater(self.server.reactor, seconds)

    # Coming and going.

    async def begin(self) -> None:
        """Find the server idle and its history empty, whatever was there before."""
        await self.peek("POST /queue", json={"clear": True})
        if (await self.peek("GET /prompt")).json["exec_info"]["queue_remaining"]:
            await self.peek("POST /interrupt", json={})
            await self.until_idle()
        await self.peek("POST /history", json={"clear": True})

    async def end(self) -> None:
        """Hang up."""
        closing = [Deferred.fromCoroutine(each.close()) for each in self._listeners if each.is_open]
        await gatherResults(closing, consumeErrors=True)


def _as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
