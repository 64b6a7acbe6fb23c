"""Requests to the control server that make no sense: a clear error, nothing changed, and no error in the log."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.testing import MemoryFarm

Start = Callable[[Any], MemoryFarm]

ONE = {"instance": [{"name": "gpu-1"}]}
HUGE = "9" * 309
TOO_GREAT = "expected a number of at most 9223372036854775807, got a greater one"


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("POST", "/api/trial", b'{"jobs": %s}', f"jobs: {TOO_GREAT}"),
        ("POST", "/api/wait", b'{"running": %s}', f"running: {TOO_GREAT}"),
        ("POST", "/api/orders", b'{"orders": [{"job": "x", "at_ms": %s}]}', f"orders[0].at_ms: {TOO_GREAT}"),
        ("POST", "/api/faults", b'{"do": "reset", "at": "reply", "times": %s}', f"times: {TOO_GREAT}"),
        ("POST", "/api/faults", b'{"do": "reset", "at": {"phase": "start", "job": %s}}', f"at.job: {TOO_GREAT}"),
        ("PATCH", "/api/instances/gpu-1", b'{"history_limit": %s}', f"history_limit: {TOO_GREAT}"),
        ("GET", f"/api/journal?limit={HUGE}", b"", f"limit: {TOO_GREAT}"),
        ("GET", f"/api/verdict?since={HUGE}", b"", f"since: {TOO_GREAT}"),
        ("POST", "/api/clock", b'{"advance": "%ss"}', f"advance: expected at most 8766000h, got '{'9' * 96}..."),
        ("POST", "/api/instances/gpu-1/crash", b'{"restart_after": "%sh"}', "restart_after: expected at most 8766000h"),
        ("PATCH", "/api/instances/gpu-1", b'{"vram": "%sTB"}', "vram: expected at most 1048576TB, got '9999"),
        ("PATCH", "/api/instances/gpu-1", b'{"timing": {"step": "%sms"}}', "timing.step: expected at most 8766000h"),
    ],
)
def test_a_number_of_309_digits_is_refused_by_its_name(
    memory_farm: Start, method: str, path: str, body: bytes, error: str
) -> None:
    farm = memory_farm(ONE)
    before = farm.farm.log.seq
    reply = farm.control(method, path, data=body.replace(b"%s", HUGE.encode()))
    assert reply.status == 422
    assert reply.json()["error"].startswith(error)
    assert farm.farm.log.seq == before


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999", b'"\\ud800"', b"9" * 5000, b"\xff"])
def test_a_value_that_json_does_not_have_is_no_json(memory_farm: Start, value: bytes) -> None:
    farm = memory_farm(ONE)
    reply = farm.control("POST", "/api/trial", data=b'{"name": %b}' % value)
    assert (reply.status, reply.json()["error"][:20]) == (400, "the body is no JSON:")


@pytest.mark.parametrize("fault_id", ["a/b", "..", ".", "a\nb", "a\0", "x" * 201])
@pytest.mark.parametrize("path", ["/api/faults", "/api/gates"])
def test_an_id_that_no_path_can_have_is_refused(memory_farm: Start, path: str, fault_id: str) -> None:
    """Else it could not be removed alone."""
    farm = memory_farm(ONE)
    body = {"at": "reply", "id": fault_id} | ({"do": "reset"} if path == "/api/faults" else {})
    reply = farm.control("POST", path, json=body)
    assert reply.status == 422
    assert reply.json()["error"].startswith("id: expected a name of at most 200 printable characters without /, got ")
    assert farm.control("GET", "/api/faults").json()["faults"] == []


@pytest.mark.parametrize("path", ["/%ff", "/api/instances/%ff", "/api/gates/%ed%a0%80/release"])
def test_a_path_that_is_not_utf8_is_said_to_be_none(memory_farm: Start, path: str) -> None:
    reply = memory_farm(ONE).control("GET", path)
    assert (reply.status, reply.json()) == (400, {"error": "the path is not UTF-8"})
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/api/instances/a%2Fb", "/api/faults/a%2Fb", "/api/faults/%0a", "/api/instances/%00"])
def test_a_name_that_nothing_can_have_is_not_found(memory_farm: Start, path: str) -> None:
    assert memory_farm(ONE).control("GET", path).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/healthz", "GET, HEAD"),
        ("PUT", "/api/faults", "DELETE, GET, HEAD, POST"),
        ("GET", "/api/heal", "POST"),
    ],
)
def test_a_wrong_method_is_answered_with_those_that_there_are(
    memory_farm: Start, method: str, path: str, allowed: str
) -> None:
    reply = memory_farm(ONE).control(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)


def test_copies_of_several_faults_do_not_multiply_without_end(memory_farm: Start) -> None:
    farm = memory_farm(ONE)
    fault = {"do": "duplicate", "at": {"phase": "frame", "type": "status"}, "copies": 1000}
    farm.control("POST", "/api/faults", json={"faults": [fault] * 4})
    assert len(farm["gpu-1"].listen("me").heard) == 1001


def test_a_body_that_drips_without_a_gap_is_one_piece(memory_farm: Start) -> None:
    """Two million pieces of a byte, which nobody could tell from one, would take long to write."""
    farm = memory_farm(ONE)
    whole = farm["gpu-1"].ask("GET", "/object_info").body
    with farm.fault(do="drip", at="reply", piece="1B", gap="0ms"):
        exchange = farm.wire.begin(farm["gpu-1"].backend.site, "GET", "/object_info")
        assert exchange.transport.value().endswith(whole)
        assert exchange.end().body == whole


@pytest.mark.parametrize("name", ["pipe.png", "zero.png", "dir.png"])
def test_a_file_in_input_that_is_none_is_neither_read_nor_waited_for(memory_farm: Start, name: str) -> None:
    """A pipe, a device and a folder."""
    gpu = memory_farm(ONE)["gpu-1"]
    folder = gpu.backend.disk.input_dir
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "dir.png").mkdir()
    assert gpu.ask("GET", f"/view?filename={name}&type=input").status == 404
    assert gpu.ask("GET", f"/view?filename={name}&type=input&preview=webp").status == 404
    picture = {"class_type": "LoadImage", "inputs": {"image": name}}
    prompt = {"1": picture, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    assert gpu.ask("POST", "/prompt", json={"prompt": prompt}).status == (200 if name == "dir.png" else 400)
    gpu.farm.run_until_idle()
    statuses = [entry["status"]["status_str"] for entry in gpu.ask("GET", "/history").json().values()]
    assert statuses == (["error"] if name == "dir.png" else [])
    (folder / "pipe.png").unlink()
    (folder / "zero.png").unlink()
    (folder / "dir.png").rmdir()
