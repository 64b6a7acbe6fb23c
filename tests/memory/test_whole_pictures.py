"""Whether a client has really received a picture, with real faults and deliveries; and what the verdict makes of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.analysis.findings import Finding
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.analysis.verdict import VerdictBuilder
from comfyfarm.events import Delivered, Exchanged, ServerReady
from comfyfarm.events.encoding import as_json
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Reply
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
TWO = {"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]}
VIEW = "/view?filename=ComfyUI_00001_.png"
BY_SOCKET = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}},
}


def post(farm: MemoryFarm, name: str, job: str = "", **body: Any) -> str:
    """Send a job and let it finish."""
    extra = {"comfyfarm_job": job} if job else {}
    whole = {"prompt": text_to_image(width=64, height=64), "client_id": "me", "extra_data": extra, **body}
    prompt_id = str(farm[name].ask("POST", "/prompt", json=whole).json()["prompt_id"])
    farm.run_until_idle()
    return prompt_id


def get(farm: MemoryFarm, path: str = VIEW, name: str = "gpu-1", **headers: str) -> bytes:
    """Everything behind the head of an answer, also of a broken one; empty without an answer."""
    asking = farm.wire.begin(farm[name].backend.site, "GET", path, b"", headers)
    farm.advance("1s")
    sent: bytes = asking.transport.value()
    return sent.partition(b"\r\n\r\n")[2]


def attempt(farm: MemoryFarm, job: str = "j") -> Attempt:
    """The first attempt of a job, as the log knows it."""
    builder = VerdictBuilder()
    for event in farm.farm.log.events:
        builder.on_event(event)
    return builder.tracker.jobs[job].attempts[0]


def errors(farm: MemoryFarm) -> list[Finding]:
    return [finding for finding in farm.verdict().findings if finding.severity == "error"]


def error(farm: MemoryFarm) -> tuple[str, str]:
    """The only error: its name and its sentence."""
    (finding,) = errors(farm)
    return finding.finding, finding.says


# Files.


@pytest.mark.parametrize(
    ("fault", "damage"),
    [
        ({"do": "truncate"}, "cut"),
        ({"do": "truncate", "share": 0}, "cut"),
        ({"do": "garbage"}, "changed"),
        ({"do": "wrong_length", "by": 10}, "changed"),
        ({"do": "wrong_length", "by": -10}, "changed"),
        ({"do": "status", "status": 200, "body": "<html>"}, "changed"),
        ({"do": "garbage", "what": "http"}, ""),
        ({"do": "drop"}, ""),
        ({"do": "reset"}, ""),
        ({"do": "status", "status": 502}, ""),
    ],
)
@pytest.mark.parametrize("phase", ["view", {"phase": "reply", "route": "/view"}])
def test_a_file_that_a_fault_has_broken_on_its_way_was_not_received(
    memory_farm: Start, fault: dict[str, Any], damage: str, phase: Any
) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(**fault, at=phase):
        get(farm)
    assert attempt(farm).file_fetches == 0
    assert list(farm.farm.log.of(Exchanged))[-1].damage == damage
    get(farm)
    assert attempt(farm).file_fetches == 1
    assert list(farm.farm.log.of(Exchanged))[-1].damage == ""


@pytest.mark.parametrize("fault", [{"do": "delay", "duration": "200ms"}, {"do": "drip", "pieces": 4, "gap": "50ms"}])
def test_a_file_that_came_slowly_was_received(memory_farm: Start, fault: dict[str, Any]) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(**fault, at="view"):
        get(farm)
    assert attempt(farm).file_fetches == 1


def test_a_client_that_hung_up_in_the_middle_did_not_receive_the_file(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(do="drip", at="view", pieces=4, gap="1s"):
        asking = farm.wire.begin(farm["gpu-1"].backend.site, "GET", VIEW, b"", None)
        farm.advance("1500ms")
        asking.channel.connectionLost(Failure(ConnectionDone()))
    (view,) = (exchanged for exchanged in farm.farm.log.of(Exchanged) if exchanged.path == "/view")
    assert (view.status, view.damage, attempt(farm).file_fetches) == (200, "cut", 0)


def test_a_process_that_died_in_the_middle_did_not_send_the_file(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(do="drip", at="view", pieces=4, gap="1s"):
        farm.wire.begin(farm["gpu-1"].backend.site, "GET", VIEW, b"", None)
        farm.advance("1500ms")
        farm.control("POST", "/api/instances/gpu-1/crash")
    assert attempt(farm).file_fetches == 0


def test_a_download_that_is_resumed_after_a_cut_is_whole(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(do="truncate", at="view"):
        half = get(farm)
    assert attempt(farm).file_fetches == 0
    rest = get(farm, Range=f"bytes={len(half)}-")
    assert half + rest == get(farm)
    assert attempt(farm).file_fetches == 2


def test_a_part_of_a_file_is_not_the_file(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    get(farm, Range="bytes=0-99")
    get(farm, Range="bytes=-100")
    assert attempt(farm).file_fetches == 0
    get(farm, Range="bytes=0-")
    assert attempt(farm).file_fetches == 1


@pytest.mark.parametrize("query", ["&preview=webp;90", "&channel=rgb", "&channel=a"])
def test_a_preview_or_a_channel_of_a_file_is_received_whole_or_not(memory_farm: Start, query: str) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(do="truncate", at="view"):
        get(farm, VIEW + query)
    assert attempt(farm).file_fetches == 0
    get(farm, VIEW + query)
    assert attempt(farm).file_fetches == 1


def test_a_file_that_a_fault_has_cut_on_the_disk_cannot_be_received_whole(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="cut_file", at="save"):
        post(farm, "gpu-1", "j")
    half = get(farm)
    assert attempt(farm).file_fetches == 0
    farm.delivered("j", picture=half)
    name, says = error(farm)
    assert name == "broken_delivery"
    assert f"is cut: {len(half):,} of the " in says
    assert says.endswith(" was the file as a fault had cut it on the disk.")


def test_a_file_of_a_shared_folder_may_come_from_any_instance(memory_farm: Start, tmp_path: Path) -> None:
    instance = {"name": "gpu-{n}", "count": 2, "mode": "dynamic", "output_dir": str(tmp_path)}
    farm = memory_farm({"instance": [instance]})
    post(farm, "gpu-1", "j")
    get(farm, name="gpu-2")
    assert attempt(farm).file_fetches == 1


# Results without files.


def test_a_picture_over_the_websocket_is_received(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    post(farm, "gpu-1", "j", prompt=BY_SOCKET)
    assert "binary" in listener.types()
    found = attempt(farm)
    assert (found.files, found.pictures, found.pictures_sent) == ((), 1, 1)


def test_a_preview_of_a_sampler_is_no_result(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1", "mode": "dynamic", "preview_method": "latent2rgb"}]})
    listener = farm["gpu-1"].listen("me")
    post(farm, "gpu-1", "j")
    assert "binary" in listener.types()
    assert (attempt(farm).pictures, attempt(farm).pictures_sent) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ({"do": "drop"}, 0),
        ({"do": "reset"}, 0),
        ({"do": "mute"}, 0),
        ({"do": "gap", "duration": "1s"}, 0),
        ({"do": "unknown", "binary": 9}, 1),
        ({"do": "delay", "duration": "1s"}, 1),
        ({"do": "duplicate"}, 2),
        ({"do": "broadcast"}, 1),
    ],
)
def test_a_picture_over_the_websocket_that_a_fault_has_swallowed_was_not_received(
    memory_farm: Start, fault: dict[str, Any], sent: int
) -> None:
    farm = memory_farm(TWO)
    farm["gpu-1"].listen("me")
    farm["gpu-1"].listen("another")
    with farm.fault(**fault, at={"phase": "frame", "type": "binary-1"}):
        post(farm, "gpu-1", "j", prompt=BY_SOCKET)
    farm.advance("2s")
    assert (attempt(farm).pictures, attempt(farm).pictures_sent) == (1, sent)


def test_a_picture_whose_metadata_name_another_job_was_not_received(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    listener.say({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    with farm.fault(do="stale_id", at={"phase": "frame", "type": "binary-4"}, times=1):
        post(farm, "gpu-1", "j", prompt=BY_SOCKET)
    post(farm, "gpu-1", "k", prompt=BY_SOCKET)
    assert [attempt(farm, job).pictures_sent for job in ("j", "k")] == [0, 1]


@pytest.mark.parametrize("fault", [{"do": "truncate"}, {"do": "garbage"}, {"do": "status", "status": 200, "json": {}}])
def test_a_history_that_a_fault_has_broken_was_not_read(memory_farm: Start, fault: dict[str, Any]) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1"}]})
    prompt_id = post(farm, "gpu-1", "j")
    with farm.fault(**fault, at={"phase": "reply", "route": "/history*"}):
        get(farm, f"/history/{prompt_id}")
        get(farm, "/history")
    assert attempt(farm).result_reads == 0
    get(farm, f"/history/{prompt_id}")
    assert attempt(farm).result_reads == 1


def test_an_executed_message_without_its_output_was_not_read(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1"}]})
    farm["gpu-1"].listen("me")
    with farm.fault(do="strip", key="output", at={"phase": "frame", "type": "executed"}):
        post(farm, "gpu-1", "j")
    assert attempt(farm).result_reads == 0
    post(farm, "gpu-1", "k")
    assert attempt(farm, "k").result_reads == 1


# Deliveries.


def deliver(farm: MemoryFarm, job: str, picture: bytes, **facts: Any) -> Reply:
    body = {"job": job, "picture": b64encode(picture).decode(), **facts}
    return farm.control("POST", "/api/delivered", json=body)


def test_half_of_a_picture_is_found_with_the_request_that_brought_it(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(do="truncate", at="view"):
        half = get(farm)
    deliver(farm, "j", half)
    whole_bytes = attempt(farm).files[0].size_bytes
    name, says = error(farm)
    assert name == "broken_delivery"
    assert says.startswith("What was delivered as j at ")
    assert f" is cut: {len(half):,} of the {whole_bytes:,} bytes of ComfyUI_00001_.png from gpu-1; the answer" in says
    assert says.endswith(" was only a part of it.")
    assert 0 < len(half) < whole_bytes


@pytest.mark.parametrize(
    ("body", "what"),
    [(b"", "is empty"), (b"<html>", "HTML of 6 bytes"), (b'{"error": 1}', "JSON of 12"), (b"\0" * 9, "data of 9")],
)
@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_what_is_no_picture_is_found_on_every_instance(memory_farm: Start, body: bytes, what: str, mode: str) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1", "mode": mode}]})
    post(farm, "gpu-1", "j")
    deliver(farm, "j", body)
    name, says = error(farm)
    assert name == "broken_delivery"
    assert what in says


def test_a_picture_that_the_software_encoded_again_is_whole(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with Image.open(BytesIO(get(farm))) as image:
        for number, kind in enumerate(("WEBP", "JPEG", "GIF", "PNG")):
            file = BytesIO()
            image.resize((20, 20)).save(file, kind)
            deliver(farm, "j", file.getvalue(), file=f"{number}")
    assert farm.verdict().verdict == "pass"
    assert [told.stamp_job for told in farm.farm.log.of(Delivered)] == [""] * 4


def static_pair(memory_farm: Start, tmp_path: Path) -> MemoryFarm:
    """Two static instances with one picture each."""
    for name, colour in (("red", "#ff0000"), ("blue", "#0000ff")):
        Image.new("RGB", (30, 30), colour).save(tmp_path / f"{name}.png")
    names = {"gpu-1": "red", "gpu-2": "blue"}
    return memory_farm({"instance": [{"name": n, "input": str(tmp_path / f"{c}.png")} for n, c in names.items()]})


def test_the_picture_of_a_static_instance_is_whole_cut_or_anothers(memory_farm: Start, tmp_path: Path) -> None:
    farm = static_pair(memory_farm, tmp_path)
    red, blue = (tmp_path / f"{name}.png" for name in ("red", "blue"))
    post(farm, "gpu-1", "j")
    deliver(farm, "j", red.read_bytes())
    assert farm.verdict().verdict == "pass"
    post(farm, "gpu-1", "k")
    deliver(farm, "k", blue.read_bytes())
    name, says = error(farm)
    assert name == "misattributed"
    assert says.endswith(" is the picture of gpu-2, as its bytes say; k was sent to gpu-1 only.")
    post(farm, "gpu-1", "l")
    deliver(farm, "l", red.read_bytes()[:40])
    assert f" is cut: 40 of the {len(red.read_bytes())} bytes of the picture of gpu-1" in errors(farm)[0].says
    assert len({ready.picture for ready in farm.farm.log.of(ServerReady)}) == 2


def test_the_file_of_the_same_name_from_another_instance_is_found_without_names_and_ids(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1")
    other = post(farm, "gpu-2")
    deliver(farm, "order-1", get(farm, name="gpu-2"), instance="gpu-1", file="ComfyUI_00001_.png")
    name, says = error(farm)
    assert name == "misattributed"
    assert says.endswith(
        f" is the picture of prompt {other} on gpu-2, as the picture's stamp says, and not from gpu-1, as was reported."
    )


def test_names_that_no_prompt_bore_pass_with_the_right_pictures(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    for number, name in enumerate(("gpu-1", "gpu-2", "gpu-1")):
        post(farm, name)
        deliver(farm, f"order-{number}", get(farm, f"/view?filename=ComfyUI_0000{1 + number // 2}_.png", name))
    assert farm.verdict().verdict == "pass", farm.verdict()
    deliver(farm, "order-9", get(farm))
    assert error(farm)[0] == "misattributed"


def test_a_saved_log_tells_the_same_of_deliveries(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, "gpu-1", "j")
    with farm.fault(do="truncate", at="view"):
        deliver(farm, "j", get(farm), file="a.png")
    deliver(farm, "other", get(farm))
    live = as_json(farm.verdict())
    assert "was only a part of it" in live.decode()
    assert as_json(analyse_saved(map(as_json, farm.farm.log.events)).verdict()) == live
