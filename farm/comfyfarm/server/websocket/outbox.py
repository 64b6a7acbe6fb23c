"""Sends the websocket messages of one process: through the faults, or queued and sent together at the end of a turn."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from operator import attrgetter

from comfyfarm.events import Event
from comfyfarm.server.websocket.connection import SocketWriter, frame
from comfyfarm.server.websocket.faults import WebSocketFaultInjector
from comfyfarm.server.websocket.hub import Socket
from comfyfarm.server.websocket.message import OutgoingMessage

_client_id = attrgetter("client_id")
_MAX_QUEUED_BYTES = 64 * 1024   # what Twisted buffers for a connection before it pauses the producer


@dataclass(eq=False)
class Outbox:
    """Sends every message of one process, through the fault injector if a fault may concern it.

    A message that no fault may concern is queued at its sockets, and :meth:`flush` sends each socket all that is queued
    there in one write.  The driver of the instance calls it at the end of each turn of work.

    :ivar publish: publishes the event of each message that was sent.
    :ivar _queued: the writers that have queued frames; one may stand there twice.
    :ivar _queued_bytes: what one socket may have queued at most.
    :ivar thawed_ms: when the process was last thawed: messages from before were sent then.
    """

    fault_injector: WebSocketFaultInjector
    publish: Callable[[Event], None]
    thawed_ms: int = 0
    _is_over: bool = field(default=False, init=False)
    _queued: list[SocketWriter] = field(default_factory=list, init=False)
    _queued_bytes: int = field(default=0, init=False)

    def send(self, sockets: Collection[Socket], message: OutgoingMessage) -> None:
        """Send a message to sockets."""
        if self._is_over:
            return
        message = message if message.at_ms >= self.thawed_ms else message.at(self.thawed_ms)
        if self.fault_injector.is_needed(message.type):
            reached = self.fault_injector.send(message, sockets)
        else:
            reached = self._queue(frame(message.content), sockets)
        if reached and message.is_logged:
            self.publish(message.as_event(tuple(map(_client_id, reached))))

    def _queue(self, framed: bytes, sockets: Collection[Socket]) -> list[Socket]:
        """Queue a frame at each socket, and return those that take it."""
        reached = []
        for socket in sockets:
            writer = socket.writer
            if not writer.queued:
                self._queued.append(writer)
            if not socket.is_displaced and writer.queue(framed):
                reached.append(socket)
        self._queued_bytes += len(framed)
        if self._queued_bytes > _MAX_QUEUED_BYTES:
            self.flush()
        return reached

    def flush(self) -> None:
        """Send each socket what is queued there."""
        if self._queued:
            queued, self._queued, self._queued_bytes = self._queued, [], 0
            for writer in queued:
                writer.flush()

    def closed(self, socket: Socket) -> None:
        self.fault_injector.closed(socket)

    def stop(self) -> None:
        """Send what is queued and nothing more: the process has ended."""
        self.flush()
        self._is_over = True
        self.fault_injector.stop()
