"""What events become at websockets, and what is made of it if nobody listens."""

import json
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

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
    Started,
    Submitted,
    Succeeded,
    Taken,
    TextSent,
)
from comfyfarm.events.nodes import Preview
from comfyfarm.server.websocket.message import OutgoingMessage
from comfyfarm.server.websocket.notifier import WebSocketNotifier

PROMPT = 'prömpt "1"'
METADATA = {"workflow_id": "w€", "node": "mine"}


class Recorder:
    """In place of hub and outbox: counts how often it is asked for sockets, and records the messages."""

    def __init__(self, *clients: str, flags: dict[str, Any] | None = None) -> None:
        self.sockets = {name: SimpleNamespace(client_id=name, flags=flags or {}) for name in clients}
        self.look_ups = 0
        self.messages: list[OutgoingMessage] = []

    def recipients(self, to: object) -> Collection[Any]:
        self.look_ups += 1
        if to is None:
            return tuple(self.sockets.values())
        return (self.sockets[to],) if isinstance(to, str) and to in self.sockets else ()

    def send(self, sockets: Collection[Any], message: OutgoingMessage) -> None:
        assert sockets
        self.messages.append(message)


class Renderer:
    """Renders every picture as the same bytes, and counts them."""

    count = 0

    def preview_jpeg(self, _width: int, _height: int) -> bytes:
        self.count += 1
        return b"jpeg"


def events(client_id: str | None = "me", metadata: dict[str, Any] | None = None) -> list[Event]:
    """A job with all kinds of messages."""
    preview = Preview(512, 512, "image/jpeg")
    taken = Taken(
        at_ms=1,
        prompt_id=PROMPT,
        job="j",
        ordinal=1,
        client_id=client_id,
        workflow_metadata=metadata,
        queue_remaining=1,
    )
    return [
        Submitted(at_ms=0, number=0, job="j", outputs=("9",), queue_remaining=1, prompt_id=PROMPT),
        taken,
        Started(at_ms=1, prompt_id=PROMPT),
        Cached(at_ms=1, nodes=("ä", "2"), prompt_id=PROMPT),
        NodeStarted(at_ms=2, node="ä", class_type="K", prompt_id=PROMPT),
        NodeStarted(at_ms=2, node="ä.1", class_type="K", parent="ä", prompt_id=PROMPT),
        Progressed(at_ms=3, node="ä.1", value=1, max=20, prompt_id=PROMPT),
        PictureSent(at_ms=4, node="ä.1", value=2, max=20, preview=preview, prompt_id=PROMPT),
        NodeFinished(at_ms=5, node="ä.1", shown_as="ä.1", output={"text": ["€", 1.5, None]}, prompt_id=PROMPT),
        NodeFinished(at_ms=5, node="ä", shown_as="ä", cached=True, prompt_id=PROMPT),
        Failed(at_ms=6, node="ä", error={"exception_message": "ö\n", "executed": []}, prompt_id=PROMPT),
        Interrupted(at_ms=6, node="ä", class_type="K", executed=("1",), prompt_id=PROMPT),
        Succeeded(at_ms=7, prompt_id=PROMPT),
        Finished(at_ms=8, status="success", queue_remaining=0, prompt_id=PROMPT),
    ]


def heard(recorder: Recorder, stream: list[Event]) -> list[str | bytes]:
    renderer: Any = Renderer()
    listening: Any = recorder
    notifier = WebSocketNotifier(listening, listening, renderer, 1000)
    for event in stream:
        notifier.on_event(event)
    return [message.content for message in recorder.messages]


@pytest.mark.parametrize("metadata", [None, {}, METADATA])
def test_every_message_is_byte_for_byte_json_dumps(metadata: dict[str, Any] | None) -> None:
    texts = [text for text in heard(Recorder("me"), events(metadata=metadata)) if isinstance(text, str)]
    assert {json.loads(text)["type"] for text in texts} == {
        "status",
        "execution_start",
        "execution_cached",
        "progress_state",
        "executing",
        "progress",
        "executed",
        "execution_error",
        "execution_interrupted",
        "execution_success",
    }
    assert texts == [json.dumps(json.loads(text)) for text in texts]
    about = [json.loads(text)["data"] for text in texts if "prompt_id" in json.loads(text)["data"]]
    assert {data["prompt_id"] for data in about} == {PROMPT}
    assert {data.get("workflow_id") for data in about} == {(metadata or {}).get("workflow_id")}


def test_metadata_stands_first_and_a_message_keeps_its_own_values() -> None:
    texts = [text for text in heard(Recorder("me"), events(metadata=METADATA)) if isinstance(text, str)]
    (first,) = [json.loads(text)["data"] for text in texts if '"type": "executed"' in text]
    assert list(first) == ["workflow_id", "node", "display_node", "output", "prompt_id"]
    assert first["node"] == "ä.1"


def test_a_preview_with_metadata_has_it_as_json_dumps_writes_it() -> None:
    recorder = Recorder("me", flags={"supports_preview_metadata": True})
    (picture,) = [found for found in heard(recorder, events(metadata=METADATA)) if isinstance(found, bytes)]
    length = int.from_bytes(picture[4:8], "big")
    text = picture[8 : 8 + length].decode()
    assert text == json.dumps(json.loads(text))
    assert list(json.loads(text)) == [
        *METADATA,
        "node_id",
        "prompt_id",
        "display_node_id",
        "parent_node_id",
        "real_node_id",
        "image_type",
    ]
    assert picture[8 + length :] == b"jpeg"


def test_recipients_are_looked_up_once_for_a_message() -> None:
    recorder = Recorder("me")
    heard(recorder, [*events(), TextSent(at_ms=9, prompt_id=PROMPT, node="1", text="t")])
    asked_for_flags = 1
    assert recorder.look_ups == len(recorder.messages) + asked_for_flags


def test_nothing_is_made_if_nobody_listens() -> None:
    renderer: Any = Renderer()
    nobody: Any = Recorder()
    notifier = WebSocketNotifier(nobody, nobody, renderer, 1000)
    for event in events():
        notifier.on_event(event)
    assert (nobody.messages, renderer.count) == ([], 0)
