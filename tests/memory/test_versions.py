"""What an instance can do depends on the version that it is said to be."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from twisted.logger import capturedLogs

from comfyfarm.sim.jobs_api import OutputRules
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.versions import behaviour_of
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


@pytest.mark.parametrize(("version", "count"), [("0.28.0", 0), ("0.29.1", 1)])
def test_a_version_that_was_not_recorded_is_remarked_on_at_the_start(
    memory_farm: Start, version: str, count: int
) -> None:
    """Once, for whoever runs the farm."""
    with capturedLogs() as events:
        farm_of(memory_farm, version)
    remarks = [event["text"] for event in events if "was not recorded" in str(event.get("text"))]
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


def test_cancelling_came_with_0_26(memory_farm: Start) -> None:
    gpu = farm_of(memory_farm, "0.26.0")["gpu"]
    assert gpu.ask("POST", f"/api/jobs/{UNKNOWN}/cancel").json() == {"cancelled": False}


@pytest.mark.parametrize(
    ("path", "since", "before"),
    [
        ("/features", "0.3.45", "0.3.44"),
        ("/global_subgraphs", "0.3.67", "0.3.66"),
        ("/api/jobs", "0.6.0", "0.5.1"),
        (f"/api/jobs/{UNKNOWN}/nothing", None, "0.6.0"),
        ("/node_replacements", "0.14.0", "0.13.0"),
        ("/api/assets", "0.17.0", "0.16.4"),
        ("/api/tasks/1", "0.39.0", "0.38.0"),
    ],
)
def test_a_route_is_there_from_its_version_on(
    memory_farm: Start, path: str, since: str | None, before: str
) -> None:
    """Before, its path is answered like any other without a route."""
    reply = farm_of(memory_farm, before)["gpu"].ask("GET", path)
    assert (reply.status, reply.headers["content-type"]) == (404, "application/octet-stream")
    if since is not None:
        reply = farm_of(memory_farm, since)["gpu"].ask("GET", path)
        assert reply.headers["content-type"] == "application/json; charset=utf-8"


def run_without_client(farm: MemoryFarm) -> dict[str, Any]:
    """Run a job whose nodes are all cached, and return its history entry."""
    prompt_ids = [submit(farm["gpu"]) for _ in range(2)]
    farm.advance(60)
    history: dict[str, Any] = farm["gpu"].ask("GET", "/history").json()
    return dict(history[prompt_ids[-1]])


@pytest.mark.parametrize(
    ("version", "is_kept"), [("0.3.67", True), ("0.3.68", False), ("0.27.0", False), ("0.28.0", True)]
)
def test_a_cached_job_without_a_client_may_have_no_outputs(memory_farm: Start, version: str, is_kept: bool) -> None:
    """From 0.3.68 to 0.27 nothing is in its history entry, and the jobs API counts nothing."""
    instance = {"name": "gpu", "mode": "dynamic", "comfyui_version": version, "cache": "ram"}
    farm = memory_farm({"instance": [instance]})
    entry = run_without_client(farm)
    assert bool(entry["outputs"]) is bool(entry["meta"]) is is_kept
    assert entry["status"]["status_str"] == "success"


def test_an_old_server_names_its_jobs_itself(memory_farm: Start) -> None:
    """Until 0.3.44; then any text is an id, and since 0.25 only a UUID."""
    answers = []
    for version in ("0.3.40", "0.24.0", "0.25.0"):
        body = {"prompt": text_to_image(), "prompt_id": "mine"}
        answers.append(farm_of(memory_farm, version)["gpu"].ask("POST", "/prompt", json=body))
    assert [reply.status for reply in answers] == [200, 200, 400]
    assert answers[0].json()["prompt_id"] != "mine"
    assert answers[1].json()["prompt_id"] == "mine"


def test_an_old_server_shows_secrets(memory_farm: Start) -> None:
    """Until 0.3.67 in the queue, until 0.3.44 in history, too."""
    seen = []
    for version in ("0.3.40", "0.3.64", "0.3.68"):
        farm = farm_of(memory_farm, version)
        body = {"prompt": text_to_image(), "extra_data": {"api_key_comfy_org": "secret"}}
        farm["gpu"].ask("POST", "/prompt", json=body)
        queue = farm["gpu"].ask("GET", "/queue").body
        farm.advance(60)
        seen.append((b"secret" in queue, b"secret" in farm["gpu"].ask("GET", "/history").body))
    assert seen == [(True, True), (True, False), (False, False)]


def test_an_old_interrupt_hits_whatever_runs(memory_farm: Start) -> None:
    """It does not read its body before 0.3.57."""
    for version, status in (("0.3.56", "error"), ("0.3.57", "success")):
        farm = farm_of(memory_farm, version)
        running = submit(farm["gpu"])
        farm.advance(0.01)
        farm["gpu"].ask("POST", "/interrupt", json={"prompt_id": UNKNOWN})
        farm.advance(60)
        assert farm["gpu"].ask("GET", "/history").json()[running]["status"]["status_str"] == status


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ([], "prompt_no_outputs"),
        ({"1": "x"}, "invalid_prompt"),
        ({"1": []}, "invalid_prompt"),
        ({"1": {"class_type": "PreviewImage", "inputs": None}}, "prompt_outputs_failed_validation"),
        ({"1": {"class_type": "PreviewImage", "inputs": []}}, "prompt_outputs_failed_validation"),
    ],
)
def test_what_is_no_node_was_refused_before_it_was_an_error(memory_farm: Start, prompt: Any, error: str) -> None:
    """Until 0.13 with a 400; since 0.14 the server fails."""
    old, new = (farm_of(memory_farm, version)["gpu"] for version in ("0.11.0", "0.14.0"))
    reply = old.ask("POST", "/prompt", json={"prompt": prompt})
    assert (reply.status, reply.json()["error"]["type"]) == (400, error)
    assert new.ask("POST", "/prompt", json={"prompt": prompt}).status == 500


def test_node_types_follow_the_version(memory_farm: Start) -> None:
    """In /object_info, and in what validation lets pass."""
    old, new = (farm_of(memory_farm, version)["gpu"] for version in ("0.3.40", "0.33.0"))
    assert old.ask("GET", "/object_info/ImageCompositor").json() == {}
    assert new.ask("GET", "/object_info/ImageCompositor").json()["ImageCompositor"]["output_node"] is True
    crop = {"class_type": "ImageCropV2", "inputs": {}}
    body = {"prompt": {"1": crop, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}}
    assert old.ask("POST", "/prompt", json=body).json()["error"]["type"] == "invalid_prompt"
    assert new.ask("POST", "/prompt", json=body).json()["error"]["type"] == "prompt_outputs_failed_validation"


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
    shown = [str(value) for value in some[1:]]
    assert reply.json() == {"error": "job_ids contains invalid id(s)", "invalid_ids": shown}
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


@pytest.mark.parametrize(
    ("version", "destination", "kind", "varies"),
    [
        ("0.28.0", "image", "application/octet-stream", False),
        ("0.30.0", None, "application/octet-stream", True),
        ("0.30.0", "document", "application/octet-stream", True),
        ("0.30.0", "image", "image/svg+xml", True),
    ],
)
def test_an_svg_is_shown_where_the_page_shows_a_picture(
    memory_farm: Start, version: str, destination: str | None, kind: str, varies: bool
) -> None:
    """Since 0.30; then no cache may mix up the two answers."""
    gpu = farm_of(memory_farm, version)["gpu"]
    upload(gpu, "a.svg", b"x")
    asked = {} if destination is None else {"Sec-Fetch-Dest": destination}
    headers = gpu.ask("GET", "/view?filename=a.svg&type=input", headers=asked).headers
    assert headers["content-type"] == kind
    assert (headers.get("vary"), headers.get("cache-control")) == (
        ("Sec-Fetch-Dest", "no-store") if varies else (None, None)
    )


@pytest.mark.parametrize(
    ("version", "name", "kind", "disposition"),
    [
        ("0.27.0", "a.css", "text/css", None),
        ("0.28.0", "a.css", "application/octet-stream", "attachment"),
        ("0.28.0", "user.css", "application/octet-stream", "attachment"),
        ("0.30.0", "user.css", "text/css", "inline"),
        ("0.30.0", "sub%2Fuser.css", "application/octet-stream", "attachment"),
    ],
)
def test_the_users_own_style_sheet_works_again(
    memory_farm: Start, version: str, name: str, kind: str, disposition: str | None
) -> None:
    gpu = farm_of(memory_farm, version)["gpu"]
    gpu.ask("POST", f"/userdata/{name}", data=b"b{}")
    headers = gpu.ask("GET", f"/userdata/{name}").headers
    assert (headers["content-type"], headers.get("content-disposition")) == (kind, disposition)


def test_a_model_file_has_a_type_of_its_own(memory_farm: Start) -> None:
    kinds = []
    for version in ("0.16.0", "0.17.0"):
        gpu = farm_of(memory_farm, version)["gpu"]
        upload(gpu, "a.safetensors", b"x")
        kinds.append(gpu.ask("GET", "/view?filename=a.safetensors&type=input").headers["content-type"])
    assert kinds == ["application/octet-stream", "application/safetensors"]


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
    assert headers["content-disposition"] == "attachment"
    assert headers["x-content-type-options"] == "nosniff"


def test_texts_stopped_counting_as_outputs() -> None:
    """They are still shown; and a document can stand for a job since."""
    document = {"filename": "a.MD", "type": "output"}
    outputs = {"1": {"text": ["hello"], "files": [document], "animated": [True]}}
    old, new = OutputRules(behaviour_of("0.27.0")), OutputRules(behaviour_of("0.28.0"))
    assert (old.count(outputs), new.count(outputs)) == (2, 1)
    assert old.preview(outputs) == {"content": "hello", "nodeId": "1", "mediaType": "text"}
    assert new.preview(outputs) == {**document, "nodeId": "1", "mediaType": "files"}


def test_pictures_come_before_texts() -> None:
    """Since 0.30, saved ones first; before, whatever was saved."""
    text, temp = {"text": ["hello"]}, {"images": [{"filename": "a.png", "type": "temp"}]}
    document = {"files": [{"filename": "a.txt", "type": "output"}]}
    outputs: dict[str, Any] = {"1": text, "2": document, "3": temp}
    old, new = (OutputRules(behaviour_of(version)).preview(outputs) for version in ("0.29.0", "0.30.0"))
    assert (old or {})["nodeId"] == "2"
    assert (new or {})["nodeId"] == "3"


def test_jobs_count_what_can_be_previewed() -> None:
    """Since 0.32; a raw text cannot."""
    files = {"images": [{"filename": "a.png"}], "latents": [{"filename": "a.latent"}]}
    outputs: dict[str, Any] = {"1": {"text": ["hello"]}, "2": files}
    counts = [OutputRules(behaviour_of(version)).count_previewable(outputs) for version in ("0.31.0", "0.32.0")]
    assert counts == [None, 1]


def test_what_saves_passes_its_pictures_on(memory_farm: Start) -> None:
    """Since 0.26; before, it has no output to link to."""
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 48, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "one"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "two"}},
    }
    old, new = farm_of(memory_farm, "0.25.0"), farm_of(memory_farm, "0.26.0")
    refused = old["gpu"].ask("POST", "/prompt", json={"prompt": prompt}).json()
    assert refused["node_errors"]["3"]["errors"][0]["details"] == "tuple index out of range"
    assert new["gpu"].ask("POST", "/prompt", json={"prompt": prompt}).status == 200
    new.advance(60)
    for name in ("one_00001_.png", "two_00001_.png"):
        with Image.open(BytesIO(new["gpu"].ask("GET", f"/view?filename={name}").body)) as image:
            assert image.size == (96, 48)


WORKFLOW = {"extra_pnginfo": {"workflow": {"id": "w"}}, "workflow_metadata": {"dropped": 1}}


@pytest.mark.parametrize(
    ("fields", "metadata"),
    [
        ({"extra_data": WORKFLOW}, {"workflow_id": "w"}),
        ({"extra_data": WORKFLOW, "workflow_metadata": {"a": 1}}, {"a": 1}),
        ({"extra_data": WORKFLOW, "workflow_metadata": {"a": "x" * 256}}, {"workflow_id": "w"}),
        ({"extra_data": {}}, {}),
    ],
)
def test_messages_repeat_what_the_client_says_of_its_workflow(
    memory_farm: Start, fields: dict[str, Any], metadata: dict[str, Any]
) -> None:
    """In 0.39, as far as read: in all messages about the job, and in its extra data; not in ``status``."""
    farm = farm_of(memory_farm, "0.39.0")
    listener = farm["gpu"].listen("me")
    farm["gpu"].ask("POST", "/prompt", json={"prompt": text_to_image(), "client_id": "me", **fields})
    farm.advance(60)
    messages = [message for message in listener.heard if isinstance(message, dict)]
    about = [message["data"] for message in messages if message["type"] != "status"]
    assert len(about) > 10
    assert all(metadata.items() <= data.items() for data in about)
    assert not any("workflow_id" in message["data"] for message in messages if message["type"] == "status")
    (entry,) = farm["gpu"].ask("GET", "/history").json().values()
    assert entry["prompt"][3].get("workflow_metadata", {}) == metadata
    assert not any("workflow_id" in data for _, data in entry["status"]["messages"])


@pytest.mark.parametrize(("version", "is_described"), [("0.33.0", False), ("0.39.0", True)])
def test_pictures_are_described(memory_farm: Start, version: str, is_described: bool) -> None:
    """In 0.39, as far as read: kind and size, in messages and in history."""
    farm = farm_of(memory_farm, version)
    listener = farm["gpu"].listen("me")
    farm["gpu"].ask("POST", "/prompt", json={"prompt": text_to_image(width=64, height=32), "client_id": "me"})
    farm.advance(60)
    (executed,) = [message["data"]["output"] for message in listener.heard if message["type"] == "executed"]
    (entry,) = farm["gpu"].ask("GET", "/history").json().values()
    expected = {"kind": "image", "width": 64, "height": 32} if is_described else None
    assert executed["images"][0].get("metadata") == expected
    assert executed in entry["outputs"].values()
