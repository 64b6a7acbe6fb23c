"""The outbox of a process: sends each websocket message to the sockets that it is for."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from comfyfarm.events import Event
from comfyfarm.server.websocket.faults import WebSocketFaultInjector
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.message import OutgoingMessage


@dataclass(eq=False)
class Outbox:
    """Sends every message of one process, through the fault injector if a fault may concern it.

    :ivar publish: publishes the event of each message that was sent.
    :ivar thawed_ms: when the process was last thawed: messages from before were sent then.
    """

    hub: Hub
    fault_injector: WebSocketFaultInjector
    publish: Callable[[Event], None]
    thawed_ms: int = 0
    _is_over: bool = field(default=False, init=False)

    def send(self, to: object, message: OutgoingMessage) -> None:
        """Send a message to one socket, to a client by its id, or to every client if ``to`` is None."""
        if self._is_over:
            return
        message = message if message.at_ms >= self.thawed_ms else message.at(self.thawed_ms)
        sockets: Collection[Socket] = [to] if isinstance(to, Socket) else self.hub.recipients(to)
        if self.fault_injector.is_needed(message.type):
            reached = self.fault_injector.send(message, sockets)
        else:
            reached = [socket for socket in sockets if not socket.is_displaced and socket.writer.write(message.framed)]
        if reached and message.is_logged:
            self.publish(message.as_event(tuple(socket.client_id for socket in reached)))

    def closed(self, socket: Socket) -> None:
        self.fault_injector.closed(socket)

    def stop(self) -> None:
        """Send nothing more: the process has ended."""
        self._is_over = True
        self.fault_injector.stop()
