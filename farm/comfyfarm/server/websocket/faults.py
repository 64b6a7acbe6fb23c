"""What goes wrong with websocket messages: late, lost, doubled, to the wrong ones, or the last before the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from comfyfarm.events import Event
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import Hold
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import Frame
from comfyfarm.server.time.alarm import Alarm
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.message import OutgoingMessage


@dataclass(eq=False)
class _SocketFaults:
    """What a socket still suffers from faults that have struck.

    :ivar muted_by: it hears nothing while this is on.
    :ivar held: what goes out right behind its next message.
    :ivar late: what will come to pass by itself.
    """

    muted_by: Hold | None = None
    held: list[OutgoingMessage] = field(default_factory=list)
    late: list[Alarm] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.muted_by is None and not self.held and not self.late


@dataclass(eq=False)
class WebSocketFaultInjector:
    """Asks of each message to each socket what strikes it, and does what the effects say.

    :ivar make_alarm: one in the farm's time.
    :ivar run_or_defer: lets something happen now, or later where the process is frozen.
    :ivar now_ms: the simulated moment.
    :ivar publish: takes the note of what goes out apart from the message itself.
    :ivar older: the job of a client that ended last, other than this one.
    """

    faults: InstanceFaults
    hub: Hub
    make_alarm: Callable[[Callable[[], None]], Alarm]
    run_or_defer: Callable[[Callable[[], None]], None]
    now_ms: Callable[[], int]
    publish: Callable[[Event], None]
    older: Callable[[str, str | None], str | None]
    _troubles: dict[Socket, _SocketFaults] = field(default_factory=dict)
    _deaf: dict[str, tuple[Hold, int]] = field(default_factory=dict)      # by client: why, and until when

    def is_needed(self, kind: str) -> bool:
        """Whether a message of this type may not simply go out to all who hear it."""
        if self._troubles or self._deaf or self.faults.watches("frame"):
            return True
        return kind == "status" and self.faults.watches("status")

    def send(self, message: OutgoingMessage, sockets: Collection[Socket]) -> list[Socket]:
        """Send a message to each in turn, and give those that got it now and as it is; the rest is told apart."""
        return [socket for socket in sockets if self._send(message, socket, sockets)]

    def _send(self, message: OutgoingMessage, socket: Socket, sockets: Collection[Socket]) -> bool:
        if not self._hears(socket, message.at_ms):
            return False
        frame = self._struck(message, socket)
        if frame is None:
            has_it = socket.line.write(message.framed)
            self._let_follow(socket, message.at_ms)
            return has_it
        self._silence(socket, frame, message.at_ms)
        if frame.to_everybody:
            self._tell_the_others(message, frame, sockets)
        has_it = self._carry_out(message, socket, frame)
        self._end(message, socket, frame)
        return has_it

    # What strikes.

    def _struck(self, message: OutgoingMessage, socket: Socket) -> Frame | None:
        """The message as faults have changed it; ``None`` where none struck."""
        facts, frame = message.facts(socket.client_id), None
        for firing in self._strikes(message, socket):
            if frame is None:
                frame = Frame(facts, message.content, self.older(socket.client_id, facts.prompt_id))
            firing.fault.effect.on_frame(frame, firing)
        return frame

    def _strikes(self, message: OutgoingMessage, socket: Socket) -> Iterator[Firing]:
        faults, facts = self.faults, message.facts(socket.client_id)
        yield from faults.fire("frame", facts, message.at_ms)
        if message.type == "status":
            facts = replace(facts, route="/ws")
            for armed in tuple(faults.registry.watching(faults.name, "status")):
                if armed.fault.effect.is_for_frames:
                    yield from faults.fire("status", facts, message.at_ms, only=armed.fault.id)

    # Who hears nothing.

    def _hears(self, socket: Socket, at_ms: int) -> bool:
        trouble = self._troubles.get(socket)
        if trouble is not None and trouble.muted_by is not None and not trouble.muted_by.active:
            trouble.muted_by = None
            self._tidy(socket)
        is_muted = trouble is not None and trouble.muted_by is not None
        return not (is_muted or socket.is_displaced or socket.line.is_over or self._is_deaf(socket.client_id, at_ms))

    def _is_deaf(self, client_id: str, at_ms: int) -> bool:
        firing, until_ms = self._deaf.get(client_id, (None, 0))
        if firing is not None and (at_ms >= until_ms or not firing.active):
            firing.active = False
            del self._deaf[client_id]
        return client_id in self._deaf

    def _silence(self, socket: Socket, frame: Frame, at_ms: int) -> None:
        """From this message on, if that is what struck."""
        if frame.muted_by is not None:
            self._trouble(socket).muted_by = frame.muted_by
        if frame.deaf_by is not None:
            self._deaf[socket.client_id] = frame.deaf_by, at_ms + frame.deaf_ms

    # What goes out.

    def _carry_out(self, message: OutgoingMessage, socket: Socket, frame: Frame) -> bool:
        """Send what is left of a message, and say whether the message itself went out."""
        if frame.muted_by is not None or frame.deaf_by is not None:
            return False
        has_it, waits = False, frame.waits_for_next and not self._held(socket)
        for parcel in frame.messages:
            sent = message.encoded_at(parcel.content)
            if parcel.after_ms:
                self._send_later(sent.at(message.at_ms + parcel.after_ms), socket)
            elif waits:
                self._trouble(socket).held.append(sent)
            elif sent is message and not has_it:
                has_it = socket.line.write(message.framed)
            else:
                self._send_apart(sent, socket)
        if not waits and any(not parcel.after_ms for parcel in frame.messages):
            self._let_follow(socket, message.at_ms)
        return has_it

    def _tell_the_others(self, message: OutgoingMessage, frame: Frame, sockets: Collection[Socket]) -> None:
        """Send it to all for whom it is not."""
        for parcel in frame.messages:
            sent = message.encoded_at(parcel.content)
            for socket in self.hub.hearing(None):
                if socket in sockets:
                    continue
                if parcel.after_ms:
                    self._send_later(sent.at(message.at_ms + parcel.after_ms), socket)
                else:
                    self._send_apart(sent, socket)

    def _send_apart(self, message: OutgoingMessage, socket: Socket) -> None:
        if self._hears(socket, message.at_ms) and socket.line.write(message.framed) and message.is_told:
            self.publish(message.note((socket.client_id,)))

    def _held(self, socket: Socket) -> list[OutgoingMessage]:
        trouble = self._troubles.get(socket)
        return trouble.held if trouble is not None else []

    def _let_follow(self, socket: Socket, at_ms: int) -> None:
        """Send what waited for the message that has just gone out."""
        if held := self._held(socket):
            self._troubles[socket].held = []
            self._tidy(socket)
            for message in held:
                self._send_apart(message.at(at_ms), socket)

    def _end(self, message: OutgoingMessage, socket: Socket, frame: Frame) -> None:
        """End the socket, or forget it, after the last parcel."""
        if not frame.is_displaced and frame.ending == "keep":
            return
        last_ms = max((parcel.after_ms for parcel in frame.messages), default=0)
        if last_ms:
            self._later(socket, message.at_ms + last_ms, lambda: self._end_now(socket, frame))
        else:
            self._end_now(socket, frame)

    def _end_now(self, socket: Socket, frame: Frame) -> None:
        if frame.is_displaced:
            self.hub.displace(socket)
        if frame.ending == "close":
            socket.line.close(frame.code, frame.reason)
        elif frame.ending == "reset":
            socket.line.reset()

    # What comes to pass later.

    def _send_later(self, message: OutgoingMessage, socket: Socket) -> None:
        def arrive() -> None:
            at_ms = max(message.at_ms, self.now_ms())    # later where the process was frozen
            self._send_apart(message.at(at_ms), socket)
            self._let_follow(socket, at_ms)

        self._later(socket, message.at_ms, arrive)

    def _later(self, socket: Socket, due_ms: int, act: Callable[[], None]) -> None:
        """Let something happen at that moment, unless the socket ends before."""

        def ring() -> None:
            trouble.late.remove(alarm)
            self._tidy(socket)
            self.run_or_defer(act)

        trouble, alarm = self._trouble(socket), self.make_alarm(ring)
        trouble.late.append(alarm)
        alarm.set(due_ms)

    # An end of it.

    def _trouble(self, socket: Socket) -> _SocketFaults:
        return self._troubles.setdefault(socket, _SocketFaults())

    def _tidy(self, socket: Socket) -> None:
        """Forget a socket's trouble when it is over, so that its messages take the short way again."""
        trouble = self._troubles.get(socket)
        if trouble is not None and trouble.is_over:
            del self._troubles[socket]

    def closed(self, socket: Socket) -> None:
        """A socket is gone, and with it what was on the way."""
        trouble = self._troubles.pop(socket, None)
        if trouble is None:
            return
        for alarm in trouble.late:
            alarm.set(None)
        if trouble.muted_by is not None:
            trouble.muted_by.active = False

    def stop(self) -> None:
        """The process ends: nothing is on the way any more."""
        for socket in tuple(self._troubles):
            self.closed(socket)
        self._deaf.clear()
