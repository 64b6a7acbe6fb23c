"""Incidents of jobs that end well, and whose outputs come late, are not told, or are gone."""

from tests.memory.incidents.asking import USUAL, data_of, entry_of, heard, post, queue, view
from tests.memory.incidents.table import Start, incident, stage

FIRST_PICTURE = {"9": {"images": [{"filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"}]}}
CACHED = ("status 1", "status 1", *USUAL[2:4], *USUAL[-4:])
"""What a client hears of a job whose every node is cached."""


@incident("F14")
def success_before_history(memory_farm: Start) -> None:
    """Two seconds lie between; meanwhile the job is in the queue still, and its end is told behind the entry."""
    farm = stage(memory_farm, "F14")
    me = farm["gpu-1"].listen("me")
    prompt_id = post(farm)
    farm.advance("331ms")
    assert heard(me)[1:] == USUAL[:-2]
    assert data_of(me, "execution_success") == [{"prompt_id": prompt_id, "timestamp": 1_700_000_000_331}]
    farm.advance("1999ms")
    assert (entry_of(farm, prompt_id), queue(farm)) == (None, ([prompt_id], []))
    assert heard(me)[1:] == USUAL[:-2]
    farm.advance("1ms")
    entry = entry_of(farm, prompt_id)
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert entry["outputs"]["9"]["images"]
    assert (heard(me)[1:], queue(farm)) == (USUAL, ([], []))


@incident("F17")
def a_cached_run_without_outputs(memory_farm: Start) -> None:
    """It succeeds in no time, history shows nothing of it, and no second file is there; the first picture is."""
    farm = stage(memory_farm, "F17")
    me = farm["gpu-1"].listen("me")
    first = post(farm)
    farm.advance("331ms")
    assert entry_of(farm, first)["outputs"] == FIRST_PICTURE
    again = post(farm)
    farm.advance("0s")
    entry = entry_of(farm, again)
    assert (entry["outputs"], entry["meta"]) == ({}, {})
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert sorted(data_of(me, "execution_cached")[-1]["nodes"]) == ["3", "4", "5", "6", "7", "8", "9"]
    assert heard(me) == ("status 0", *USUAL, *CACHED)
    (image,) = FIRST_PICTURE["9"]["images"]
    assert view(farm, image).status == 200
    assert view(farm, {**image, "filename": "ComfyUI_00002_.png"}).status == 404
    third = post(farm)
    farm.advance("0s")
    assert entry_of(farm, third)["outputs"] == FIRST_PICTURE


@incident("F18")
def a_cached_run_names_files_that_are_gone(memory_farm: Start) -> None:
    """Ten seconds after it was written the picture goes; the same prompt again is done at once, and names it."""
    farm = stage(memory_farm, "F18")
    first = post(farm)
    farm.advance("331ms")
    (image,) = entry_of(farm, first)["outputs"]["9"]["images"]
    farm.advance("9999ms")
    assert (view(farm, image).status, view(farm, image).headers["content-type"]) == (200, "image/png")
    farm.advance("1ms")
    again = post(farm)
    farm.advance("0s")
    entry = entry_of(farm, again)
    assert (entry["outputs"], entry["status"]["status_str"]) == (FIRST_PICTURE, "success")
    assert (view(farm, image).status, view(farm, image).body) == (404, b"")
    fresh = post(farm, seed=1)
    farm.advance("331ms")
    (image,) = entry_of(farm, fresh)["outputs"]["9"]["images"]
    assert (image["filename"], view(farm, image).status) == ("ComfyUI_00002_.png", 200)
