"""The effects on websocket messages."""

import json
import struct
from random import Random
from typing import Any

import pytest

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.editing import encode_message, prompt_id_in, remaining_in, type_of, with_data
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.faults.targets import DelayedMessage, Frame

EXECUTING = encode_message("executing", {"node": "3", "display_node": "3", "prompt_id": "new"})
STATUS = encode_message("status", {"status": {"exec_info": {"queue_remaining": 3}}})
DESCRIBED = json.dumps({"prompt_id": "new", "image_type": "image/png"}).encode()
PICTURE = struct.pack(">II", 4, len(DESCRIBED)) + DESCRIBED + b"\x89PNG pixels"


def fire_faults(content: str | bytes = EXECUTING, older: str | None = None, **fault: Any) -> tuple[Frame, Firing]:
    """A message after a fault has fired."""
    armed = read_fault({"at": "frame", "id": "f-1", **fault})
    firing = Firing(armed, "gpu", 5, PhaseFacts(type="executing"), Random(1))
    frame = Frame(firing.facts, content, older)
    armed.effect.on_frame(frame, firing)
    return frame, firing


def data_of(frame: Frame) -> Any:
    (parcel,) = frame.messages
    return json.loads(parcel.content)["data"]


def test_a_close_says_why() -> None:
    frame, _ = fire_faults(do="close", code=1001, reason="going away")
    assert frame.messages == [DelayedMessage(EXECUTING)]
    assert (frame.ending, frame.code, frame.reason) == ("close", 1001, "going away")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_a_code_that_no_server_may_send_is_refused(code: int) -> None:
    with pytest.raises(ConfigError, match=f"code: expected one of 1000-1003, 1007-1014, 3000-4999, got {code}"):
        read_fault({"at": "frame", "do": "close", "code": code})


def test_a_mute_socket_does_not_hear_the_message_itself() -> None:
    frame, firing = fire_faults(do="mute")
    assert (frame.messages, frame.muted_by, frame.ending) == ([], firing, "keep")


def test_a_gap_cuts_the_connection_and_goes_on() -> None:
    frame, firing = fire_faults(do="gap", duration="5s")
    assert (frame.messages, frame.ending, frame.deaf_by, frame.deaf_ms) == ([], "reset", firing, 5000)


def test_a_displaced_socket_hears_the_message_as_its_last() -> None:
    frame, _ = fire_faults(do="displace")
    assert (frame.messages, frame.is_displaced, frame.ending) == ([DelayedMessage(EXECUTING)], True, "keep")


def test_copies_say_how_many_more() -> None:
    frame, _ = fire_faults(do="duplicate", copies=2)
    assert frame.messages == [DelayedMessage(EXECUTING)] * 3


def test_a_reordered_message_waits_for_the_next() -> None:
    frame, _ = fire_faults(do="reorder")
    assert (frame.messages, frame.waits_for_next) == ([DelayedMessage(EXECUTING)], True)


def test_a_broadcast_is_for_everybody() -> None:
    frame, _ = fire_faults(do="broadcast")
    assert (frame.messages, frame.to_everybody) == ([DelayedMessage(EXECUTING)], True)


def test_a_stale_id_is_the_one_given_or_of_the_job_before_or_made_up() -> None:
    """Made up: the same for the same stream of chance."""
    assert data_of(fire_faults(do="stale_id", prompt_id="given", older="old")[0])["prompt_id"] == "given"
    assert data_of(fire_faults(do="stale_id", older="old")[0]) == {"node": "3", "display_node": "3", "prompt_id": "old"}
    made_up = [data_of(fire_faults(do="stale_id")[0])["prompt_id"] for _ in range(2)]
    assert made_up[0] == made_up[1] != "new"
    assert len(made_up[0]) == 36


def test_a_stale_id_stands_in_all_places_and_nowhere_else() -> None:
    """At each node of ``progress_state``, in a picture's metadata; in no message that has no id."""
    nodes = {"3": {"value": 0.0, "prompt_id": "new"}, "4": {"value": 1.0, "prompt_id": "new"}}
    frame, _ = fire_faults(
        encode_message("progress_state", {"prompt_id": "new", "nodes": nodes}), do="stale_id", older="old"
    )
    changed = {"3": {"value": 0.0, "prompt_id": "old"}, "4": {"value": 1.0, "prompt_id": "old"}}
    assert data_of(frame) == {"prompt_id": "old", "nodes": changed}
    (picture,) = fire_faults(PICTURE, do="stale_id", older="old")[0].messages
    assert prompt_id_in(picture.content) == "old"
    assert isinstance(picture.content, bytes)
    assert picture.content.endswith(b"}\x89PNG pixels")
    for content in (STATUS, b"\0\0\0\1\0\0\0\1pixels"):
        assert fire_faults(content, do="stale_id", older="old")[0].messages == [DelayedMessage(content)]


def test_a_key_is_left_out() -> None:
    assert data_of(fire_faults(do="strip")[0]) == {"node": "3", "display_node": "3"}
    assert data_of(fire_faults(do="strip", key="node")[0]) == {"display_node": "3", "prompt_id": "new"}
    assert fire_faults(STATUS, do="strip")[0].messages == [DelayedMessage(STATUS)]


def test_an_unknown_message_comes_first() -> None:
    frame, _ = fire_faults(do="unknown", type="crystools.monitor", data={"cpu": 5})
    unknown = encode_message("crystools.monitor", {"cpu": 5})
    assert [message.content for message in frame.messages] == [unknown, EXECUTING]
    first, second = fire_faults(do="unknown", binary=99)[0].messages
    assert isinstance(first.content, bytes)
    assert (first.content[:4], len(first.content), second.content) == (b"\0\0\0\x63", 20, EXECUTING)


def test_a_delay_adds_to_another() -> None:
    frame, firing = fire_faults(do="delay", duration="2s")
    firing.fault.effect.on_frame(frame, firing)
    assert frame.messages == [DelayedMessage(EXECUTING, 4000)]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"do": "gap"}, "duration: is missing"),
        ({"do": "duplicate", "copies": 0}, "copies: expected"),
        ({"do": "unknown", "binary": -1}, "binary: expected"),
        ({"do": "mute", "duration": "5s"}, "duration: unknown key"),
    ],
)
def test_what_means_nothing_is_refused(fault: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_fault({"at": "frame", **fault})


@pytest.mark.parametrize("do", ["mute", "close", "gap", "duplicate", "reorder", "displace", "stale_id", "broadcast"])
def test_what_is_done_to_a_socket_cannot_be_done_to_an_exchange(do: str) -> None:
    more = {"duration": "1s"} if do == "gap" else {}
    with pytest.raises(ConfigError, match=f"'{do}' cannot happen at phase 'reply'"):
        read_fault({"at": "reply", "do": do, **more})


def test_a_message_says_what_it_is() -> None:
    assert [type_of(content) for content in (EXECUTING, STATUS, PICTURE)] == ["executing", "status", "binary-4"]
    contents = (EXECUTING, STATUS, PICTURE, b"\0\0\0\1x")
    assert [prompt_id_in(content) for content in contents] == ["new", None, "new", None]
    assert [remaining_in(content) for content in (EXECUTING, STATUS, PICTURE, encode_message("status", None))] == [
        None,
        3,
        None,
        None,
    ]


def test_a_message_that_is_not_changed_is_the_same_text() -> None:
    """Floats and key order too; one without data cannot be changed at all."""
    for content in (EXECUTING, STATUS, encode_message("progress", {"value": 0.0, "max": 1, "ü": None}), PICTURE):
        assert with_data(content, dict) == content
    assert with_data(encode_message("x", [1]), lambda _: {}) == encode_message("x", [1])
