"""Translates events into ComfyUI's websocket messages (docs/fidelity.md, "Websocket"), and sends them."""

import json
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.events import (
    Cached,
    Event,
    Failed,
    Finished,
    Interrupted,
    NodeFinished,
    NodeStarted,
    PictureSent,
    Progressed,
    QueueCleared,
    QueueDeleted,
    Started,
    Submitted,
    Succeeded,
    Taken,
    TextSent,
)
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.faults.editing import encode_message
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.websocket.faults import WebSocketFaultInjector
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.message import OutgoingMessage
from comfyfarm.sim.values import Picture
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_EVERYBODY = None
_PREVIEW_IMAGE, _TEXT, _PREVIEW_WITH_METADATA = 1, 3, 4
_FORMATS = {"image/jpeg": 1, "image/png": 2}
_MIN_MS, _MIN_SHARE = 100, 0.005    # between two progress messages


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


@dataclass(eq=False)
class WebSocketNotifier(EventHandler):
    """Handles one instance's events and sends its clients the messages that ComfyUI would send.

    It keeps what the messages repeat (the client of the running job, the progress of each node), so that the events
    need not repeat it.

    :ivar unix_ms: the wall-clock time of simulated time 0.
    :ivar taken: the event of the job that was taken last.
    """

    outbox: Outbox
    renderer: ImageRenderer
    unix_ms: int
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    taken: Taken | None = None
    _client: Any = None
    _nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _reported: dict[str, tuple[int, int]] = field(default_factory=dict)     # by node: when, and which value

    @on(Submitted, QueueCleared, Taken)
    def _on_queue_change(self, event: Submitted | QueueCleared | Taken) -> None:
        if isinstance(event, Taken):
            self.taken, self._client, self._nodes, self._reported = event, event.client_id, {}, {}
        self._status(event.at_ms, event.queue_remaining)

    @on(QueueDeleted)
    def _on_queue_deleted(self, event: QueueDeleted) -> None:
        for _ in range(2 if event.last else 1):
            self._status(event.at_ms, event.queue_remaining)

    @on(Started, Succeeded)
    def _on_start_or_success(self, event: Started | Succeeded) -> None:
        kind = "execution_start" if isinstance(event, Started) else "execution_success"
        self._to_client(event, kind, {"prompt_id": event.prompt_id}, stamped=True)

    @on(Cached)
    def _on_cached(self, event: Cached) -> None:
        data = {"nodes": list(event.nodes), "prompt_id": event.prompt_id}
        self._to_client(event, "execution_cached", data, stamped=True)

    @on(NodeStarted)
    def _on_node_started(self, event: NodeStarted) -> None:
        parent = self._nodes.get(event.parent)
        state = self._nodes[event.node] = _state(event.prompt_id, event.node, parent)
        self._progress_state(event)
        data = {"node": event.node, "display_node": state["display_node_id"], "prompt_id": event.prompt_id}
        self._to_client(event, "executing", data)

    @on(Progressed)
    def _on_progressed(self, event: Progressed) -> None:
        self._nodes[event.node] |= {"value": event.value, "max": event.max}
        if self._is_due(event):
            self._reported[event.node] = event.at_ms, event.value
            self._progress_state(event)
            self._progress(event)

    @on(PictureSent)
    def _on_picture_sent(self, event: PictureSent) -> None:
        # An update with a picture is always sent.
        self._nodes[event.node] |= {"value": event.value, "max": event.max}
        self._reported[event.node] = event.at_ms, event.value
        self._progress_state(event)
        if self._wants_metadata():
            self._send(self._client, event, "binary-4", lambda: self._with_metadata(event))
            self._progress(event)
        else:
            head = struct.pack(">II", _PREVIEW_IMAGE, _FORMATS[event.preview.image_type])
            self._progress(event)
            self._send(self._client, event, "binary-1", lambda: head + self._pixels(event))

    @on(TextSent)
    def _on_text_sent(self, event: TextSent) -> None:
        node = event.node.encode()
        payload = struct.pack(">II", _TEXT, len(node)) + node + event.text.encode()
        self._send(_EVERYBODY, event, "binary-3", lambda: payload)

    @on(NodeFinished)
    def _on_node_finished(self, event: NodeFinished) -> None:
        state = self._nodes.setdefault(event.node, _state(event.prompt_id, event.node))
        if event.output is not None:
            display_node = state["display_node_id"] if event.shown_as == event.node else event.shown_as
            names = {"node": event.shown_as, "display_node": display_node}
            data = {**names, "output": event.output, "prompt_id": event.prompt_id}
            self._to_client(event, "executed", data)
        if event.cached:
            state["max"] = 1    # an int, whereas a node that runs begins with 1.0
        state |= {"value": state["max"], "state": "finished"}
        self._progress_state(event)

    @on(Failed)
    def _on_failed(self, event: Failed) -> None:
        self._to_client(event, "execution_error", {"prompt_id": event.prompt_id, **event.error}, stamped=True)

    @on(Interrupted)
    def _on_interrupted(self, event: Interrupted) -> None:
        data = {
            "prompt_id": event.prompt_id,
            "node_id": event.node,
            "node_type": event.class_type,
            "executed": list(event.executed),
            "timestamp": self.unix_ms + event.at_ms,
        }
        self.send_json(self._client, event, "execution_interrupted", data)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        self._status(event.at_ms, event.queue_remaining)
        self._to_client(event, "executing", {"node": None, "prompt_id": event.prompt_id})

    # Messages that several events send.  Without a client of the job, most go to everybody (``to`` is None).

    def _status(self, at_ms: int, queue_remaining: int) -> None:
        if self.outbox.hub.recipients(_EVERYBODY):
            content = encode_message("status", {"status": {"exec_info": {"queue_remaining": queue_remaining}}})
            message = OutgoingMessage(at_ms, "status", content, queue_remaining=queue_remaining)
            self.outbox.send(_EVERYBODY, message)

    def _progress_state(self, event: Any) -> None:
        """Send the progress of every node that was begun."""
        if self.behaviour.has_progress_state:
            data = {"prompt_id": event.prompt_id, "nodes": self._nodes}
            self.send_json(self._client, event, "progress_state", data)

    def _progress(self, event: Progressed | PictureSent) -> None:
        data = {"value": event.value, "max": event.max, "prompt_id": event.prompt_id, "node": event.node}
        self.send_json(self._client, event, "progress", data)

    def _with_metadata(self, event: PictureSent) -> bytes:
        facts = {key: value for key, value in self._nodes[event.node].items() if key.endswith("_id")}
        metadata = json.dumps({**self._metadata, **facts, "image_type": event.preview.image_type}).encode()
        return struct.pack(">II", _PREVIEW_WITH_METADATA, len(metadata)) + metadata + self._pixels(event)

    def _pixels(self, event: PictureSent) -> bytes:
        preview = event.preview
        if preview.image_type == "image/jpeg":
            return self.renderer.preview_jpeg(preview.width, preview.height)
        return self.renderer.preview_png(Picture(preview.width, preview.height, colour=preview.colour))

    def _wants_metadata(self) -> bool:
        """True if the job's client announced that it takes previews with metadata; False if the job has no client."""
        sockets = self.outbox.hub.recipients(self._client) if self._client is not None else ()
        return any(socket.flags.get("supports_preview_metadata") is True for socket in sockets)

    def _is_due(self, event: Progressed) -> bool:
        """True if this step is sent: the first, the last, or one far enough from the last one sent."""
        if event.node not in self._reported or event.value == event.max:
            return True
        at_ms, value = self._reported[event.node]
        return event.at_ms - at_ms >= _MIN_MS and event.value - value >= event.max * _MIN_SHARE

    @property
    def _metadata(self) -> dict[str, Any]:
        """What newer versions add to each message about the running job."""
        return (self.taken.workflow_metadata if self.taken is not None else None) or {}

    # Sending.

    def _to_client(self, event: Event, kind: str, data: dict[str, Any], *, stamped: bool = False) -> None:
        """Send a message to the job's client, if the job has one."""
        if self._client is not None:
            stamp = {"timestamp": self.unix_ms + event.at_ms} if stamped else {}
            self.send_json(self._client, event, kind, {**data, **stamp})

    def send_json(self, to: Any, event: Event, kind: str, data: dict[str, Any]) -> None:
        """Send a message to a client by its id, or to every client if ``to`` is None."""
        if "prompt_id" in data:
            data = {**self._metadata, **data}
        self._send(to, event, kind, lambda: encode_message(kind, data))

    def _send(self, to: Any, event: Event, kind: str, make: Callable[[], str | bytes]) -> None:
        # The message is made once for all recipients, and not at all if there are none.
        if not self.outbox.hub.recipients(to):
            return
        prompt_id, node = getattr(event, "prompt_id", None), getattr(event, "node", "")
        taken = self.taken if self.taken is not None and self.taken.prompt_id == prompt_id else None
        is_result = kind.startswith("binary-") and isinstance(event, PictureSent) and event.is_result
        message = OutgoingMessage(
            event.at_ms, kind, make(), prompt_id, taken=taken, node=node, is_result=is_result
        )
        self.outbox.send(to, message)


def _state(prompt_id: str, node: str, parent: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the ``progress_state`` entry of a node that was just begun.

    :param parent: the entry of the node that it is an expansion of.
    """
    return {
        "value": 0.0,
        "max": 1.0,
        "state": "running",
        "node_id": node,
        "prompt_id": prompt_id,
        "display_node_id": parent["display_node_id"] if parent else node,
        "parent_node_id": parent["node_id"] if parent else None,
        "real_node_id": parent["real_node_id"] if parent else node,
    }
