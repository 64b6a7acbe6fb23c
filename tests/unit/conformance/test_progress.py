"""The messages of a sampler are checked by rules."""

import json
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.progress import Expected, broken_rules

Messages = list[Message]


def message(kind: str, **data: Any) -> Message:
    return {"type": kind, "data": data}


def state(value: float, most: float, how: str = "running", *, others: dict[str, Any] | None = None) -> Message:
    return message("progress_state", nodes={"3": {"value": value, "max": most, "state": how}, **(others or {})})


def progress(value: int, steps: int) -> Message:
    return message("progress", value=value, max=steps, node="3")


def jpeg(width: int = 64, height: int = 32) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height)).save(file, "JPEG")
    return file.getvalue()


def job(*updates: Messages, steps: int, elapsed_ms: int = 1000) -> Messages:
    """Return what a client receives from a job that only samples."""
    return [
        message("status", status={}),
        message("execution_start", timestamp=5000),
        message("execution_cached", nodes=[]),
        state(0.0, 1.0),
        message("executing", node="3"),
        *(message for update in updates for message in update),
        state(steps, steps, "finished"),
        message("execution_success", timestamp=5000 + elapsed_ms),
        message("status", status={}),
        message("executing", node=None),
    ]


def plain(*values: int, steps: int) -> list[Messages]:
    return [[state(value, steps), progress(value, steps)] for value in values]


def old_preview(value: int, steps: int, picture: bytes) -> Messages:
    return [state(value, steps), progress(value, steps), struct.pack(">II", 1, 1) + picture]


def with_metadata(value: int, steps: int, picture: bytes) -> Messages:
    about = json.dumps({"node_id": "3"}).encode()
    frame = struct.pack(">II", 4, len(about)) + about + picture
    return [state(value, steps), frame, progress(value, steps)]


def test_the_rules_hold_for_what_comfyui_does() -> None:
    """Of forty steps of 45 ms, the first and the last are reported, and others 100 ms apart."""
    values = (1, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 29, 31, 34, 36, 39, 40)
    assert broken_rules(job(*plain(*values, steps=40), steps=40, elapsed_ms=1830), Expected("3", 40)) == []


@pytest.mark.parametrize(("make", "event"), [(old_preview, 1), (with_metadata, 4)])
def test_the_rules_hold_for_pictures(make: Callable[[int, int, bytes], Messages], event: int) -> None:
    """Each step has one, however fast it is."""
    messages = job(*(make(value, 3, jpeg()) for value in (1, 2, 3)), steps=3, elapsed_ms=9)
    assert broken_rules(messages, Expected("3", 3, previews=event, size=(64, 32))) == []


@pytest.mark.parametrize(
    ("messages", "broken"),
    [
        (job(steps=4), "no progress is told"),
        (job(*plain(2, 4, steps=4), steps=4), "values go up from 1 to 4: [2, 4]"),
        (job(*plain(1, 3, steps=4), steps=4), "values go up from 1 to 4: [1, 3]"),
        (job(*plain(1, 4, steps=8), steps=4), "max is 4: 8"),
        (job(*plain(1, 2, 3, 4, steps=4), steps=4, elapsed_ms=150), "updates are 100 ms apart: 4 in 150 ms"),
        (job([progress(1, 4)], *plain(4, steps=4), steps=4), "progress_state comes before progress 1"),
        (job([state(2, 4), progress(1, 4)], *plain(4, steps=4), steps=4), "progress_state says the same as progress 1"),
        (job(*plain(1, 4, steps=4), [struct.pack(">II", 1, 1)], steps=4), "no other binary messages: [1]"),
        (
            job([state(1, 4, others={"9": {}})], *plain(1, 4, steps=4), steps=4),
            "progress_state is cumulative: ['3', '9'] before ['3']",
        ),
    ],
)
def test_a_broken_rule_is_named(messages: Messages, broken: str) -> None:
    """The sentence has the values that break it."""
    assert broken_rules(messages, Expected("3", 4)) == [broken]


def test_a_long_run_is_reported_every_half_percent() -> None:
    """However slow its steps are."""
    messages = job(*plain(1, 2, 1000, steps=1000), steps=1000, elapsed_ms=90_000)
    assert broken_rules(messages, Expected("3", 1000)) == ["updates are 0.5 % of 1000 steps apart: [1, 2]"]


def test_pictures_are_of_one_size_and_kind_and_in_their_place() -> None:
    """In the old format after the progress, with metadata before it."""
    expected = Expected("3", 1, previews=1, size=(64, 32))
    broken = {
        "previews are (64, 32): (32, 32) at 1": old_preview(1, 1, jpeg(32, 32)),
        "previews are JPEG: at 1": old_preview(1, 1, b"\x89PNG"),
        "a picture (binary 1) goes with progress 1": [*plain(1, steps=1)[0]],
    }
    assert {rule: broken_rules(job(messages, steps=1), expected) for rule, messages in broken.items()} == {
        rule: [rule] for rule in broken
    }
    missing = [old_preview(1, 2, jpeg()), old_preview(2, 2, jpeg())[:2]]
    assert broken_rules(job(*missing, steps=2), Expected("3", 2, previews=1, size=(64, 32))) == [
        "a picture (binary 1) goes with progress 2"
    ]


def test_a_job_begins_and_ends_as_every_job() -> None:
    """Execution_start and _cached first; success, status and executing null last."""
    whole = job(*plain(1, 4, steps=4), steps=4)
    assert broken_rules(whole[:-1], Expected("3", 4)) == [
        "a job ends with execution_success, status, executing: progress_state, execution_success, status"
    ]
    assert broken_rules([*whole[:2], *whole[3:]], Expected("3", 4)) == [
        "a job begins with execution_start, execution_cached: execution_start, progress_state"
    ]
