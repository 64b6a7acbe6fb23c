"""Requests and websockets at instances other than the one that has the job, as behind a round-robin proxy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from comfyfarm.analysis.instance_jobs import file_of, route_of
from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import (
    Exchanged,
    FaultFired,
    FaultHealed,
    InterruptAsked,
    ServerStopped,
    SocketClosed,
    SocketOpened,
    Taken,
)
from comfyfarm.events.handler import EventHandler, on

_SILENCING_EFFECTS = {"mute": "its client's websocket was mute", "displace": "its client's websocket was displaced"}
_NO_SOCKET = "its client had no websocket there any more"
_REFUSED_SOCKET = "its client was refused a websocket there"
_MOST_PENDING = 100     # of one thing within SEARCH_MS; a client that floods an instance needs no exact count
_MOST_RECENT = 5000     # things requested from the right instance: only what was requested just now matters
SEARCH_MS = 250
"""The most time between requests for one thing to several instances, if these are one search for it."""

_Key = tuple[str, ...]
"""What a request is for: its kind and a prompt id, or its kind and the parts of a file's name."""


@dataclass(frozen=True, slots=True)
class RequestElsewhere:
    """A request about a job, to an instance that never had it, while another had it and was available.

    :ivar attempt: the attempt that was meant, at the instance that had it.
    :ivar what: the thing requested: ``history entry``, ``state``, ``file NAME`` or ``interrupt``.
    :ivar is_decisive: the right instance would have answered otherwise; a running job has no history entry anywhere.
    """

    seq: int
    at_ms: int
    instance: str
    attempt: Attempt
    what: str
    is_decisive: bool


@dataclass(eq=False, slots=True)
class RequestsElsewhere:
    """All such requests about one logical job.

    :ivar attempts: the attempts that were meant.
    :ivar whats: the things requested, in the order of their first request.
    :ivar instances: the instances that were requested instead, in that order.
    """

    first: RequestElsewhere
    last: RequestElsewhere
    count: int = 0
    attempts: set[Attempt] = field(default_factory=set)
    whats: dict[str, None] = field(default_factory=dict)
    instances: dict[str, None] = field(default_factory=dict)
    is_decisive: bool = False

    def add(self, request: RequestElsewhere) -> None:
        self.first = min(self.first, request, key=lambda request: request.seq)
        self.last = max(self.last, request, key=lambda request: request.seq)
        self.count += 1
        self.attempts.add(request.attempt)
        self.whats[request.what] = self.instances[request.instance] = None
        self.is_decisive = self.is_decisive or request.is_decisive

    def copy(self) -> RequestsElsewhere:
        return replace(self, attempts=set(self.attempts), whats=dict(self.whats), instances=dict(self.instances))


def _add(request: RequestElsewhere, by_job: dict[str, RequestsElsewhere]) -> None:
    by_job.setdefault(request.attempt.job, RequestsElsewhere(request, request)).add(request)


@dataclass(frozen=True, slots=True)
class ListenerElsewhere:
    """A websocket of a job's client at another instance than the job's, while the job ran.

    :ivar seq: of its opening.
    """

    seq: int
    instance: str


class _Sockets(NamedTuple):
    """The open websockets of one client at one instance.

    :ivar seq: of the latest opening.
    """

    seq: int
    number: int


@dataclass(eq=False)
class Elsewhere(EventHandler):
    """Follows requests and websockets; the tracker and the fleet have processed each event before.

    :ivar silenced: attempts whose client's websocket got no messages or was gone, with the reason: half a sentence.
    """

    tracker: JobTracker
    fleet: FleetState
    silenced: dict[Attempt, str] = field(default_factory=dict)
    _listeners: dict[Attempt, ListenerElsewhere] = field(default_factory=dict)
    _last_right_ms: dict[_Key, int] = field(default_factory=dict)
    _earlier_right_ms: dict[_Key, int] = field(default_factory=dict)
    _settled: dict[str, RequestsElsewhere] = field(default_factory=dict)
    _result: tuple[int, dict[str, RequestsElsewhere]] | None = None     # with the time for which it holds
    _pending: dict[_Key, list[RequestElsewhere]] = field(default_factory=dict)
    _sockets: dict[str, dict[str, _Sockets]] = field(default_factory=dict)
    _refused: set[tuple[str, str]] = field(default_factory=set)
    _former: set[tuple[str, str]] = field(default_factory=set)
    _silent: dict[tuple[str, str], FaultFired] = field(default_factory=dict)
    _aware: set[str] = field(default_factory=set)

    def requests(self) -> dict[str, RequestsElsewhere]:
        """Return the requests by logical job, without the farm's load and without searches.

        A search is a request for the same thing to a wrong and to the right instance within ``SEARCH_MS``.
        """
        now_ms = self.tracker.at_ms
        if self._result is None or self._result[0] != now_ms:
            result = {job: requests.copy() for job, requests in self._settled.items()}
            for request in (request for requests in self._pending.values() for request in requests):
                if now_ms - request.at_ms > SEARCH_MS:
                    _add(request, result)
            self._result = now_ms, result
        return self._result[1]

    def _settle(self, key: _Key, now_ms: int) -> None:
        """Count the requests that can no longer be part of a search."""
        recent = []
        for request in self._pending.pop(key, ()):
            if now_ms - request.at_ms <= SEARCH_MS:
                recent.append(request)
            else:
                _add(request, self._settled)
        if recent:
            self._pending[key] = recent

    def listener_of(self, attempt: Attempt) -> ListenerElsewhere | None:
        """Return the websocket elsewhere of an attempt that ran to its end without one at its own instance.

        ``None`` also if its client has had websockets at several instances at once: it knows the instances, and lacks
        one for another reason.
        """
        if attempt.end not in {"success", "error"} or attempt.client_id in self._aware:
            return None
        return self._listeners.get(attempt)

    # Requests.

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        route = route_of(event.path)
        parts = route.split("/")
        if event.method == "GET" and route == "/view":
            self._on_view(event)
        elif event.method == "GET" and route == "/ws":
            self._on_handshake_failed(event)
        elif event.method == "GET" and len(parts) == 3 and parts[1] in {"history", "jobs"}:
            what = "history entry" if parts[1] == "history" else "state"
            self._on_request(event, what, unquote(parts[2]), event.began_ms)
        elif event.method == "POST" and len(parts) == 4 and parts[1] == "jobs" and parts[3] == "cancel":
            self._on_request(event, "interrupt", unquote(parts[2]), event.began_ms)

    @on(InterruptAsked)
    def _on_interrupt_asked(self, event: InterruptAsked) -> None:
        if event.prompt_id is not None and not event.job:   # One that names its logical job is understood anywhere.
            self._on_request(event, "interrupt", event.prompt_id, event.at_ms)

    def _on_request(self, event: Exchanged | InterruptAsked, what: str, prompt_id: str, began_ms: int) -> None:
        attempts = self.tracker.by_prompt_id.get(prompt_id)
        if not attempts:
            return
        if any(attempt.instance == event.instance for attempt in attempts):
            self._on_right((what, prompt_id), began_ms)
        elif not isinstance(event, Exchanged) or event.status in {200, 404}:
            kept = [] if what == "interrupt" else filter(self._is_in_history, attempts)
            holders = [*kept, *(attempt for attempt in attempts if attempt.is_open)]
            self._on_wrong(event, what, holders, (what, prompt_id), began_ms)

    def _is_in_history(self, attempt: Attempt) -> bool:
        return self.tracker.instances[attempt.instance].history.get(attempt.prompt_id or "") is attempt

    def _on_view(self, event: Exchanged) -> None:
        file = file_of(event)
        instances = self.tracker.instances.items()
        writers = {name: jobs.files[file].attempt for name, jobs in instances if file in jobs.files}
        if event.instance in writers:
            self._on_right(("view", *file), event.began_ms)
        elif writers and event.status == 404 and not self._may_lack_a_file(event.instance):
            # Several instances may have a file of this name: the one that nobody has fetched yet is meant, if any.
            holders = sorted(writers.values(), key=lambda attempt: (attempt.file_fetches == 0, attempt.seq))
            self._on_wrong(event, f"file {file[2]}", holders, ("view", *file), event.began_ms)

    def _may_lack_a_file(self, instance: str) -> bool:
        """Return whether a fault fired on a job there: its file may be late or gone, and have the same name."""
        return any(attempt.had_fault for attempt in self.tracker.by_instance.get(instance, ()))

    def _on_right(self, key: _Key, began_ms: int) -> None:
        self._result = None
        if len(self._last_right_ms) >= _MOST_RECENT:
            self._earlier_right_ms, self._last_right_ms = self._last_right_ms, {}
        self._last_right_ms[key] = began_ms
        self._settle(key, began_ms)
        self._pending.pop(key, None)

    def _on_wrong(
        self, event: Exchanged | InterruptAsked, what: str, holders: list[Attempt], key: _Key, began_ms: int
    ) -> None:
        """Note a request to an instance that lacks the job, if another could have answered it."""
        holders = [
            attempt
            for attempt in holders
            # A request that was under way when the job came there is not meant.
            if began_ms >= attempt.sent_ms
            and self.fleet.member(attempt.instance).is_available
            and not self._was_tried_at(event.instance, attempt, is_file=key[0] == "view")
        ]
        if not holders:
            return
        self._result = None
        attempt, right_ms = holders[-1], self._last_right_ms.get(key, self._earlier_right_ms.get(key))
        self._settle(key, began_ms)
        pending = self._pending.setdefault(key, [])
        is_search = right_ms is not None and began_ms - right_ms <= SEARCH_MS
        if not is_search and not attempt.is_load and len(pending) < _MOST_PENDING:
            was_over = attempt.ended_ms is not None and attempt.ended_ms <= began_ms
            is_decisive = was_over or what != "history entry"
            pending.append(RequestElsewhere(event.seq, began_ms, event.instance, attempt, what, is_decisive))

    def _was_tried_at(self, instance: str, attempt: Attempt, *, is_file: bool) -> bool:
        """Return whether the job was sent to an instance so that its client may ask there what became of that.

        Another attempt has another prompt id, unless it was not accepted; it may write a file of the same name.
        """
        others = (other for other in self.tracker.jobs[attempt.job].attempts if other.instance == instance)
        return any(is_file or other.prompt_id is None for other in others)

    # Websockets.

    @on(SocketOpened)
    def _on_socket_opened(self, event: SocketOpened) -> None:
        client, instance = event.client_id, event.instance
        sockets = self._sockets.setdefault(client, {})
        sockets[instance] = _Sockets(event.seq, sockets[instance].number + 1 if instance in sockets else 1)
        self._former.add((client, instance))
        self._refused.discard((client, instance))
        self._silent.pop((client, instance), None)
        if len(sockets) > 1:
            self._aware.add(client)
        for jobs in self.tracker.instances.values():
            running = jobs.running
            if running is None or running.client_id != client:
                continue
            if running.instance == instance:
                self._listeners.pop(running, None)
                self.silenced.pop(running, None)
            else:
                self._check_listener(running)

    def _on_handshake_failed(self, event: Exchanged) -> None:
        """Note that a client wanted to listen at an instance; a handshake that succeeds is no exchange."""
        client = dict(parse_qsl(event.query)).get("clientId")
        if client is None or event.instance in self._sockets.get(client, {}):
            return
        self._refused.add((client, event.instance))
        running = self.tracker.instances[event.instance].running
        if running is not None and running.client_id == client:
            self._listeners.pop(running, None)
            self.silenced[running] = _REFUSED_SOCKET

    @on(SocketClosed)
    def _on_socket_closed(self, event: SocketClosed) -> None:
        sockets = self._sockets.get(event.client_id, {})
        if event.instance in sockets:
            seq, number = sockets[event.instance]
            sockets[event.instance] = _Sockets(seq, number - 1)
            if number == 1:
                self._forget_sockets(event.client_id, event.instance)

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        for client in [client for client, sockets in self._sockets.items() if event.instance in sockets]:
            self._forget_sockets(client, event.instance)

    def _forget_sockets(self, client: str, instance: str) -> None:
        del self._sockets[client][instance]
        if not self._sockets[client]:
            del self._sockets[client]

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        attempt = self.tracker.instances[event.instance].running
        if attempt is not None:
            self._check_listener(attempt)

    def _check_listener(self, attempt: Attempt) -> None:
        """Note where the client of a running attempt listens, if it does not listen at the attempt's instance."""
        client = attempt.client_id
        if client is None:
            return
        sockets, place = self._sockets.get(client, {}), (client, attempt.instance)
        if attempt.instance in sockets:
            if place in self._silent:
                self.silenced[attempt] = _SILENCING_EFFECTS[self._silent[place].do]
        elif place in self._refused:
            self.silenced[attempt] = _REFUSED_SOCKET
        elif sockets and not attempt.is_socket_closed:
            instance, opened = next(iter(sockets.items()))
            self._listeners.setdefault(attempt, ListenerElsewhere(opened.seq, instance))
        elif place in self._former:
            self.silenced[attempt] = _NO_SOCKET

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        if event.do in _SILENCING_EFFECTS and event.client_id is not None:
            self._silent[event.client_id, event.instance] = event
            running = self.tracker.instances[event.instance].running
            if running is not None:
                self._check_listener(running)

    @on(FaultHealed)
    def _on_fault_healed(self, event: FaultHealed) -> None:
        muted = [place for place, fired in self._silent.items() if fired.id == event.id and fired.do == "mute"]
        for place in muted:
            del self._silent[place]
