"""What an instance can do depends on the version that it is said to be."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from twisted.logger import capturedLogs

from comfyfarm.server.version import advice, version_of
from comfyfarm.sim.jobs_api import OutputRules
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def farm_of(memory_farm: Start, version: str) -> MemoryFarm:
    return memory_farm({"instance": [{"name": "gpu", "mode": "dynamic", "comfyui_version": version}]})


def submit(gpu: MemoryInstance) -> str:
    prompt_id: str = gpu.ask("POST", "/prompt", json={"prompt": text_to_image()}).json()["prompt_id"]
    return prompt_id


def upload(gpu: MemoryInstance, name: str, content: bytes) -> None:
    part = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert gpu.ask("POST", "/upload/image", data=part + content + b"\r\n--b--\r\n", headers=headers).status == 200


def picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.25.0", "0.25.0"),
        ("0.3.75", "0.25.0"),
        ("0.26.1", "0.25.0"),
        ("0.27.0", "0.27.0"),
        ("v0.27.4-dirty", "0.27.0"),
        ("0.28", "0.28.0"),
        ("1.0.0", "0.28.0"),
        ("nightly", "0.25.0"),
    ],
)
def test_a_version_behaves_like_the_newest_known_that_is_not_newer(text: str, number: str) -> None:
    """A server cannot do what came after it."""
    assert version_of(text).number == number


def test_only_unknown_versions_are_remarked_on() -> None:
    """With what they behave like."""
    assert advice("0.27.0") is None
    assert "behaves like 0.25.0" in (advice("0.26.1") or "")


@pytest.mark.parametrize(("version", "count"), [("0.28.0", 0), ("0.29.1", 1)])
def test_an_unknown_version_is_remarked_on_at_the_start(memory_farm: Start, version: str, count: int) -> None:
    """Once, for whoever runs the farm."""
    with capturedLogs() as events:
        farm_of(memory_farm, version)
    remarks = [event["text"] for event in events if "is not known" in str(event.get("text"))]
    assert len(remarks) == count


def test_a_version_is_reported_as_it_was_given(memory_farm: Start) -> None:
    """Known or not."""
    stats = farm_of(memory_farm, "0.26.1")["gpu"].ask("GET", "/system_stats").json()
    assert stats["system"]["comfyui_version"] == "0.26.1"


def test_an_older_server_cancels_nothing(memory_farm: Start) -> None:
    """The routes are not there, by no method."""
    gpu = farm_of(memory_farm, "0.25.0")["gpu"]
    for method in ("POST", "PUT", "DELETE"):
        for path in ("/api/jobs/cancel", f"/api/jobs/{UNKNOWN}/cancel"):
            reply = gpu.ask(method, path, json={})
            assert (reply.status, reply.headers["allow"]) == (405, "GET,HEAD")
    assert gpu.ask("GET", f"/api/jobs/{UNKNOWN}/cancel").headers["content-type"] == "application/octet-stream"


def test_a_job_is_cancelled_wherever_it_is(memory_farm: Start) -> None:
    """Running: interrupted; waiting: taken out; over or unknown: no."""
    farm = farm_of(memory_farm, "0.27.0")
    gpu = farm["gpu"]
    running, waiting = submit(gpu), submit(gpu)
    farm.advance(0.01)

    def cancel(prompt_id: str) -> Any:
        reply = gpu.ask("POST", f"/api/jobs/{prompt_id}/cancel")
        assert reply.status == 200
        return reply.json()

    assert [cancel(each) for each in (waiting, waiting)] == [{"cancelled": True}, {"cancelled": False}]
    assert cancel(running) == {"cancelled": True}
    farm.advance(10)
    assert cancel(running) == {"cancelled": False}
    assert gpu.ask("GET", f"/api/jobs/{running}").json()["status"] == "cancelled"
    assert gpu.ask("GET", f"/api/jobs/{waiting}").status == 404


def test_many_jobs_are_cancelled_at_once(memory_farm: Start) -> None:
    """All of them, and the answer says whether any was to be had."""
    farm = farm_of(memory_farm, "0.28.0")
    gpu = farm["gpu"]
    ids = [submit(gpu) for _ in range(3)]
    farm.advance(0.01)
    assert gpu.ask("POST", "/api/api/jobs/cancel", json={"job_ids": [UNKNOWN, *ids]}).json() == {"cancelled": True}
    assert gpu.ask("POST", "/api/jobs/cancel", json={"job_ids": [UNKNOWN]}).json() == {"cancelled": False}
    farm.advance(10)
    assert [each["status"] for each in gpu.ask("GET", "/api/jobs").json()["jobs"]] == ["cancelled"]


def test_what_names_no_jobs_is_refused(memory_farm: Start) -> None:
    """Whole, before anything is cancelled."""
    gpu = farm_of(memory_farm, "0.27.0")["gpu"]
    bodies: list[Any] = [{}, {"job_ids": "x"}, []]
    replies = [gpu.ask("POST", "/api/jobs/cancel", json=body) for body in bodies]
    replies.append(gpu.ask("POST", "/api/jobs/cancel", data=b"{"))
    errors = ["job_ids must be a list"] * 3 + ["Request body must be valid JSON"]
    assert [(each.status, each.json()) for each in replies] == [(400, {"error": error}) for error in errors]
    some = [UNKNOWN, UNKNOWN.upper().replace("0", "A"), 5, ""]
    reply = gpu.ask("POST", "/api/jobs/cancel", json={"job_ids": some})
    assert reply.json() == {"error": "job_ids contains invalid id(s)", "invalid_ids": some[1:]}
    assert gpu.ask("PUT", "/api/jobs/cancel").headers["allow"] == "GET,HEAD,POST"


@pytest.mark.parametrize(("version", "tags"), [("0.27.0", None), ("0.28.0", True)])
def test_the_flag_for_model_tags_came_late(memory_farm: Start, version: str, tags: object) -> None:
    """At ``/features`` and over the websocket."""
    farm = farm_of(memory_farm, version)
    assert farm["gpu"].ask("GET", "/features").json().get("supports_model_type_tags") is tags
    listener = farm["gpu"].listen("me")
    listener.say({"type": "feature_flags", "data": {}})
    farm.advance(0)
    assert listener.heard[-1]["data"].get("supports_model_type_tags") is tags


@pytest.mark.parametrize("name", ["a.svg", "a.xml", "a.html", "a.js"])
def test_newer_servers_let_no_browser_run_an_upload(memory_farm: Start, name: str) -> None:
    """It is kept, not shown."""
    gpu = farm_of(memory_farm, "0.28.0")["gpu"]
    upload(gpu, name, b"x")
    headers = gpu.ask("GET", f"/view?filename={name}&type=input").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == f'attachment; filename="{name}"'
    assert headers["x-content-type-options"] == "nosniff"


def test_newer_servers_show_pictures_as_before(memory_farm: Start) -> None:
    """With a name that cannot end its quotes."""
    gpu = farm_of(memory_farm, "0.28.0")["gpu"]
    upload(gpu, 'a\\"b.png', picture())
    plain, preview = (
        gpu.ask("GET", f"/view?filename=a%22b.png&type=input{more}").headers for more in ("", "&preview=jpeg")
    )
    assert plain["content-type"] == "image/png"
    assert plain["x-content-type-options"] == "nosniff"
    assert plain["content-disposition"] == preview["content-disposition"] == 'filename="a\\"b.png"'
    assert "x-content-type-options" not in preview


def test_older_servers_show_an_svg(memory_farm: Start) -> None:
    """Which is what was wrong with them."""
    gpu = farm_of(memory_farm, "0.25.0")["gpu"]
    upload(gpu, "a.svg", b"x")
    headers = gpu.ask("GET", "/view?filename=a.svg&type=input").headers
    assert headers["content-type"] == "image/svg+xml"
    assert "x-content-type-options" not in headers


def test_newer_servers_hand_a_users_file_out_to_be_kept(memory_farm: Start) -> None:
    """Always."""
    gpu = farm_of(memory_farm, "0.28.0")["gpu"]
    gpu.ask("POST", "/userdata/a.json", data=b"{}")
    headers = gpu.ask("GET", "/userdata/a.json").headers
    assert headers["content-disposition"] == 'attachment; filename="a.json"'
    assert headers["x-content-type-options"] == "nosniff"


def test_texts_stopped_counting_as_outputs() -> None:
    """They are still shown; and a document can stand for a job since."""
    document = {"filename": "a.MD", "type": "output"}
    outputs = {"1": {"text": ["hello"], "files": [document], "animated": [True]}}
    old, new = OutputRules(), OutputRules(counts_texts=False, previews_documents=True)
    assert (old.count(outputs), new.count(outputs)) == (2, 1)
    assert old.preview(outputs) == {"content": "hello", "nodeId": "1", "mediaType": "text"}
    assert new.preview(outputs) == {**document, "nodeId": "1", "mediaType": "files"}
