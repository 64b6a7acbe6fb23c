"""Answers and messages become the part of them that is compared."""

import json
import struct
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyfarm.conformance.asking import RawReply
from comfyfarm.conformance.described import describe_bytes, describe_message, describe_reply, shape
from comfyfarm.conformance.without_files import without_files

JSON = {"content-type": "application/json"}


def picture(kind: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", (6, 4)).save(file, kind, **options)
    return file.getvalue()


def test_an_answer_is_its_status_its_headers_and_its_json() -> None:
    """Headers that say nothing about ComfyUI are left out."""
    reply = RawReply(200, {**JSON, "allow": "GET", "date": "now"}, b'{"a": 1}')
    headers = {"Allow": "GET", "Content-Type": "application/json"}
    assert describe_reply("GET /x", reply) == {"ask": "GET /x", "status": 200, "headers": headers, "json": {"a": 1}}


def test_a_view_gives_the_part_that_counts() -> None:
    """Where it cannot, the whole is kept, and that it is not as expected."""
    reply = RawReply(200, JSON, b'{"a": [1, 2]}')
    assert describe_reply("GET /x", reply, view=lambda said: len(said["a"]))["json"] == 2
    odd = describe_reply("GET /x", reply, view=lambda said: said["b"])
    assert (odd["json"], odd["unlike ComfyUI"]) == ({"a": [1, 2]}, "KeyError: 'b'")


def test_json_that_is_none_is_a_body() -> None:
    """The content type does not decide."""
    assert describe_reply("GET /x", RawReply(200, JSON, b"{"))["body"] == "{"


def test_pictures_are_known_by_their_kind() -> None:
    """A PNG also by its size, its colours and its texts; never by its length."""
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


def test_other_bodies_are_texts_as_long_as_they_are_short() -> None:
    """Of a long one it is only known that there is something."""
    assert [describe_bytes(body) for body in (b"", b"no", b"x" * 401)] == ["", "no", {"kind": "other"}]


def test_a_status_is_its_number() -> None:
    """Unless it says more."""
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
def test_a_node_is_short_where_its_ids_say_nothing_new(node: Any, short: Any) -> None:
    """And whole where anything about it is unusual; 1 and 1.0 stay apart."""
    told = describe_message({"type": "progress_state", "data": {"prompt_id": "p", "nodes": {"1": node}}})
    assert told == {"progress_state": {"prompt_id": "p", "nodes": {"1": short}}}


def test_other_messages_are_named_by_their_type() -> None:
    """What has not the form of a message is kept as it is."""
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
    """Of a list the first item's, down to a depth."""
    value = {"b": [1, "x"], "a": {"c": {"d": 1}}, "e": []}
    assert shape(value) == {"a": {"c": {"d": "int"}}, "b": ["int"], "e": []}
    assert shape(value, 1) == {"a": "dict", "b": "list", "e": "list"}


def test_without_files_a_transcript_has_no_names_and_counts_of_files() -> None:
    """Links between nodes, which bear the same key, are kept; what came of fetching a file is left out."""
    steps: list[dict[str, Any]] = [
        {"ask": "GET /view?filename=x", "status": 200},
        {"ask": "GET /history", "json": {"outputs": {"2": {"images": [{"filename": "x"}], "text": ["y"]}}}},
        {"ask": "GET /api/jobs", "json": {"inputs": {"images": ["1", 0]}, "outputs_count": 3, "preview_output": {}}},
    ]
    assert without_files(steps) == [
        {"ask": "GET /view"},
        {"ask": "GET /history", "json": {"outputs": {"2": {"images": "<files>", "text": ["y"]}}}},
        {"ask": "GET /api/jobs", "json": {"inputs": {"images": ["1", 0]}}},
    ]
