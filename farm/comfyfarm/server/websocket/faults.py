"""Applies faults to websocket messages: sends them late, twice, not at all, or to others, or ends the socket."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from comfyfarm.events import Event
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import Hold
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import Frame
from comfyfarm.server.time.clock import Alarm
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.message import OutgoingMessage


@dataclass(eq=False)
class _SocketFaults:
    """The faults in force on one socket.

    :ivar muted_by: while it is active, the socket is sent nothing.
    :ivar held: the messages that are sent right after the socket's next one.
    :ivar late: the alarms of delayed messages and of a delayed end.
    """

    muted_by: Hold | None = None
    held: list[OutgoingMessage] = field(default_factory=list)
    late: list[Alarm] = field(default_factory=list)


@dataclass(eq=False)
class WebSocketFaultInjector:
    """Fires the faults that match a message to a socket, and sends what their effects leave of it.

    :ivar make_alarm: makes an alarm in the farm's time.
    :ivar run_or_defer: calls a function now, or, if the process is frozen, when it thaws.
    :ivar publish: publishes the event of a message that was not sent to its sockets at once and unchanged.
    :ivar older_job: returns the job of a client that ended last, other than a given one, or None.
    """

    faults: InstanceFaults
    hub: Hub
    make_alarm: Callable[[Callable[[], None]], Alarm]
    run_or_defer: Callable[[Callable[[], None]], None]
    now_ms: Callable[[], int]
    publish: Callable[[Event], None]
    older_job: Callable[[str, str | None], str | None]
    _socket_faults: dict[Socket, _SocketFaults] = field(default_factory=dict)
    _deaf: dict[str, tuple[Hold, int]] = field(default_factory=dict)      # by client: the hold, and until when

    def is_needed(self, kind: str) -> bool:
        """True if a fault may concern a message of this type."""
        if self._socket_faults or self._deaf:
            return True
        faults = self.faults
        return not faults.is_quiet and (faults.watches("frame") or (kind == "status" and faults.watches("status")))

    def send(self, message: OutgoingMessage, sockets: Collection[Socket]) -> list[Socket]:
        """Send a message to each socket, and return those that were sent it now and unchanged.

        What is sent otherwise is published here.
        """
        return [socket for socket in sockets if self._send(message, socket, sockets)]

    def _send(self, message: OutgoingMessage, socket: Socket, sockets: Collection[Socket]) -> bool:
        if not self._receives(socket, message.at_ms):
            return False
        frame = self._fire(message, socket)
        if frame is None:
            is_sent = socket.writer.write(message.framed)
            self._send_held(socket, message.at_ms)
            return is_sent
        if frame.muted_by is not None:
            self._faults_of(socket).muted_by = frame.muted_by
        if frame.deaf_by is not None:
            self._deaf[socket.client_id] = frame.deaf_by, message.at_ms + frame.deaf_ms
        if frame.to_everybody:
            self._send_to_others(message, frame, sockets)
        is_sent = self._send_frame(message, socket, frame)
        self._end(message, socket, frame)
        return is_sent

    # Firing.

    def _fire(self, message: OutgoingMessage, socket: Socket) -> Frame | None:
        """Return the message as faults have changed it; None if no fault fired."""
        facts, frame = message.facts(socket.client_id), None
        for firing in self._firings(message, socket):
            if frame is None:
                frame = Frame(facts, message.content, self.older_job(socket.client_id, facts.prompt_id))
            firing.fault.effect.on_frame(frame, firing)
        return frame

    def _firings(self, message: OutgoingMessage, socket: Socket) -> Iterator[Firing]:
        faults, facts = self.faults, message.facts(socket.client_id)
        yield from faults.fire("frame", facts, message.at_ms)
        if message.type == "status":
            facts = replace(facts, route="/ws")
            for armed in tuple(faults.registry.watching(faults.name, "status")):
                if armed.fault.effect.is_for_frames:
                    yield from faults.fire("status", facts, message.at_ms, only=armed.fault.id)

    # Sockets and clients that are sent nothing.

    def _receives(self, socket: Socket, at_ms: int) -> bool:
        faults = self._socket_faults.get(socket)
        if faults is not None and faults.muted_by is not None and not faults.muted_by.active:
            faults.muted_by = None
            self._tidy(socket)
        is_muted = faults is not None and faults.muted_by is not None
        return not (is_muted or socket.is_displaced or socket.writer.is_over or self._is_deaf(socket.client_id, at_ms))

    def _is_deaf(self, client_id: str, at_ms: int) -> bool:
        hold, until_ms = self._deaf.get(client_id, (None, 0))
        if hold is not None and (at_ms >= until_ms or not hold.active):
            hold.active = False
            del self._deaf[client_id]
        return client_id in self._deaf

    # Sending.

    def _send_frame(self, message: OutgoingMessage, socket: Socket, frame: Frame) -> bool:
        """Send what faults have left of a message; return whether the message itself was sent now."""
        if frame.muted_by is not None or frame.deaf_by is not None:
            return False
        is_sent, waits = False, frame.waits_for_next and not self._held(socket)
        for delayed in frame.messages:
            copy = message.with_content(delayed.content)
            if delayed.after_ms:
                self._send_later(copy.at(message.at_ms + delayed.after_ms), socket)
            elif waits:
                self._faults_of(socket).held.append(copy)
            elif copy is message and not is_sent:
                is_sent = socket.writer.write(message.framed)
            else:
                self._send_apart(copy, socket)
        if not waits and any(not delayed.after_ms for delayed in frame.messages):
            self._send_held(socket, message.at_ms)
        return is_sent

    def _send_to_others(self, message: OutgoingMessage, frame: Frame, sockets: Collection[Socket]) -> None:
        """Send the message to all sockets that it is not for."""
        for delayed in frame.messages:
            copy = message.with_content(delayed.content)
            for socket in self.hub.recipients(None):
                if socket in sockets:
                    continue
                if delayed.after_ms:
                    self._send_later(copy.at(message.at_ms + delayed.after_ms), socket)
                else:
                    self._send_apart(copy, socket)

    def _send_apart(self, message: OutgoingMessage, socket: Socket) -> None:
        if self._receives(socket, message.at_ms) and socket.writer.write(message.framed) and message.is_logged:
            self.publish(message.as_event((socket.client_id,)))

    def _held(self, socket: Socket) -> list[OutgoingMessage]:
        faults = self._socket_faults.get(socket)
        return faults.held if faults is not None else []

    def _send_held(self, socket: Socket, at_ms: int) -> None:
        """Send the messages that waited for the one that has just been sent."""
        if held := self._held(socket):
            self._socket_faults[socket].held = []
            self._tidy(socket)
            for message in held:
                self._send_apart(message.at(at_ms), socket)

    def _end(self, message: OutgoingMessage, socket: Socket, frame: Frame) -> None:
        """End or displace the socket after the last delayed message, if an effect says so."""
        if not frame.is_displaced and frame.ending == "keep":
            return
        last_ms = max((delayed.after_ms for delayed in frame.messages), default=0)
        if last_ms:
            self._later(socket, message.at_ms + last_ms, lambda: self._end_now(socket, frame))
        else:
            self._end_now(socket, frame)

    def _end_now(self, socket: Socket, frame: Frame) -> None:
        if frame.is_displaced:
            self.hub.displace(socket)
        if frame.ending == "close":
            socket.writer.close(frame.code, frame.reason)
        elif frame.ending == "reset":
            socket.writer.reset()

    # Later.

    def _send_later(self, message: OutgoingMessage, socket: Socket) -> None:
        def arrive() -> None:
            at_ms = max(message.at_ms, self.now_ms())    # later if the process was frozen
            self._send_apart(message.at(at_ms), socket)
            self._send_held(socket, at_ms)

        self._later(socket, message.at_ms, arrive)

    def _later(self, socket: Socket, due_ms: int, act: Callable[[], None]) -> None:
        """Call a function at that time, unless the socket ends before."""

        def ring() -> None:
            faults.late.remove(alarm)
            self._tidy(socket)
            self.run_or_defer(act)

        faults, alarm = self._faults_of(socket), self.make_alarm(ring)
        faults.late.append(alarm)
        alarm.set(due_ms)

    # The faults of a socket.

    def _faults_of(self, socket: Socket) -> _SocketFaults:
        return self._socket_faults.setdefault(socket, _SocketFaults())

    def _tidy(self, socket: Socket) -> None:
        faults = self._socket_faults.get(socket)
        if faults is not None and faults.muted_by is None and not faults.held and not faults.late:
            del self._socket_faults[socket]     # so that is_needed can be False again

    def closed(self, socket: Socket) -> None:
        """Drop everything that was still to be sent to a socket: it is gone."""
        faults = self._socket_faults.pop(socket, None)
        if faults is None:
            return
        for alarm in faults.late:
            alarm.set(None)
        if faults.muted_by is not None:
            faults.muted_by.active = False

    def stop(self) -> None:
        """Drop everything that was still to be sent: the process has ended."""
        for socket in tuple(self._socket_faults):
            self.closed(socket)
        self._deaf.clear()
