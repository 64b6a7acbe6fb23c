"""Whatever clients send: an answer, no error of ours, nothing lost, and the next good job runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from comfyfarm.config.recorded import recorded
from comfyfarm.events import Finished, QueueCleared, QueueDeleted, Submitted, Taken
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

QUICK = {"step": "1ms", "node": "0ms", "save": "0ms"}
FARM = {
    "instance": [
        {"name": "strict", "mode": "dynamic", "cache": "ram", "timing": QUICK},
        {"name": "lenient", "validation": "lenient", "cache": "classic", "output_node": "9", "timing": QUICK},
        {"name": "off", "mode": "dynamic", "validation": "off", "cache": "lru:3", "timing": QUICK},
    ],
}
GOOD = text_to_image(steps=2, width=64, height=64)
HOURS = 100 * 3600

often = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
instances = st.sampled_from(["strict", "lenient", "off"])

# Any JSON, half characters and numbers that are none included.
words = st.text(st.characters(exclude_categories=()), max_size=8)
plain = st.none() | st.booleans() | st.integers(-9, 9) | st.integers() | st.floats() | words
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=8
)

# Prompts that look like prompts.
node_ids = st.sampled_from([*"12345", "9", "", "a b"])
links = st.tuples(node_ids, st.integers(-2, 3)).map(list)
class_types = st.sampled_from([*sorted(recorded().object_info), "NoSuchNode"]) | values
input_names = st.sampled_from(["images", "image", "width", "height", "samples", "text", "filename_prefix", "source"])
numbers = st.integers(-1, 64)
inputs = st.dictionaries(input_names | words, links | numbers | values, max_size=5)
nodes = st.fixed_dictionaries({}, optional={"class_type": class_types, "inputs": inputs | values, "_meta": values})
prompts = st.dictionaries(node_ids | words, nodes | values, max_size=5)
bodies = values | st.fixed_dictionaries(
    {"prompt": prompts | values},
    optional={
        "client_id": values,
        "prompt_id": values,
        "number": plain | values,
        "front": values,
        "extra_data": st.dictionaries(
            st.sampled_from(["client_id", "extra_pnginfo", "preview_method", "comfyfarm_job", "create_time"]), values
        )
        | values,
        "partial_execution_targets": st.lists(node_ids) | values,
    },
)


@st.composite
def spoilt_workflows(draw: st.DrawFn) -> dict[str, Any]:
    """The standard workflow with one thing in it replaced."""
    prompt = deepcopy(GOOD)
    node = prompt[draw(st.sampled_from(sorted(prompt)))]
    place = draw(st.sampled_from(["class_type", "inputs", *node["inputs"]]))
    holder = node if place in node else node["inputs"]
    holder[place] = draw(links | class_types | values)
    return prompt


@contextmanager
def no_error_of_ours() -> Iterator[None]:
    """Whatever happens within, nothing of it is logged as a failure."""
    with capturedLogs() as events:
        yield
    assert [event["log_failure"].getTraceback() for event in events if "log_failure" in event] == []


def ask(gpu: MemoryInstance, path: str, body: Any) -> int:
    """Post any JSON; what comes back is one of ComfyUI's answers."""
    reply = gpu.ask("POST", path, json=body)
    assert reply.status in (200, 400, 500)
    if reply.status == 400:
        assert reply.json().keys() == {"error", "node_errors"}
    if reply.status == 500:
        assert reply.body == b"500 Internal Server Error\n\nServer got itself in trouble"
    return reply.status


def good_job(gpu: MemoryInstance) -> str:
    """Post a good job to the front."""
    reply = gpu.ask("POST", "/prompt", json={"prompt": GOOD, "number": -1e300, "client_id": "me"})
    assert reply.status == 200
    return str(reply.json()["prompt_id"])


def check(gpu: MemoryInstance) -> None:
    """Everything ends; every job that was taken on is accounted for; the next good job runs and is told."""
    listener = gpu.listen("me")
    good = good_job(gpu)
    gpu.farm.advance(HOURS)
    assert gpu.ask("GET", "/queue").json() == {"queue_running": [], "queue_pending": []}
    history = gpu.ask("GET", "/history").json()
    assert history[good]["status"]["completed"]
    assert {each["id"] for each in gpu.ask("GET", "/api/jobs").json()["jobs"]} == history.keys()
    for prompt_id, entry in history.items():
        assert entry["prompt"][1] == prompt_id
        assert entry["status"]["messages"][0][0] == "execution_start"
        assert entry["status"]["completed"] is (entry["status"]["messages"][-1][0] == "execution_success")
    assert listener.types()[-1] == "executing"
    assert listener.lost is None
    listener.transport.loseConnection()
    account(gpu)
    gpu.farm.control("POST", f"/api/instances/{gpu.backend.config.name}/reset", json={"files": True})
    gpu.farm.farm.log.events.clear()


def account(gpu: MemoryInstance) -> None:
    """By the log: what came in either ran to its end or was taken out."""
    counts = {Submitted: 0, Taken: 0, Finished: 0, QueueDeleted: 0, QueueCleared: 0}
    for event in gpu.farm.farm.log.events:
        if type(event) in counts and event.instance == gpu.backend.config.name:
            counts[type(event)] += len(event.prompt_ids) if isinstance(event, QueueCleared) else 1
    assert counts[Submitted] == counts[Taken] + counts[QueueDeleted] + counts[QueueCleared]
    assert counts[Taken] == counts[Finished]


@given(instances, bodies)
@often
def test_any_body_is_answered_and_the_next_job_runs(memory_farm: Start, name: str, body: Any) -> None:
    """``POST /prompt``."""
    assume("" not in body if isinstance(body, dict) else True)
    gpu = _gpu(memory_farm, name)
    with no_error_of_ours():
        ask(gpu, "/prompt", body)
        check(gpu)


@given(instances, st.lists(spoilt_workflows(), min_size=1, max_size=3))
@often
def test_workflows_with_one_thing_spoilt_do_no_harm(memory_farm: Start, name: str, prompts: list[Any]) -> None:
    """Refused, or run to their end."""
    gpu = _gpu(memory_farm, name)
    with no_error_of_ours():
        for prompt in prompts:
            ask(gpu, "/prompt", {"prompt": prompt, "client_id": "me"})
        check(gpu)


wishes = st.fixed_dictionaries(
    {},
    optional={
        "clear": values,
        "delete": st.lists(st.sampled_from(["0b1f8a1e-5c1d-4f3e-9d0e-2c3b4a596877", "x"]) | values) | values,
        "prompt_id": values,
        "unload_models": values,
        "free_memory": values,
    },
)
PATHS = ["/queue", "/history", "/interrupt", "/free"]


@given(instances, st.lists(st.tuples(st.sampled_from(PATHS), wishes | values), max_size=4))
@often
def test_any_wish_is_answered_while_jobs_run_and_wait(
    memory_farm: Start, name: str, asked: list[tuple[str, Any]]
) -> None:
    """``POST /queue``, ``/history``, ``/interrupt`` and ``/free``, in any order."""
    gpu = _gpu(memory_farm, name)
    with no_error_of_ours():
        for number in (1, 1, 2, None):
            job = {"prompt": GOOD, "prompt_id": "0b1f8a1e-5c1d-4f3e-9d0e-2c3b4a596877"}
            ask(gpu, "/prompt", job if number is None else {**job, "number": number})
            gpu.farm.advance(0.001)
        for path, body in asked:
            assert ask(gpu, path, body) != 400
            gpu.farm.advance(0.001)
        check(gpu)


@given(st.lists(values.map(json.dumps) | words.map(lambda text: text.encode(errors="replace").decode()), max_size=5))
@often
def test_any_text_over_the_websocket_does_no_harm(memory_farm: Start, messages: list[str]) -> None:
    """The socket stays open, and hears of its job."""
    gpu = _gpu(memory_farm, "strict")
    with no_error_of_ours():
        talker = gpu.listen("talker")
        for message in messages:
            talker.transport.sendTextMessage(message)
            talker.transport.sendBytesMessage(message.encode())
        gpu.farm.advance(0)
        ask(gpu, "/prompt", {"prompt": GOOD, "client_id": "talker"})
        gpu.farm.advance(1)
        assert talker.lost is None
        assert talker.types()[-1] == "executing"
        talker.transport.loseConnection()
        check(gpu)


@given(st.binary(min_size=1, max_size=40))
@often
def test_broken_frames_cost_their_sender_the_socket_and_nobody_else_anything(
    memory_farm: Start, frames: bytes
) -> None:
    """Bytes that are no websocket; a socket that was closed for it is not told of anything more."""
    gpu = _gpu(memory_farm, "strict")
    with no_error_of_ours():
        talker: Any = gpu.listen("talker")
        talker.transport.transport.write(frames)
        gpu.farm.advance(0)
        ask(gpu, "/prompt", {"prompt": GOOD, "client_id": "talker"})
        check(gpu)
        talker.transport.transport.loseConnection()
        gpu.farm.advance(0)


@given(st.binary(max_size=60))
@often
def test_any_bytes_are_some_answer_or_none(memory_farm: Start, data: bytes) -> None:
    """A body of any bytes, at every route that reads one."""
    gpu = _gpu(memory_farm, "strict")
    with no_error_of_ours():
        for path in ("/prompt", *PATHS, "/upload/image", "/upload/mask"):
            for content_type in ("application/json", "multipart/form-data; boundary=x"):
                reply = gpu.ask("POST", path, data=data, headers={"Content-Type": content_type})
                assert reply.status in (200, 400, 500)
        check(gpu)


_FARMS: dict[int, MemoryFarm] = {}


def _gpu(memory_farm: Start, name: str) -> MemoryInstance:
    """One farm for all examples of a test."""
    key = id(memory_farm)
    if key not in _FARMS:
        _FARMS.clear()
        _FARMS[key] = memory_farm(FARM)
    return _FARMS[key][name]


@pytest.fixture(autouse=True)
def _forget_farms() -> Iterator[None]:
    yield
    _FARMS.clear()
