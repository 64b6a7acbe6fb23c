"""How does a message get to the sockets that it is for?"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from comfyfarm.events import Event
from comfyfarm.server.websocket.faults import WebSocketFaultInjector
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.message import OutgoingMessage


@dataclass(eq=False)
class Outbox:
    """Sends every message of one process; where no fault is armed, the same bytes to all who hear it.

    :ivar publish: takes the note of each message that went out, and to whom.
    :ivar thawed_ms: when the process was last thawed: what came up before went out then.
    """

    hub: Hub
    fault_injector: WebSocketFaultInjector
    publish: Callable[[Event], None]
    thawed_ms: int = 0
    _is_over: bool = field(default=False, init=False)

    def send(self, to: object, message: OutgoingMessage) -> None:
        """Send a message to a client, to everybody where ``to`` is ``None``, or to one socket."""
        if self._is_over:
            return
        message = message if message.at_ms >= self.thawed_ms else message.at(self.thawed_ms)
        sockets: Collection[Socket] = [to] if isinstance(to, Socket) else self.hub.hearing(to)
        if self.fault_injector.is_needed(message.type):
            reached = self.fault_injector.send(message, sockets)
        else:
            reached = [each for each in sockets if not each.is_displaced and each.line.write(message.framed)]
        if reached and message.is_told:
            self.publish(message.note(tuple(socket.client_id for socket in reached)))

    def closed(self, socket: Socket) -> None:
        """A socket is gone."""
        self.fault_injector.closed(socket)

    def stop(self) -> None:
        """The process ends: nothing goes out any more."""
        self._is_over = True
        self.fault_injector.stop()
