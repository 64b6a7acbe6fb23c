"""Replies and messages are reduced to what is compared."""

import json
import struct
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyfarm.conformance.describe import describe_bytes, describe_message, describe_reply, shape
from comfyfarm.conformance.http_client import RawReply

JSON = {"content-type": "application/json"}


def picture(kind: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", (6, 4)).save(file, kind, **options)
    return file.getvalue()


def test_a_reply_is_reduced_to_its_status_its_headers_and_its_json() -> None:
    """Headers that do not depend on ComfyUI are left out."""
    reply = RawReply(200, {**JSON, "allow": "GET", "date": "now"}, b'{"a": 1}')
    headers = {"Allow": "GET", "Content-Type": "application/json"}
    assert describe_reply("GET /x", reply) == {"ask": "GET /x", "status": 200, "headers": headers, "json": {"a": 1}}


def test_a_view_selects_the_part_that_is_compared() -> None:
    """If the view fails, the whole JSON is kept together with the error."""
    reply = RawReply(200, JSON, b'{"a": [1, 2]}')
    assert describe_reply("GET /x", reply, view=lambda value: len(value["a"]))["json"] == 2
    odd = describe_reply("GET /x", reply, view=lambda value: value["b"])
    assert (odd["json"], odd["unlike ComfyUI"]) == ({"a": [1, 2]}, "KeyError: 'b'")


def test_a_body_that_is_not_json_is_kept_as_text() -> None:
    """Even if its content type is JSON."""
    assert describe_reply("GET /x", RawReply(200, JSON, b"{"))["body"] == "{"


def test_pictures_are_known_by_their_kind() -> None:
    """A PNG also by its size, its colours and its texts, but not by its length."""
    info = PngInfo()
    info.add_text("prompt", "{}")
    assert describe_bytes(picture("PNG", pnginfo=info)) == {
        "kind": "png",
        "width": 6,
        "height": 4,
        "depth": 8,
        "colour_type": 2,
        "texts": ["prompt"],
    }
    assert describe_bytes(picture("JPEG")) == {"kind": "jpeg"}
    assert describe_bytes(picture("WEBP")) == {"kind": "webp"}


def test_other_short_bodies_are_kept_as_text() -> None:
    """A long one is only marked as other."""
    assert [describe_bytes(body) for body in (b"", b"no", b"x" * 401)] == ["", "no", {"kind": "other"}]


def test_a_status_is_reduced_to_its_number() -> None:
    """Unless it has more data."""
    status = {"exec_info": {"queue_remaining": 2}}
    assert describe_message({"type": "status", "data": {"status": status}}) == {"status": 2}
    assert describe_message({"type": "status", "data": {"status": status, "sid": "me"}}) == {
        "status": {"status": status, "sid": "me"}
    }


def state(node: str, **changed: Any) -> dict[str, Any]:
    ids = {"node_id": node, "display_node_id": node, "real_node_id": node, "parent_node_id": None, "prompt_id": "p"}
    return {"value": 1, "max": 1.0, "state": "running", **ids, **changed}


@pytest.mark.parametrize(
    ("node", "short"),
    [
        (state("1"), "running 1/1.0"),
        (state("1", real_node_id="2"), state("1", real_node_id="2")),
        (state("1", prompt_id="q"), state("1", prompt_id="q")),
        (state("1", more=0), state("1", more=0)),
        ("odd", "odd"),
    ],
)
def test_a_node_is_shortened_if_its_ids_follow_from_its_key(node: Any, short: Any) -> None:
    """Anything unusual is kept whole; 1 and 1.0 stay different."""
    step = describe_message({"type": "progress_state", "data": {"prompt_id": "p", "nodes": {"1": node}}})
    assert step == {"progress_state": {"prompt_id": "p", "nodes": {"1": short}}}


def test_other_messages_are_named_by_their_type() -> None:
    """An object that is not a message is kept as it is."""
    assert describe_message({"type": "executing", "data": {"node": None}}) == {"executing": {"node": None}}
    assert describe_message({"type": "executing"}) == {"unlike ComfyUI": {"type": "executing"}}


def test_binary_frames_are_taken_apart() -> None:
    """Events 1, 3 and 4, and any other."""
    facts = json.dumps({"node_id": "3"}).encode()
    frames = {
        struct.pack(">II", 1, 2) + picture("JPEG"): {"binary 1": {"format": 2, "picture": {"kind": "jpeg"}}},
        struct.pack(">II", 3, 1) + b"7some text": {"binary 3": {"node": "7", "text": "some text"}},
        struct.pack(">II", 4, len(facts)) + facts + picture("JPEG"): {
            "binary 4": {"metadata": {"node_id": "3"}, "picture": {"kind": "jpeg"}}
        },
        struct.pack(">I", 9) + b"x": {"binary 9": {"picture": "x"}},
    }
    assert {frame: describe_message(frame) for frame in frames} == frames


def test_a_shape_is_keys_and_types() -> None:
    """A list is reduced to its first item; below a depth only types are kept."""
    value = {"b": [1, "x"], "a": {"c": {"d": 1}}, "e": []}
    assert shape(value) == {"a": {"c": {"d": "int"}}, "b": ["int"], "e": []}
    assert shape(value, 1) == {"a": "dict", "b": "list", "e": "list"}
