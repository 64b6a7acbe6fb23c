"""The farm's own API, on a port of its own."""

from collections.abc import Callable
from gc import collect
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from comfyfarm.events import Configured, Reset
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

TWO = {
    "farm": {"seed": 7},
    "instance": [{"name": "sta"}, {"name": "dyn", "mode": "dynamic"}],
}
BOUNDARY = b'--x\r\nContent-Disposition: form-data; name="image"; filename="mine.png"\r\n\r\nbytes\r\n--x--\r\n'
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def run(farm: MemoryFarm, name: str) -> None:
    farm[name].ask("POST", "/prompt", json={"prompt": text_to_image()})
    farm.advance(1)


def outputs(farm: MemoryFarm, name: str) -> list[str]:
    return sorted(path.name for path in farm.farm.backends[name].disk.output_dir.iterdir())


def uploads(farm: MemoryFarm, name: str) -> set[str]:
    return {path.name for path in farm.farm.backends[name].disk.input_dir.iterdir()}


def test_a_farm_that_serves_says_so(memory_farm: Start) -> None:
    reply = memory_farm(TWO).control("GET", "/healthz")
    assert (reply.status, reply.json()) == (200, {"status": "ok"})
    assert reply.headers["content-type"] == "application/json"


def test_a_farm_says_where_everything_is_and_how_it_goes(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    run(farm, "dyn")
    farm["dyn"].ask("POST", "/prompt", json={"prompt": text_to_image()})
    state = farm.control("GET", "/api/farm").json()
    assert {key: state[key] for key in ("seed", "speed", "at_ms")} == {"seed": 7, "speed": 1.0, "at_ms": 1000}
    assert state["control"].startswith("http://127.0.0.1:")
    assert list(state["instances"]) == ["sta", "dyn"]
    dyn = state["instances"]["dyn"]
    assert (dyn["mode"], dyn["epoch"], dyn["queue_remaining"], dyn["history"]) == ("dynamic", 1, 1, 1)
    assert Path(dyn["output_dir"]).is_dir()
    assert Path(state["instances"]["sta"]["input_dir"], "kernie_512x768.jpg").is_file()
    assert len({each["url"] for each in state["instances"].values()}) == 2


def test_one_instance_forgets_and_the_others_do_not(memory_farm: Start) -> None:
    """Queue, history and uploads; the running job ends without a word, and the next one runs at once."""
    farm = memory_farm(TWO)
    before = uploads(farm, "dyn")
    for name in ("sta", "dyn"):
        run(farm, name)
    for name in ("sta", "dyn"):
        farm[name].ask("POST", "/upload/image", data=BOUNDARY, headers=MULTIPART)
        for _ in range(2):
            farm[name].ask("POST", "/prompt", json={"prompt": text_to_image()})
    farm.advance(0.05)
    assert farm.control("POST", "/api/instances/dyn/reset").json() == {"status": "ok"}
    counts = {}
    for name in ("sta", "dyn"):
        remaining = farm[name].ask("GET", "/prompt").json()["exec_info"]["queue_remaining"]
        counts[name] = remaining, len(farm[name].ask("GET", "/history").json())
    assert counts == {"sta": (2, 1), "dyn": (0, 0)}
    assert uploads(farm, "dyn") == before
    assert uploads(farm, "sta") == {*before, "mine.png"}
    run(farm, "dyn")
    assert len(farm["dyn"].ask("GET", "/history").json()) == 1
    assert [(each.instance, each.files) for each in farm.farm.log.of(Reset)] == [("dyn", False)]


def test_files_and_numbers_outlive_a_reset_unless_they_are_meant(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    run(farm, "dyn")
    farm.control("POST", "/api/reset")
    run(farm, "dyn")
    assert outputs(farm, "dyn") == ["ComfyUI_00001_.png", "ComfyUI_00002_.png"]
    farm.control("POST", "/api/reset", json={"files": True})
    assert outputs(farm, "dyn") == []
    run(farm, "dyn")
    assert outputs(farm, "dyn") == ["ComfyUI_00001_.png"]


def test_a_reset_of_all_reaches_every_instance(memory_farm: Start) -> None:
    """And its cache: the same prompt again runs again."""
    farm = memory_farm({"instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic", "cache": "ram"}]})
    for _ in range(2):
        for name in farm.farm.backends:
            run(farm, name)
        farm.control("POST", "/api/reset", data=b"")
    assert {name: len(outputs(farm, name)) for name in farm.farm.backends} == {"gpu-1": 2, "gpu-2": 2, "gpu-3": 2}
    assert [farm[name].ask("GET", "/history").json() for name in farm.farm.backends] == [{}, {}, {}]


def test_ids_do_not_repeat_after_a_reset(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    ids = set()
    for _ in range(5):
        reply = farm["sta"].ask("POST", "/prompt", json={"prompt": text_to_image()})
        ids.add(reply.json()["prompt_id"])
        farm.control("POST", "/api/reset")
    assert len(ids) == 5


def test_an_unknown_instance_is_named_with_those_that_there_are(memory_farm: Start) -> None:
    reply = memory_farm(TWO).control("POST", "/api/instances/no/reset")
    assert (reply.status, reply.json()) == (404, {"error": "no instance is called 'no'; there are: sta, dyn"})


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b'{"file": true}', 422, "file: unknown key (there are: files); did you mean 'files'?"),
        (b'{"files": 1}', 422, "files: expected bool, got int"),
        (b"[]", 422, "expected a table, got a list"),
        (b"null", 422, "expected a table, got null"),
        (b"{", 400, "Input data was truncated"),
        (b"\xff", 400, "JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_a_wish_that_is_not_understood_changes_nothing(
    memory_farm: Start, data: bytes, status: int, said: str
) -> None:
    farm = memory_farm(TWO)
    run(farm, "dyn")
    for path in ("/api/reset", "/api/instances/dyn/reset"):
        reply = farm.control("POST", path, data=data)
        assert reply.status == status
        assert reply.json()["error"].endswith(said)
    assert len(farm["dyn"].ask("GET", "/history").json()) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/api/reset", 405),
        ("PUT", "/api/farm", 405),
        ("GET", "/queue", 404),
        ("GET", "/api/instances/dyn/reset", 405),
    ],
)
def test_what_is_not_there_is_refused_in_json(memory_farm: Start, method: str, path: str, status: int) -> None:
    """Also what an instance would answer: this is none."""
    reply = memory_farm(TWO).control(method, path)
    assert reply.status == status
    assert reply.json()["error"].startswith(f"{method} {path}: ")
    assert "x-comfyfarm-instance" not in reply.headers


def test_the_log_begins_with_the_effective_configuration(memory_farm: Start) -> None:
    """With the seed, and without ports and paths of this machine."""
    farm = memory_farm(TWO)
    first = farm.farm.log.events[0]
    assert isinstance(first, Configured)
    assert (first.seq, first.at_ms, first.instance, first.epoch) == (1, 0, "", 0)
    assert first.config["farm"] == {
        "clock": "virtual",
        "seed": 7,
        "speed": 1.0,
        "fault_headers": False,
        "journal_bodies": False,
        "job_name": "prompt",
        "delivery": None,
    }
    assert [each["name"] for each in first.config["instance"]] == ["sta", "dyn"]
    assert first.config["instance"][0]["timing"]["step"] == "15ms"
    assert not {"port", "input", "output_dir"} & first.config["instance"][0].keys()


def test_a_farm_without_a_seed_tells_the_one_that_it_drew(memory_farm: Start) -> None:
    """In memory it is 0, so that a test is repeated."""
    assert memory_farm({}).control("GET", "/api/farm").json()["seed"] == 0


def test_a_farm_that_has_stopped_is_not_kept_in_memory() -> None:
    farm = MemoryFarm.start(as_config(TWO))
    run(farm, "dyn")
    gone = ref(farm.farm)
    farm.stop()
    del farm
    collect()
    assert gone() is None
