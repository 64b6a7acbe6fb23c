"""Files and history entries that are not as they should be, as a client gets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, UnidentifiedImageError

from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Reply
from tests.support.instance_story import picture

Start = Callable[[Any], MemoryFarm]


def start(memory_farm: Start, *faults: dict[str, Any], count: int = 1, **settings: Any) -> MemoryFarm:
    instance = {"name": "gpu-{n}", "count": count, "port": 0, "mode": "dynamic", **settings}
    return memory_farm({"instance": [instance], "fault": list(faults)})


def post(farm: MemoryFarm, colour: int = 0, name: str = "gpu-1", prefix: str = "barn") -> str:
    prompt = picture(prefix, colour=colour)
    return str(farm[name].ask("POST", "/prompt", json={"prompt": prompt}).json()["prompt_id"])


def entry(farm: MemoryFarm, prompt_id: str, name: str = "gpu-1") -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = farm[name].ask("GET", f"/history/{prompt_id}").json()
    return found.get(prompt_id, {})


def listed(farm: MemoryFarm, prompt_id: str, name: str = "gpu-1") -> dict[str, Any]:
    shown: dict[str, Any] = entry(farm, prompt_id, name)["outputs"]["2"]["images"][0]
    return shown


def view(farm: MemoryFarm, shown: dict[str, Any], name: str = "gpu-1") -> Reply:
    query = "&".join(f"{key}={value}" for key, value in shown.items())
    return farm[name].ask("GET", f"/view?{query}")


def colour_of(reply: Reply) -> Any:
    with Image.open(BytesIO(reply.body)) as image:
        return image.convert("RGB").getpixel((0, 0))


def log(farm: MemoryFarm, *kinds: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in farm.control("GET", "/api/log?since=0").body.splitlines()]
    return [event for event in events if event["kind"] in kinds]


def test_a_listed_file_is_not_served(memory_farm: Start) -> None:
    """History names it, ``/view`` says 404; the next job's is there."""
    farm = start(memory_farm, {"do": "missing", "at": "save", "times": 1})
    ids = [post(farm), post(farm, 1)]
    farm.run_until_idle()
    shown = [listed(farm, each) for each in ids]
    assert [each["filename"] for each in shown] == ["barn_00001_.png", "barn_00002_.png"]
    assert [view(farm, each).status for each in shown] == [404, 200]


def test_a_static_instance_lists_a_name_that_no_file_has(memory_farm: Start) -> None:
    """Its one picture belongs to all jobs, and is served to the next one."""
    farm = start(memory_farm, {"do": "missing", "at": "save", "times": 1}, mode="static")
    ids = [post(farm), post(farm, 1)]
    farm.run_until_idle()
    assert [view(farm, listed(farm, each)).status for each in ids] == [404, 200]


def test_a_file_goes_a_while_after_it_was_written(memory_farm: Start) -> None:
    """Who is quick gets it."""
    farm = start(memory_farm, {"do": "missing", "at": "save", "lives": "10s"})
    prompt_id = post(farm)
    farm.advance("5s")
    assert view(farm, listed(farm, prompt_id)).status == 200
    farm.advance("6s")
    assert view(farm, listed(farm, prompt_id)).status == 404


def test_a_late_file_is_listed_first(memory_farm: Start) -> None:
    """And whole, once it is there."""
    farm = start(memory_farm, {"do": "late", "at": "save", "duration": "3s"})
    prompt_id = post(farm, 0xFF0000)
    farm.advance("1s")
    assert entry(farm, prompt_id)["status"]["status_str"] == "success"
    assert view(farm, listed(farm, prompt_id)).status == 404
    farm.advance("3s")
    assert colour_of(view(farm, listed(farm, prompt_id))) == (255, 0, 0)


def test_a_cut_file_is_served_with_the_length_that_it_has(memory_farm: Start) -> None:
    """It is no picture any more, and nothing but its content tells."""
    farm = start(memory_farm, {"do": "cut_file", "at": "save", "size": "40B"})
    prompt_id = post(farm)
    farm.run_until_idle()
    reply = view(farm, listed(farm, prompt_id))
    assert (reply.status, len(reply.body)) == (200, 40)
    assert reply.body.startswith(b"\x89PNG")
    with pytest.raises((UnidentifiedImageError, OSError, SyntaxError)), Image.open(BytesIO(reply.body)) as image:
        image.load()


def test_a_misplaced_file_is_found_only_by_who_looks_elsewhere(memory_farm: Start) -> None:
    """The socket says the same wrong subfolder as history."""
    farm = start(memory_farm, {"do": "misplace", "at": "save", "subfolder": "other"})
    heard = farm["gpu-1"].listen("me")
    prompt = picture("day/barn")
    answer = farm["gpu-1"].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})
    farm.run_until_idle()
    shown = listed(farm, answer.json()["prompt_id"])
    assert shown == {"filename": "barn_00001_.png", "subfolder": "other", "type": "output"}
    executed = [each["data"]["output"] for each in heard.heard if isinstance(each, dict) and each["type"] == "executed"]
    assert executed == [{"images": [shown]}]
    assert view(farm, shown).status == 404
    assert view(farm, {**shown, "subfolder": "day"}).status == 200


def test_two_jobs_list_one_file_and_the_later_picture_is_in_it(memory_farm: Start) -> None:
    farm = start(memory_farm, {"do": "same_name", "at": {"phase": "save", "job": 2}})
    ids = [post(farm, 0xFF0000), post(farm, 0x00FF00)]
    farm.run_until_idle()
    first, second = (listed(farm, each) for each in ids)
    assert first == second
    assert colour_of(view(farm, first)) == (0, 255, 0)


def test_two_instances_that_share_a_folder_write_to_one_file(memory_farm: Start, tmp_path: Path) -> None:
    """The second overwrites the first one's; a user's own file is never touched."""
    (tmp_path / "mine_00007_.png").write_bytes(b"mine")
    farm = start(
        memory_farm, {"do": "same_name", "at": "save", "on": "gpu-2"}, count=2, output_dir=str(tmp_path)
    )
    first = post(farm, 0xFF0000)
    farm.run_until_idle()
    second = post(farm, 0x00FF00, "gpu-2")
    theirs = post(farm, 0x0000FF, "gpu-2", prefix="mine")
    farm.run_until_idle()
    assert listed(farm, first) == listed(farm, second, "gpu-2")
    assert colour_of(view(farm, listed(farm, first))) == (0, 255, 0)
    assert listed(farm, theirs, "gpu-2")["filename"] == "mine_00008_.png"
    assert (tmp_path / "mine_00007_.png").read_bytes() == b"mine"


def test_nothing_of_a_late_or_cut_file_is_left_when_the_farm_stops(memory_farm: Start, tmp_path: Path) -> None:
    """Whether it had come or not; a user's file stays."""
    (tmp_path / "mine.png").write_bytes(b"mine")
    farm = start(
        memory_farm,
        {"do": "late", "at": {"phase": "save", "job": 1}, "duration": "1h"},
        {"do": "late", "at": {"phase": "save", "job": 2}, "duration": "1s"},
        {"do": "cut_file", "at": {"phase": "save", "job": 3}},
        output_dir=str(tmp_path),
    )
    for colour in (1, 2, 3):
        post(farm, colour, prefix="sub/barn")
    farm.advance("1min")
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["barn_00002_.png", "barn_00003_.png"]
    farm.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


def test_a_job_is_out_of_history_before_anybody_has_read_it(memory_farm: Start) -> None:
    """Its file is there; neither queue nor history knows of it."""
    farm = start(memory_farm, {"do": "evict", "at": "history", "times": 1})
    gone, kept = post(farm), post(farm, 1)
    farm.run_until_idle()
    assert (entry(farm, gone), entry(farm, kept)["status"]["completed"]) == ({}, True)
    assert farm["gpu-1"].ask("GET", "/history").json().keys() == {kept}
    assert farm["gpu-1"].ask("GET", "/queue").json() == {"queue_running": [], "queue_pending": []}
    assert view(farm, {"filename": "barn_00001_.png", "type": "output"}).status == 200


def test_a_success_shows_no_outputs(memory_farm: Start) -> None:
    farm = start(memory_farm, {"do": "empty_outputs", "at": "history"})
    prompt_id = post(farm)
    farm.run_until_idle()
    found = entry(farm, prompt_id)
    assert (found["outputs"], found["status"]["status_str"]) == ({}, "success")


def test_success_is_heard_before_history_has_it(memory_farm: Start) -> None:
    """Who asks at once finds nothing, and 2 s later the job."""
    farm = start(memory_farm, {"do": "delay", "at": "history", "duration": "2s"})
    heard = farm["gpu-1"].listen("me")
    answer = farm["gpu-1"].ask("POST", "/prompt", json={"prompt": picture(), "client_id": "me"})
    prompt_id = answer.json()["prompt_id"]
    farm.advance("1s")
    assert "execution_success" in heard.types()
    assert entry(farm, prompt_id) == {}
    farm.advance("2s")
    assert entry(farm, prompt_id)["status"]["completed"]


def test_what_becomes_of_files_is_in_the_log(memory_farm: Start) -> None:
    """So that whoever judges a client knows what there was to be seen."""
    farm = start(
        memory_farm,
        {"do": "late", "at": {"phase": "save", "job": 1}, "duration": "1s"},
        {"do": "cut_file", "at": {"phase": "save", "job": 2}, "size": "9B"},
    )
    post(farm)
    post(farm, 1)
    farm.advance("5s")
    told = log(farm, "written", "file_removed", "file_appeared", "file_cut")
    first_bytes, second_bytes = (event["size_bytes"] for event in told if event["kind"] == "written")
    assert min(first_bytes, second_bytes) > 500
    assert [(event["kind"], event["name"], event.get("size_bytes")) for event in told] == [
        ("written", "barn_00001_.png", first_bytes),
        ("file_removed", "barn_00001_.png", None),
        ("written", "barn_00002_.png", second_bytes),
        ("file_cut", "barn_00002_.png", 9),
        ("file_appeared", "barn_00001_.png", None),
    ]
