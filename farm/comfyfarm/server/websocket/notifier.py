"""Translates events into ComfyUI's websocket messages (docs/fidelity.md, "Websocket"), and sends them."""

import struct
from collections.abc import Collection
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
from comfyfarm.json_text import encode_text
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.job_messages import (
    Fields,
    JobProgress,
    encode_fields,
    fields_of,
    joined,
    quoted,
)
from comfyfarm.server.websocket.message import OutgoingMessage
from comfyfarm.server.websocket.outbox import Outbox
from comfyfarm.sim.values import Picture
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_EVERYBODY = None
_NOBODY = ""    # no client has an empty id
_PREVIEW_IMAGE, _TEXT, _PREVIEW_WITH_METADATA = 1, 3, 4
_FORMATS = {"image/jpeg": 1, "image/png": 2}
_MIN_MS, _MIN_SHARE = 100, 0.005    # between two progress messages


@dataclass(eq=False)
class WebSocketNotifier(EventHandler):
    """Handles one instance's events and sends its clients the messages that ComfyUI would send.

    It keeps what the messages repeat (the client of the running job, the progress of each node), so that the events
    need not repeat it.  A message that nobody is sent is not made.

    :ivar unix_ms: the wall-clock time of simulated time 0.
    :ivar taken: the event of the job that was taken last.
    """

    hub: Hub
    outbox: Outbox
    renderer: ImageRenderer
    unix_ms: int
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    taken: Taken | None = None
    _client: Any = None
    _client_alone: Any = _NOBODY    # the addressee of what is for the client of the job only, if it has one
    _metadata: Fields = field(default_factory=dict)     # what newer versions add to each message about the job
    _progress: JobProgress = field(default_factory=lambda: JobProgress(""))
    _reported: dict[str, tuple[int, int]] = field(default_factory=dict)     # by node: when, and which value

    @on(Submitted, QueueCleared)
    def _on_queue_change(self, event: Submitted | QueueCleared) -> None:
        self._send_status(event.at_ms, event.queue_remaining)

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        self.taken, self._client, self._reported = event, event.client_id, {}
        self._client_alone = _NOBODY if event.client_id is None else event.client_id
        self._metadata, self._progress = fields_of(event.workflow_metadata or {}), JobProgress(event.prompt_id)
        self._send_status(event.at_ms, event.queue_remaining)

    @on(QueueDeleted)
    def _on_queue_deleted(self, event: QueueDeleted) -> None:
        for _ in range(2 if event.last else 1):
            self._send_status(event.at_ms, event.queue_remaining)

    @on(Started, Succeeded)
    def _on_start_or_success(self, event: Started | Succeeded) -> None:
        if sockets := self.hub.recipients(self._client_alone):
            kind = "execution_start" if isinstance(event, Started) else "execution_success"
            self._send_fields(sockets, event, kind, self._stamped(event, {}))

    @on(Cached)
    def _on_cached(self, event: Cached) -> None:
        if sockets := self.hub.recipients(self._client_alone):
            self._send_fields(sockets, event, "execution_cached", self._stamped(event, _cached(event)))

    @on(NodeStarted)
    def _on_node_started(self, event: NodeStarted) -> None:
        entry = self._progress.begin(event.node, event.parent)
        self._send_progress_state(event)
        if sockets := self.hub.recipients(self._client_alone):
            self._send_fields(sockets, event, "executing", _executing(event, entry.display_node))

    @on(Progressed)
    def _on_progressed(self, event: Progressed) -> None:
        self._progress.step(event.node, event.value, event.max)
        if self._is_due(event):
            self._reported[event.node] = event.at_ms, event.value
            self._send_progress_state(event)
            self._send_progress(event)

    @on(PictureSent)
    def _on_picture_sent(self, event: PictureSent) -> None:
        # An update with a picture is always sent.
        self._progress.step(event.node, event.value, event.max)
        self._reported[event.node] = event.at_ms, event.value
        self._send_progress_state(event)
        if self._wants_metadata():
            self._send(self.hub.recipients(self._client), event, "binary-4", self._with_metadata(event))
            self._send_progress(event)
            return
        self._send_progress(event)
        if sockets := self.hub.recipients(self._client):
            head = struct.pack(">II", _PREVIEW_IMAGE, _FORMATS[event.preview.image_type])
            self._send(sockets, event, "binary-1", head + self._pixels(event))

    @on(TextSent)
    def _on_text_sent(self, event: TextSent) -> None:
        if sockets := self.hub.recipients(_EVERYBODY):
            node = event.node.encode()
            payload = struct.pack(">II", _TEXT, len(node)) + node + event.text.encode()
            self._send(sockets, event, "binary-3", payload)

    @on(NodeFinished)
    def _on_node_finished(self, event: NodeFinished) -> None:
        entry = self._progress.nodes.get(event.node) or self._progress.begin(event.node)
        if event.output is not None and (sockets := self.hub.recipients(self._client_alone)):
            display_node = entry.display_node if event.shown_as == event.node else event.shown_as
            self._send_fields(sockets, event, "executed", _executed(event, display_node, event.output))
        if event.cached:
            entry.max = 1   # an int, whereas a node that runs begins with 1.0
        entry.value, entry.state = entry.max, "finished"
        self._progress.changed(entry)
        self._send_progress_state(event)

    @on(Failed)
    def _on_failed(self, event: Failed) -> None:
        if sockets := self.hub.recipients(self._client_alone):
            fields = fields_of({"prompt_id": event.prompt_id, **event.error})
            self._send_fields(sockets, event, "execution_error", {**fields, **self._timestamp(event)})

    @on(Interrupted)
    def _on_interrupted(self, event: Interrupted) -> None:
        if sockets := self.hub.recipients(self._client):
            data = {
                "prompt_id": event.prompt_id,
                "node_id": event.node,
                "node_type": event.class_type,
                "executed": list(event.executed),
                "timestamp": self.unix_ms + event.at_ms,
            }
            self._send_fields(sockets, event, "execution_interrupted", fields_of(data))

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        self._send_status(event.at_ms, event.queue_remaining)
        if sockets := self.hub.recipients(self._client_alone):
            self._send_fields(sockets, event, "executing", {'"node"': "null", '"prompt_id"': quoted(event.prompt_id)})

    # Messages that several events send.  Without a client of the job, most go to everybody (``_client`` is None).

    def _send_status(self, at_ms: int, queue_remaining: int) -> None:
        if sockets := self.hub.recipients(_EVERYBODY):
            fields = {'"status"': f'{{"exec_info": {{"queue_remaining": {queue_remaining}}}}}'}
            content = encode_fields("status", fields)
            self.outbox.send(sockets, OutgoingMessage(at_ms, "status", content, queue_remaining=queue_remaining))

    def _send_progress_state(self, event: Event) -> None:
        """Send the progress of every node that was begun."""
        if self.behaviour.has_progress_state and (sockets := self.hub.recipients(self._client)):
            self._send_fields(sockets, event, "progress_state", self._progress.fields)

    def _send_progress(self, event: Progressed | PictureSent) -> None:
        if sockets := self.hub.recipients(self._client):
            self._send_fields(sockets, event, "progress", _progressed(event))

    def _with_metadata(self, event: PictureSent) -> bytes:
        ids, image_type = self._progress.nodes[event.node].ids, event.preview.image_type
        fields = {**self._metadata, **ids, '"image_type"': quoted(image_type)}
        metadata = f"{{{joined(fields)}}}".encode()
        return struct.pack(">II", _PREVIEW_WITH_METADATA, len(metadata)) + metadata + self._pixels(event)

    def _pixels(self, event: PictureSent) -> bytes:
        preview = event.preview
        if preview.image_type == "image/jpeg":
            return self.renderer.preview_jpeg(preview.width, preview.height)
        return self.renderer.preview_png(Picture(preview.width, preview.height, colour=preview.colour))

    def _wants_metadata(self) -> bool:
        """True if the job's client announced that it takes previews with metadata; False if the job has no client."""
        sockets = self.hub.recipients(self._client) if self._client is not None else ()
        return any(socket.flags.get("supports_preview_metadata") is True for socket in sockets)

    def _is_due(self, event: Progressed) -> bool:
        """True if this step is sent: the first, the last, or one far enough from the last one sent."""
        if event.node not in self._reported or event.value == event.max:
            return True
        at_ms, value = self._reported[event.node]
        return event.at_ms - at_ms >= _MIN_MS and event.value - value >= event.max * _MIN_SHARE

    def _stamped(self, event: Started | Succeeded | Cached, fields: Fields) -> Fields:
        return {**fields, '"prompt_id"': quoted(event.prompt_id), **self._timestamp(event)}

    def _timestamp(self, event: Event) -> Fields:
        return {'"timestamp"': f"{self.unix_ms + event.at_ms}"}

    # Sending.

    def send_json(self, to: Any, event: Event, kind: str, data: dict[str, Any]) -> None:
        """Send a message that is about no job to a client by its id, or to every client if ``to`` is None."""
        if sockets := self.hub.recipients(to):
            self._send(sockets, event, kind, encode_fields(kind, fields_of(data)))

    def _send_fields(self, sockets: Collection[Socket], event: Event, kind: str, fields: Fields) -> None:
        """Send a message about the job."""
        data = {**self._metadata, **fields} if self._metadata else fields
        self._send(sockets, event, kind, encode_fields(kind, data))

    def _send(self, sockets: Collection[Socket], event: Event, kind: str, content: str | bytes) -> None:
        prompt_id, node = getattr(event, "prompt_id", None), getattr(event, "node", "")
        taken = self.taken if self.taken is not None and self.taken.prompt_id == prompt_id else None
        is_result = kind.startswith("binary-") and isinstance(event, PictureSent) and event.is_result
        message = OutgoingMessage(event.at_ms, kind, content, prompt_id, taken=taken, node=node, is_result=is_result)
        self.outbox.send(sockets, message)


def _cached(event: Cached) -> Fields:
    return {'"nodes"': f"[{', '.join(map(quoted, event.nodes))}]"}


def _executing(event: NodeStarted, display_node: str) -> Fields:
    names = {'"node"': quoted(event.node), '"display_node"': quoted(display_node)}
    return {**names, '"prompt_id"': quoted(event.prompt_id)}


def _executed(event: NodeFinished, display_node: str, output: dict[str, Any]) -> Fields:
    names = {'"node"': quoted(event.shown_as), '"display_node"': quoted(display_node)}
    return {**names, '"output"': encode_text(output), '"prompt_id"': quoted(event.prompt_id)}


def _progressed(event: Progressed | PictureSent) -> Fields:
    progress = {'"value"': f"{event.value}", '"max"': f"{event.max}"}
    return {**progress, '"prompt_id"': quoted(event.prompt_id), '"node"': quoted(event.node)}
