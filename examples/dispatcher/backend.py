"""One ComfyUI server, as a dispatcher sees it: six questions over HTTP, on treq."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import Any, Literal
from urllib.parse import urlencode

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

__all__ = ["Backend", "Job", "Place", "Rejected", "Unavailable"]

Place = Literal["waiting", "running"]

_UNHEARD = (ConnectError, ConnectingCancelledError, DNSLookupError)
_UNANSWERED = (
    *(ConnectionClosed, DeferredTimeout, JSONDecodeError),
    *(RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed),
)
_NOT_CARRIED_OUT = (429, 503)
_LONGEST_REST_S = 30.0


@dataclass(frozen=True)
class Job:
    """What a user wants.

    :ivar name: ours; it stays the same over all attempts.
    """

    name: str
    workflow: dict[str, Any]

    @property
    def model(self) -> str | None:
        """The checkpoint that it needs, if any."""
        names = (node["inputs"].get("ckpt_name") for node in self.workflow.values())
        return next((name for name in names if name is not None), None)


class Unavailable(Exception):
    """The server cannot be used now; it may be, later.

    :ivar may_have_heard: the request may have been carried out all the same, and only its answer be missing.
    """

    def __init__(self, why: object, *, may_have_heard: bool) -> None:
        super().__init__(str(why))
        self.may_have_heard = may_have_heard


class Rejected(Exception):
    """The server will never take it; the message is the server's."""


@implementer(IAgentEndpointFactory)
@dataclass(frozen=True)
class _Directly:
    """Connects to the one address that we have; Twisted's own looks 0.3 s for others before it says "refused"."""

    reactor: Any

    def endpointForURI(self, uri: URI) -> TCP4ClientEndpoint:
        """Where a URL is."""
        return TCP4ClientEndpoint(self.reactor, uri.host.decode(), uri.port)


@dataclass(eq=False)
class Backend:
    """One server, and what we have seen of it.

    After trouble it rests, each time twice as long, until it takes a job again; but at least as long as it asks for.

    :ivar clock: what rests are measured on: the reactor, or in a test the farm's clock.
    :ivar timeout_s: how long an answer may take, in the reactor's time: sockets know no other.
    :ivar on_the_way: jobs that were promised to it and that it has not answered yet.
    :ivar last_model: of the job that it took last; what it will have in memory behind its queue.
    :ivar rests_until_s: new jobs go elsewhere until then.
    """

    name: str
    url: str
    reactor: Any
    clock: IReactorTime
    timeout_s: float = 10.0
    on_the_way: int = 0
    last_model: str | None = None
    rests_until_s: float = 0.0
    _rest_s: float = field(default=1.0, init=False)
    _models: frozenset[str] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Have connections of its own."""
        self._pool = HTTPConnectionPool(self.reactor)
        self._http = HTTPClient(Agent.usingEndpointFactory(self.reactor, _Directly(self.reactor), self._pool))

    async def close(self) -> None:
        """Leave no connection behind."""
        await self._pool.closeCachedConnections()

    @property
    def is_resting(self) -> bool:
        """Whether there was trouble a moment ago."""
        return self.clock.seconds() < self.rests_until_s

    async def submit(self, job: Job, prompt_id: str) -> None:
        """Send a job under an id of ours, so that we can ask for it whatever becomes of the answer.

        :raises Rejected: where the job is wrong.
        """
        body = {"prompt": job.workflow, "prompt_id": prompt_id, "extra_data": {"comfyfarm_job": job.name}}
        await self._ask("POST", "/prompt", json=body)
        self.last_model = job.model
        self._rest_s = 1.0

    async def may_have(self, model: str | None) -> bool:
        """Whether it has a checkpoint, as far as it can be asked; models come and go only where a server stops."""
        if self._models is None and not self.is_resting:
            with suppress(Unavailable):
                self._models = frozenset(await self._ask("GET", "/models/checkpoints"))
        return self._models is None or model is None or model in self._models

    async def depth(self) -> int:
        """How many jobs wait or run there, whosever they are."""
        answer = await self._ask("GET", "/prompt")
        return int(answer["exec_info"]["queue_remaining"])

    async def place(self, prompt_id: str) -> Place | None:
        """Where a job is in its queue, if it is."""
        queue = await self._ask("GET", "/queue")
        if any(item[1] == prompt_id for item in queue["queue_running"]):
            return "running"
        return "waiting" if any(item[1] == prompt_id for item in queue["queue_pending"]) else None

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """What became of a job, or ``None`` where that is not known."""
        found = await self._ask("GET", f"/history/{prompt_id}")
        entry: dict[str, Any] | None = found.get(prompt_id)
        return entry

    async def fetch(self, picture: dict[str, str]) -> bytes:
        """A file, by the words that history names it with."""
        content: bytes = await self._ask("GET", f"/view?{urlencode(picture)}", is_json=False)
        return content

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        """Put any question.

        :raises Unavailable: where there is no answer, or 429 or 5xx.
        """
        asking = Deferred.fromCoroutine(self._exchange(method, path, **options))
        try:
            return await asking.addTimeout(self.timeout_s, self.reactor)
        except _UNHEARD as why:
            raise self._trouble(why, may_have_heard=False) from why
        except _UNANSWERED as why:
            raise self._trouble(why, may_have_heard=True) from why

    async def _exchange(self, method: str, path: str, *, is_json: bool = True, **body: Any) -> Any:
        response = await self._http.request(method, self.url + path, **body)
        content = await response.content()
        if response.code in _NOT_CARRIED_OUT or response.code >= 500:
            (asked, *_) = response.headers.getRawHeaders("retry-after") or ["0"]
            # A proxy's 502 or 504 says nothing of what the server behind it did.
            heard = response.code not in _NOT_CARRIED_OUT
            raise self._trouble(response.code, may_have_heard=heard, rest_s=float(asked) if asked.isdigit() else 0.0)
        if response.code >= 400:
            raise Rejected(content.decode("utf-8", "replace"))
        return await response.json() if is_json else content

    def _trouble(self, why: object, *, may_have_heard: bool, rest_s: float = 0.0) -> Unavailable:
        """Let it rest, and forget what may be otherwise when it is back."""
        now_s = self.clock.seconds()
        if not self.is_resting:
            self.rests_until_s = now_s + self._rest_s
            self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)
        self.rests_until_s = max(self.rests_until_s, now_s + rest_s)
        self._models = self.last_model = None
        return Unavailable(f"{self.name}: {why}", may_have_heard=may_have_heard)
