"""The websockets of clients: which jobs ran while their client listened to another instance, or to none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl

from comfyfarm.analysis.forgotten import HashSet
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Exchanged, FaultFired, FaultHealed, ServerStopped, SocketClosed, SocketOpened, Taken
from comfyfarm.events.handler import EventHandler, on

_MOST_FORMER = 10_000       # clients that had a websocket; only a reason in a sentence needs them
_SILENCING_EFFECTS = {"mute": "its client's websocket was mute", "displace": "its client's websocket was displaced"}
_NO_SOCKET = "its client had no websocket there any more"
_REFUSED_SOCKET = "its client was refused a websocket there"


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
class ListenerTracker(EventHandler):
    """Follows websockets; the tracker of jobs has processed each event before.

    :ivar silenced: attempts whose client's websocket got no messages or was gone, with the reason: half a sentence.
    """

    tracker: JobTracker
    silenced: dict[Attempt, str] = field(default_factory=dict)
    _listeners: dict[Attempt, ListenerElsewhere] = field(default_factory=dict)
    _sockets: dict[str, dict[str, _Sockets]] = field(default_factory=dict)
    _refused: set[tuple[str, str]] = field(default_factory=set)
    _former: dict[tuple[str, str], None] = field(default_factory=dict)
    _silent: dict[tuple[str, str], FaultFired] = field(default_factory=dict)
    _aware: HashSet = field(default_factory=HashSet)

    def listener_of(self, attempt: Attempt) -> ListenerElsewhere | None:
        """Return the websocket elsewhere of an attempt that ran to its end without one at its own instance.

        ``None`` also if its client has had websockets at several instances at once: it knows the instances, and lacks
        one for another reason.
        """
        listener = self._listeners.get(attempt)
        if listener is None or attempt.end not in {"success", "error"} or self._aware.has(attempt.client_id or ""):
            return None
        return listener

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Drop what is known of attempts that nobody asks for any more."""
        for attempt in attempts:
            self.silenced.pop(attempt, None)
            self._listeners.pop(attempt, None)

    @on(SocketOpened)
    def _on_socket_opened(self, event: SocketOpened) -> None:
        client, instance = event.client_id, event.instance
        sockets = self._sockets.setdefault(client, {})
        sockets[instance] = _Sockets(event.seq, sockets[instance].number + 1 if instance in sockets else 1)
        self._former[client, instance] = None
        if len(self._former) > 2 * _MOST_FORMER:
            self._former = dict.fromkeys(list(self._former)[-_MOST_FORMER:])
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

    @on("GET /ws")
    def _on_handshake_failed(self, event: Exchanged) -> None:
        # A handshake that succeeds is no exchange.
        if event.path not in {"/ws", "/api/ws"}:
            return
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
