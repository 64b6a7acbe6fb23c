"""Who hears what at ``/ws``, in which order, in which words (WIRE.md, section 4)."""

import gc
import json
import struct
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from comfyfarm.events import FrameSent, SocketClosed, SocketOpened, TextSent
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.listener import Listener
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

SIZE = {"width": 64, "height": 64, "batch_size": 1, "color": 255}
IMAGE: dict[str, Any] = {"class_type": "EmptyImage", "inputs": SIZE}
SMALL = {"1": IMAGE, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
BY_SOCKET = {"1": IMAGE, "2": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}}
FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}

# What a job without a client id still tells everybody.
BROADCAST = {"status", "progress_state", "progress", "execution_interrupted", "binary"}


def start(memory_farm: Start, **settings: Any) -> tuple[MemoryFarm, MemoryInstance]:
    farm = memory_farm({"instance": [{"name": "gpu", **settings}]})
    return farm, farm["gpu"]


def post(gpu: MemoryInstance, prompt: dict[str, Any] | None = None, **body: Any) -> str:
    reply = gpu.ask("POST", "/prompt", json={"prompt": prompt or SMALL, **body})
    return str(reply.json()["prompt_id"])


def status(remaining: int, **more: str) -> dict[str, Any]:
    return {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": remaining}}, **more}}


def of(listener: Listener, kind: str) -> list[dict[str, Any]]:
    """The data of the messages of one type."""
    return [each["data"] for each in listener.heard if not isinstance(each, bytes) and each["type"] == kind]


def state(prompt_id: str, node: str, value: float, most: float, how: str) -> dict[str, Any]:
    ids = {"node_id": node, "prompt_id": prompt_id, "display_node_id": node, "parent_node_id": None}
    return {"value": value, "max": most, "state": how, **ids, "real_node_id": node}


def test_a_small_job_is_told_in_comfyuis_messages(memory_farm: Start) -> None:
    """All of them, whole, in order; as recorded from the real server."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    prompt_id = post(gpu, client_id="me")
    farm.advance(1)
    begun = 1_700_000_000_000
    running = {"1": state(prompt_id, "1", 0.0, 1.0, "running"), "2": state(prompt_id, "2", 0.0, 1.0, "running")}
    done = {"1": state(prompt_id, "1", 1.0, 1.0, "finished"), "2": state(prompt_id, "2", 1.0, 1.0, "finished")}

    def progress_state(**nodes: Any) -> dict[str, Any]:
        return {"type": "progress_state", "data": {"prompt_id": prompt_id, "nodes": nodes}}

    def executing(node: str) -> dict[str, Any]:
        return {"type": "executing", "data": {"node": node, "display_node": node, "prompt_id": prompt_id}}

    shown = {"images": [{"filename": "../input/kernie_512x768.jpg", "subfolder": "", "type": "output"}]}
    executed = {"node": "2", "display_node": "2", "output": shown, "prompt_id": prompt_id}
    assert me.heard == [
        status(0, sid="me"),
        status(1),
        status(1),
        {"type": "execution_start", "data": {"prompt_id": prompt_id, "timestamp": begun}},
        {"type": "execution_cached", "data": {"nodes": [], "prompt_id": prompt_id, "timestamp": begun}},
        progress_state(**{"1": running["1"]}),
        executing("1"),
        progress_state(**{"1": done["1"]}),
        progress_state(**{"1": done["1"], "2": running["2"]}),
        executing("2"),
        {"type": "executed", "data": executed},
        progress_state(**done),
        {"type": "execution_success", "data": {"prompt_id": prompt_id, "timestamp": begun + 16}},
        status(0),
        {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}},
    ]


def test_values_are_floats_and_ints_as_the_real_server_sends_them(memory_farm: Start) -> None:
    """``0.0`` of ``1.0`` while a node is begun, ints once it reports steps; a cached output is ``1`` of ``1``."""
    farm, gpu = start(memory_farm, cache="ram")
    me = gpu.listen("me")
    for _ in range(2):
        post(gpu, text_to_image(steps=1), client_id="me")
        farm.advance(1)
    texts = [json.dumps(each["nodes"]["9"]["value"]) for each in of(me, "progress_state") if "9" in each["nodes"]]
    assert texts == ["0.0", "1.0", "1"]
    sampler = [each["nodes"]["3"] for each in of(me, "progress_state") if "3" in each["nodes"]]
    told = [json.dumps([each["value"], each["max"]]) for each in sampler]
    assert list(dict.fromkeys(told)) == ["[0.0, 1.0]", "[1, 1]"]


def test_only_its_client_hears_of_a_job(memory_farm: Start) -> None:
    """All others hear how much there is to do."""
    farm, gpu = start(memory_farm)
    me, other = gpu.listen("me"), gpu.listen("other")
    post(gpu, client_id="me")
    farm.advance(1)
    assert set(other.types()) == {"status"}
    assert other.heard[1:] == [each for each in me.heard[1:] if each["type"] == "status"]
    assert set(me.types()) > {"execution_start", "executed", "progress_state"}


def test_of_a_job_without_client_everybody_hears_the_progress(memory_farm: Start) -> None:
    """And of the rest nobody hears anything."""
    farm, gpu = start(memory_farm, preview_method="auto")
    me, other = gpu.listen("me"), gpu.listen("other")
    post(gpu, text_to_image(steps=2))
    farm.advance(1)
    post(gpu, client_id=None)
    farm.advance(0.001)
    gpu.ask("POST", "/interrupt")
    farm.advance(1)
    assert me.heard[1:] == other.heard[1:]
    assert set(me.types()) == BROADCAST
    assert len(of(me, "execution_interrupted")) == 1


@pytest.mark.parametrize("client_id", ["", "stranger", 5, True, [], {"a": 1}, "me "])
def test_of_a_job_with_an_unknown_client_nobody_hears_anything(memory_farm: Start, client_id: Any) -> None:
    """Any JSON may stand there."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    prompt_id = post(gpu, client_id=client_id)
    farm.advance(1)
    assert me.heard == [status(0, sid="me"), status(1), status(1), status(0)]
    assert gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]["prompt"][3]["client_id"] == client_id


def test_a_client_may_come_while_its_job_runs(memory_farm: Start) -> None:
    """It hears where the job stands, in ComfyUI's short form, and then the rest."""
    farm, gpu = start(memory_farm)
    prompt_id = post(gpu, client_id="me")
    farm.advance(0.01)
    me, other = gpu.listen("me"), gpu.listen("other")
    assert me.heard == [status(1, sid="me"), {"type": "executing", "data": {"node": "2"}}]
    assert other.heard == [status(1, sid="other")]
    farm.advance(1)
    assert me.heard[-1] == {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}
    late = gpu.listen("me")
    assert late.heard == [status(0, sid="me")]


def test_a_client_that_comes_late_is_greeted_first(memory_farm: Start) -> None:
    """Though much was due: a busy reactor tells a newcomer nothing of what was before it."""
    farm, gpu = start(memory_farm)
    post(gpu, text_to_image(), client_id="me")
    clock: Any = farm.farm.time.clock
    clock.rightNow += 0.1       # the reactor is busy: what is due has not been done
    me = gpu.listen("me")
    assert me.types()[:2] == ["status", "executing"]
    assert me.heard[0] == status(1, sid="me")


def test_a_nameless_client_is_given_an_id(memory_farm: Start) -> None:
    """Thirty-two hex digits, drawn by the farm's seed; and it works as an id."""
    farm, gpu = start(memory_farm)
    me, other = gpu.listen(""), gpu.listen("")
    sid = me.heard[0]["data"]["sid"]
    assert len(sid) == 32
    assert int(sid, 16)
    assert sid != other.heard[0]["data"]["sid"]
    post(gpu, client_id=sid)
    farm.advance(1)
    assert "executed" in me.types()
    assert "executed" not in other.types()


def test_any_text_is_a_client_id(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm)
    me = gpu.listen("a%2Fb%20%C3%A4")
    assert me.heard[0]["data"]["sid"] == "a/b ä"
    post(gpu, client_id="a/b ä")
    farm.advance(1)
    assert "executed" in me.types()


def test_a_newer_socket_of_an_id_takes_the_place_of_the_older(memory_farm: Start) -> None:
    """Which stays open, and hears nothing more."""
    farm, gpu = start(memory_farm)
    old, new = gpu.listen("me"), gpu.listen("me")
    post(gpu, client_id="me")
    farm.advance(1)
    assert old.types() == ["status"]
    assert old.lost is None
    assert "executed" in new.types()


def test_when_the_older_socket_closes_the_newer_goes_deaf(memory_farm: Start) -> None:
    """ComfyUI forgets the id without looking whose it is; a client that connects again hears again."""
    farm, gpu = start(memory_farm)
    old, new = gpu.listen("me"), gpu.listen("me")
    old.transport.loseConnection()
    farm.advance(0)
    post(gpu, client_id="me")
    farm.advance(1)
    assert new.types() == ["status"]
    assert new.lost is None
    again = gpu.listen("me")
    post(gpu, client_id="me")
    farm.advance(1)
    assert "executed" in again.types()


def test_a_client_that_left_is_told_nothing(memory_farm: Start) -> None:
    """And its job goes on."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    prompt_id = post(gpu, client_id="me")
    me.transport.loseConnection()
    farm.advance(1)
    assert gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]["status"]["completed"]
    assert next(farm.farm.log.of(SocketClosed)).reason == "closed"


# What clients say.


SERVER_FLAGS = {
    "supports_preview_metadata": True,
    "supports_model_type_tags": True,
    "max_upload_size": 104857600,
    "extension": {"manager": {"supports_v4": True}},
    "node_replacements": True,
    "assets": False,
}


def answers(farm: MemoryFarm, listener: Listener, *messages: str) -> list[dict[str, Any]]:
    """The flags that a client hears after it has said something."""
    for message in messages:
        listener.transport.sendTextMessage(message)
    farm.advance(0)
    return of(listener, "feature_flags")


def test_flags_are_answered_with_flags(memory_farm: Start) -> None:
    """Those of ``/features``."""
    farm, gpu = start(memory_farm)
    assert answers(farm, gpu.listen("me"), json.dumps(FLAGS)) == [SERVER_FLAGS]
    assert gpu.ask("GET", "/features").json() == SERVER_FLAGS


@pytest.mark.parametrize("first", ["", "no json", "[]", "5", "null", '"x"', "[" * 5000])
def test_what_is_no_object_does_not_count_as_a_first_message(memory_farm: Start, first: str) -> None:
    farm, gpu = start(memory_farm)
    assert answers(farm, gpu.listen("me"), first, json.dumps(FLAGS)) == [SERVER_FLAGS]


@pytest.mark.parametrize("first", [{}, {"type": "hello"}, {"type": ["x"]}, {"type": None, "data": 5}, FLAGS])
def test_any_object_counts_as_the_first_message(memory_farm: Start, first: dict[str, Any]) -> None:
    """Flags that come later are not answered."""
    farm, gpu = start(memory_farm)
    expected = [SERVER_FLAGS] if first is FLAGS else []
    assert answers(farm, gpu.listen("me"), json.dumps(first), json.dumps(FLAGS)) == expected


@pytest.mark.parametrize("flags", [{}, {"supports_preview_metadata": 1}, None, [], "x", 5])
def test_only_true_is_a_yes(memory_farm: Start, flags: Any) -> None:
    """The old format goes to everybody else."""
    farm, gpu = start(memory_farm, preview_method="auto")
    me = gpu.listen("me")
    assert answers(farm, me, json.dumps({"type": "feature_flags", "data": flags})) == [SERVER_FLAGS]
    post(gpu, text_to_image(steps=1), client_id="me")
    farm.advance(1)
    assert [each[:4] for each in me.heard if isinstance(each, bytes)] == [b"\0\0\0\1"]


def test_bytes_that_a_client_sends_are_ignored(memory_farm: Start) -> None:
    """Also as its first message."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    me.transport.sendBytesMessage(b"\xff" * 1000)
    assert answers(farm, me, json.dumps(FLAGS)) == [SERVER_FLAGS]
    assert me.lost is None


# How much there is to do.


def remaining(listener: Listener) -> list[int]:
    return [each["status"]["exec_info"]["queue_remaining"] for each in of(listener, "status")[1:]]


def test_every_change_of_the_queue_is_told_to_everybody(memory_farm: Start) -> None:
    """On each put, on each start, on each end."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    for _ in range(3):
        post(gpu)
    farm.advance(1)
    assert remaining(me) == [1, 1, 2, 3, 2, 2, 1, 1, 0]


def test_clearing_tells_once_and_deleting_the_last_tells_twice(memory_farm: Start) -> None:
    """Clearing tells even where nothing waits; deleting nothing tells nothing."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    post(gpu)
    first, second, _ = (post(gpu) for _ in range(3))
    before = len(remaining(me))
    gpu.ask("POST", "/queue", json={"delete": ["unknown", first]})
    gpu.ask("POST", "/queue", json={"clear": True})
    gpu.ask("POST", "/queue", json={"clear": True})
    assert remaining(me)[before:] == [3, 1, 1]
    last = post(gpu)
    before = len(remaining(me))
    gpu.ask("POST", "/queue", json={"delete": [second, last]})
    assert remaining(me)[before:] == [1, 1]
    farm.advance(1)
    gpu.ask("POST", "/history", json={"clear": True})
    assert remaining(me)[-1] == 0


def test_what_is_said_in_one_turn_is_one_write(memory_farm: Start) -> None:
    """And it is written before the answer."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    post(gpu)
    last = post(gpu)
    wire = farm.wire
    written: list[bytes] = wire._pumps[-1].serverIO.stream
    before = len(remaining(me))
    wire.begin(gpu.backend.site, "POST", "/queue", json.dumps({"delete": [last]}).encode()).end()
    assert len(written) == 1
    wire.flush()
    assert remaining(me)[before:] == [1, 1]


# Progress.


def told_steps(farm: MemoryFarm, gpu: MemoryInstance, **body: Any) -> list[int]:
    """The values of ``progress`` that a client hears."""
    me = gpu.listen("me")
    post(gpu, **body, client_id="me")
    farm.advance(60)
    return [each["value"] for each in of(me, "progress")]


def test_progress_is_told_about_ten_times_a_second(memory_farm: Start) -> None:
    """Forty steps of 45 ms: the first, the last, and each that is 100 ms or more from the last one told.

    (On the real server a step took a little longer than it was meant to: there 1, 4, 6, 9 ... were seen.)
    """
    farm, gpu = start(memory_farm, timing={"step": "45ms"})
    told = told_steps(farm, gpu, prompt=text_to_image(steps=40))
    assert told == [1, *range(4, 40, 3), 40]


def test_progress_by_steps_that_do_not_fit_is_told_when_enough_time_has_passed(memory_farm: Start) -> None:
    """Steps of 48 ms: every third one; of 51 ms: every second one; the last in any case."""
    for step, told in (("48ms", [1, 4, 7, 10, 11]), ("51ms", [1, 3, 5, 7, 9, 11]), ("33ms", [1, 5, 9, 11])):
        farm, gpu = start(memory_farm, timing={"step": step})
        assert told_steps(farm, gpu, prompt=text_to_image(steps=11)) == told


def test_slow_steps_are_all_told(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, timing={"step": "100ms"})
    assert told_steps(farm, gpu, prompt=text_to_image(steps=5)) == [1, 2, 3, 4, 5]


def test_steps_that_are_a_small_share_are_held_back(memory_farm: Start) -> None:
    """Half a percent of the whole, at least."""
    farm, gpu = start(memory_farm, timing={"step": "100ms"})
    told = told_steps(farm, gpu, prompt=text_to_image(steps=500))
    assert told[:3] == [1, 4, 7]
    assert told[-1] == 500


def test_steps_that_are_just_half_a_percent_are_told(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, timing={"step": "100ms"})
    assert told_steps(farm, gpu, prompt=text_to_image(steps=200)) == [*range(1, 201)]


def test_each_progress_comes_right_after_a_progress_state_of_the_same_value(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    prompt_id = post(gpu, text_to_image(steps=3), client_id="me")
    farm.advance(1)
    for one, two in zip(me.heard, me.heard[1:], strict=False):
        if two["type"] == "progress":
            data = two["data"]
            assert data == {"value": data["value"], "max": 3, "prompt_id": prompt_id, "node": "3"}
            assert one["data"]["nodes"]["3"]["value"] == data["value"]
    assert len(of(me, "progress")) == 2


def test_a_failed_node_stays_running(memory_farm: Start) -> None:
    """``error`` is never a state; the error itself tells all, with the moment."""
    farm, gpu = start(memory_farm, mode="dynamic")
    me = gpu.listen("me")
    prompt = text_to_image(steps=1, prefix="../outside")
    prompt_id = post(gpu, prompt, client_id="me")
    farm.advance(1)
    assert me.types()[-4:] == ["executing", "execution_error", "status", "executing"]
    assert of(me, "progress_state")[-1]["nodes"]["9"]["state"] == "running"
    (error,) = of(me, "execution_error")
    entry = gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    assert entry["status"]["messages"][-1] == ["execution_error", error]
    assert list(error)[-1] == "timestamp"


def test_an_interrupted_job_says_where_it_stopped(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    prompt_id = post(gpu, text_to_image(), client_id="me")
    farm.advance(0.1)
    gpu.ask("POST", "/interrupt")
    farm.advance(1)
    assert me.types()[-3:] == ["execution_interrupted", "status", "executing"]
    (data,) = of(me, "execution_interrupted")
    assert {key: data[key] for key in ("prompt_id", "node_id", "node_type")} == {
        "prompt_id": prompt_id,
        "node_id": "3",
        "node_type": "KSampler",
    }
    assert data["executed"] == ["4", "5", "7", "6"]
    entry = gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    assert entry["status"]["messages"][-1] == ["execution_interrupted", data]
    assert data["timestamp"] == 1_700_000_000_105       # five nodes (the sampler is one), and six steps


def test_a_cached_run_shows_its_outputs_again(memory_farm: Start) -> None:
    """No ``executing`` of a node; the order is that of the recording ``run_cached_rerun``."""
    farm, gpu = start(memory_farm, cache="ram")
    post(gpu)
    farm.advance(1)
    me = gpu.listen("me")
    post(gpu, client_id="me")
    farm.advance(1)
    assert me.types()[1:] == [
        *("status", "status", "execution_start", "execution_cached"),
        *("executed", "progress_state", "execution_success", "status", "executing"),
    ]
    assert of(me, "execution_cached")[0]["nodes"] == ["1", "2"]
    assert of(me, "progress_state")[0]["nodes"].keys() == {"2"}


# Pictures.


def pictures(listener: Listener) -> list[bytes]:
    return [each for each in listener.heard if isinstance(each, bytes)]


def around(listener: Listener) -> list[str]:
    """The messages around the first picture."""
    place = listener.types().index("binary")
    return listener.types()[place - 2 : place + 2]


def test_pictures_while_sampling_in_the_old_format(memory_farm: Start) -> None:
    """Every step is told then; the picture comes last."""
    farm, gpu = start(memory_farm)
    me = gpu.listen("me")
    preview = {"preview_method": "taesd"}
    post(gpu, text_to_image(steps=3, width=1024, height=512), client_id="me", extra_data=preview)
    farm.advance(1)
    assert around(me)[:3] == ["progress_state", "progress", "binary"]
    assert [each["value"] for each in of(me, "progress")] == [1, 2, 3]
    for frame in pictures(me):
        assert struct.unpack(">II", frame[:8]) == (1, 1)
        picture = Image.open(BytesIO(frame[8:]))
        assert (picture.format, picture.size) == ("JPEG", (512, 256))
    assert len(pictures(me)) == 3


def test_pictures_while_sampling_with_metadata(memory_farm: Start) -> None:
    """For a client that announced it; the picture comes before the number."""
    farm, gpu = start(memory_farm, preview_method="auto")
    me = gpu.listen("me")
    answers(farm, me, json.dumps(FLAGS))
    prompt_id = post(gpu, text_to_image(steps=2), client_id="me")
    farm.advance(1)
    assert around(me) == ["executing", "progress_state", "binary", "progress"]
    frame = pictures(me)[0]
    kind, length = struct.unpack(">II", frame[:8])
    assert kind == 4
    assert json.loads(frame[8 : 8 + length]) == {
        "node_id": "3",
        "prompt_id": prompt_id,
        "display_node_id": "3",
        "parent_node_id": None,
        "real_node_id": "3",
        "image_type": "image/jpeg",
    }
    assert Image.open(BytesIO(frame[8 + length :])).size == (512, 512)


def test_pictures_of_a_job_without_client_are_in_the_old_format(memory_farm: Start) -> None:
    """Also for one who could take the new one: ComfyUI looks at the job's client."""
    farm, gpu = start(memory_farm, preview_method="auto")
    me, other = gpu.listen("me"), gpu.listen("other")
    answers(farm, me, json.dumps(FLAGS))
    post(gpu, text_to_image(steps=1))
    farm.advance(1)
    assert [each[:4] for each in pictures(me)] == [b"\0\0\0\1"]
    assert pictures(me) == pictures(other)


def test_pictures_sent_instead_of_saved_are_png(memory_farm: Start) -> None:
    """One for each of the batch, counted from zero; nothing in history, nothing on the disk."""
    farm, gpu = start(memory_farm, mode="dynamic")
    me = gpu.listen("me")
    prompt = BY_SOCKET | {"1": {**IMAGE, "inputs": {**SIZE, "batch_size": 2}}}
    prompt_id = post(gpu, prompt, client_id="me")
    farm.advance(1)
    assert [(each["value"], each["max"]) for each in of(me, "progress")] == [(0, 2), (1, 2)]
    for frame in pictures(me):
        assert struct.unpack(">II", frame[:8]) == (1, 2)
        picture = Image.open(BytesIO(frame[8:]))
        assert (picture.format, picture.size, picture.getpixel((0, 0))) == ("PNG", (64, 64), (0, 0, 255))
    assert len(pictures(me)) == 2
    assert "executed" not in me.types()
    assert gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]["outputs"] == {}
    assert list(gpu.backend.disk.output_dir.iterdir()) == []


def test_a_text_that_a_node_shows_goes_to_every_socket(memory_farm: Start) -> None:
    """Whoever submitted the job: ComfyUI's nodes do not say for whom it is."""
    farm, gpu = start(memory_farm)
    listeners = [gpu.listen("me"), gpu.listen("other")]
    gpu.backend.publish(TextSent(at_ms=0, prompt_id="p", node="nöde", text="a text ä"))
    gpu.backend.driver.set_alarm()
    farm.advance(0)
    node = "nöde".encode()
    frame = b"\0\0\0\3" + b"\0\0\0\5" + node + "a text ä".encode()
    assert [pictures(each) for each in listeners] == [[frame], [frame]]


# What the log says of it.


def test_the_log_knows_who_heard_what(memory_farm: Start) -> None:
    """One event for a message, however many heard it; none for what nobody heard."""
    farm, gpu = start(memory_farm)
    post(gpu, client_id="me")
    farm.advance(1)
    assert list(farm.farm.log.of(FrameSent)) == []
    gpu.listen("me")
    gpu.listen("other")
    prompt_id = post(gpu, client_id="me")
    farm.advance(1)
    sent = list(farm.farm.log.of(FrameSent))
    assert [each.client_id for each in farm.farm.log.of(SocketOpened)] == ["me", "other"]
    assert {each.to for each in sent if each.type == "status"} == {("me", "other")}
    assert [(each.to, each.prompt_id) for each in sent if each.type == "executed"] == [(("me",), prompt_id)]


def test_instances_do_not_hear_each_other(memory_farm: Start) -> None:
    """One client id at two of them."""
    farm = memory_farm({"instance": [{"name": "one"}, {"name": "two"}]})
    one, two = farm["one"].listen("me"), farm["two"].listen("me")
    post(farm["one"], client_id="me")
    farm.advance(1)
    assert "executed" in one.types()
    assert two.heard == [status(0, sid="me")]


# What is kept.


def kept_by_jobs(memory_farm: Start, count: int, *, are_followed: bool) -> int:
    """The objects that so many jobs leave, each with a websocket of its own or with none; short logs keep little."""
    farm, gpu = start(memory_farm, history_limit=5)
    farm.farm.log.events = deque(farm.farm.log.events, maxlen=50)

    def do_jobs() -> int:
        for _ in range(count):
            listener = gpu.listen("me") if are_followed else None
            post(gpu, client_id="me")
            farm.run_until_idle()
            if listener is not None:
                assert listener.types()[-1] == "executing"
                listener.transport.loseConnection()
                farm.advance(0)
        farm.verdict()      # the analysis has read all events
        gc.collect()
        return len(gc.get_objects())

    before = do_jobs()
    return do_jobs() - before


def test_a_websocket_that_has_ended_is_kept_by_nobody(memory_farm: Start) -> None:
    """A farm in memory that runs for long does not grow by its clients' connections, nor by what they heard."""
    without = kept_by_jobs(memory_farm, 20, are_followed=False)
    assert kept_by_jobs(memory_farm, 20, are_followed=True) < without + 10 * 20
