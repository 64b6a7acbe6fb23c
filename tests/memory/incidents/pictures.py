"""Pictures that go to the wrong server, are overwritten, are missing, or do not come whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import IncompleteRead
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Asking, Reply
from tests.memory.incidents.asking import begin, data_of, entry_of, fired, post, queue, upload, view
from tests.memory.incidents.table import Start, incident, stage

PASS_ON = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "mine"}},
}
"""A prompt that needs the picture."""


def listed(farm: MemoryFarm, prompt_id: str) -> dict[str, str]:
    """The one picture that history names."""
    (image,) = entry_of(farm, prompt_id)["outputs"]["9"]["images"]
    found: dict[str, str] = image
    return found


def seed_in(picture: Reply) -> int:
    """The seed of the prompt that made a picture, which ComfyUI writes into it."""
    with Image.open(BytesIO(picture.body)) as image:
        return int(json.loads(image.info["prompt"])["3"]["inputs"]["seed"])


# F34: where is the picture?


def _uploads_anywhere(farm: MemoryFarm, runs_on: str) -> Reply:
    """Fall for it: upload first, choose a server for the job afterwards."""
    _upload(farm, "gpu-1")
    return farm[runs_on].ask("POST", "/prompt", json={"prompt": PASS_ON})


def _uploads_where_it_runs(farm: MemoryFarm, runs_on: str) -> Reply:
    """Choose a server first."""
    _upload(farm, runs_on)
    return farm[runs_on].ask("POST", "/prompt", json={"prompt": PASS_ON})


def _upload(farm: MemoryFarm, name: str) -> None:
    picture = BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    stored = upload(farm, name, picture.getvalue())
    assert (stored.status, stored.json()) == (200, {"name": "mine.png", "subfolder": "", "type": "input"})


@incident("F34")
def uploaded_here_and_run_there(start: Start) -> None:
    """The other server has no such file: 400, with the node that wants it; no job comes to be."""
    farm = stage(start, "F34", validation="off")     # the incident sees to strict validation
    refused = _uploads_anywhere(farm, "gpu-2")
    assert refused.status == 400
    assert refused.json()["error"]["type"] == "prompt_outputs_failed_validation"
    (error,) = refused.json()["node_errors"]["1"]["errors"]
    assert (error["type"], error["details"]) == ("custom_validation_failed", "image - Invalid image file: mine.png")
    assert queue(farm, "gpu-2") == ([], [])
    assert farm["gpu-2"].ask("GET", "/view?filename=mine.png&type=input").status == 404
    assert _uploads_anywhere(farm, "gpu-1").status == 200

    farm = stage(start, "F34", validation="off")
    taken = _uploads_where_it_runs(farm, "gpu-2")
    assert (taken.status, taken.json()["node_errors"]) == (200, {})
    farm.run_until_idle()
    assert entry_of(farm, taken.json()["prompt_id"], "gpu-2")["status"]["status_str"] == "success"


@incident("F39")
def the_same_file_name_twice(start: Start) -> None:
    """Two histories name one file, and it shows the second job's picture; the third has a name of its own."""
    farm = stage(start, "F39", instances=1)
    first = post(farm, seed=11)
    farm.advance("400ms")
    assert seed_in(view(farm, listed(farm, first))) == 11, "who is quick gets it"
    second, third = post(farm, seed=12), post(farm, seed=13)
    farm.run_until_idle()
    shown = [listed(farm, each) for each in (first, second, third)]
    assert [each["filename"] for each in shown] == ["ComfyUI_00001_.png", "ComfyUI_00001_.png", "ComfyUI_00002_.png"]
    assert [seed_in(view(farm, each)) for each in shown] == [12, 12, 13]


@incident("F40")
def listed_but_missing_late_or_elsewhere(start: Start) -> None:
    """All jobs end well, and name a file; only patience finds the second, only searching the third."""
    farm = stage(start, "F40", instances=1)
    me = farm["gpu-1"].listen("me")
    jobs = [post(farm, seed=seed) for seed in (11, 12, 13, 14)]
    farm.advance("1324ms")
    assert [entry_of(farm, each)["status"]["status_str"] for each in jobs] == ["success"] * 4
    missing, late, elsewhere, usual = shown = [listed(farm, each) for each in jobs]
    assert shown == [
        {"filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"},
        {"filename": "ComfyUI_00002_.png", "subfolder": "", "type": "output"},
        {"filename": "ComfyUI_00003_.png", "subfolder": "elsewhere", "type": "output"},
        {"filename": "ComfyUI_00004_.png", "subfolder": "", "type": "output"},
    ]
    assert [each["output"]["images"] for each in data_of(me, "executed")] == [[each] for each in shown]
    assert [view(farm, each).status for each in shown] == [404, 404, 404, 200]
    assert seed_in(view(farm, {**elsewhere, "subfolder": ""})) == 13
    assert seed_in(view(farm, usual)) == 14
    farm.advance("4337ms")
    assert view(farm, late).status == 404
    farm.advance("1ms")
    assert seed_in(view(farm, late)) == 12, "five seconds after it was saved"
    farm.advance("1h")
    assert view(farm, missing).status == 404


@incident("F41")
def a_picture_is_cut_short(start: Start) -> None:
    """200 and the whole length are promised, half of it comes, and the connection ends; the next time all is well."""
    farm = stage(start, "F41", instances=1, mode="dynamic")
    prompt_id = post(farm, seed=11)
    farm.advance("1s")
    image = listed(farm, prompt_id)
    asking = begin(farm, "GET", f"/view?filename={image['filename']}")
    farm.advance(0)
    head, _, body = asking.transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert asking.transport.disconnecting
    with pytest.raises(IncompleteRead):
        asking.end()
    whole = view(farm, image)
    assert f"Content-Length: {len(whole.body)}".encode() in head.split(b"\r\n")
    assert body == whole.body[:len(whole.body) // 2]
    assert seed_in(whole) == 11
    with pytest.raises((OSError, SyntaxError)), Image.open(BytesIO(body)) as cut:
        cut.load()


# F42: who has a connection left?


@dataclass
class Pool:
    """At most ten connections to a server.

    :ivar is_open: the exchanges that each of them waits for.
    """

    farm: MemoryFarm
    is_open: list[Asking] = field(default_factory=list)

    def ask(self, path: str) -> Asking | None:
        """Begin an exchange; ``None`` where no connection is left for it."""
        self.is_open = [each for each in self.is_open if each.reply() is None]
        if len(self.is_open) == 10:
            return None
        self.is_open.append(begin(self.farm, "GET", path))
        self.farm.advance(0)
        return self.is_open[-1]

    def give_up(self) -> None:
        """Hang up where no answer has come."""
        for each in self.is_open:
            each.channel.connectionLost(Failure(ConnectionDone()))
        self.is_open = []


def _waits_for_ever(pool: Pool, paths: list[str]) -> tuple[int, bool]:
    """Fall for it: an answer will come; downloads and probes share the connections.

    Give how many pictures came within an hour, and whether a probe was answered then.
    """
    came = [pool.ask(path) for path in paths]
    pool.farm.advance("1h")
    probe = pool.ask("/prompt")
    return len([each for each in came if each is not None and each.reply()]), probe is not None


def _has_a_time_limit(pool: Pool, paths: list[str]) -> tuple[int, bool]:
    """Give up after half a minute, and ask again for what has not come; a probe has a connection of its own."""
    came: dict[str, Any] = {}
    probes = Pool(pool.farm)
    for _ in range(3):
        asked = {path: asking for path in paths if path not in came and (asking := pool.ask(path))}
        pool.farm.advance("30s")
        came |= {path: reply for path, each in asked.items() if (reply := each.reply())}
        pool.give_up()
    probe = probes.ask("/prompt")
    return len(came), probe is not None and probe.reply() is not None


@incident("F42")
def no_connection_is_left(start: Start) -> None:
    """Of twelve pictures ten are asked for, and nothing comes, not a byte; on another connection all is well."""
    clients: dict[Callable[[Pool, list[str]], tuple[int, bool]], tuple[int, bool]] = {
        _waits_for_ever: (0, False),
        _has_a_time_limit: (12, True),
    }
    for client, became in clients.items():
        farm = stage(start, "F42", instances=1, mode="dynamic")
        jobs = [post(farm, seed=seed) for seed in range(12)]
        farm.run_until_idle()
        pool = Pool(farm)
        assert client(pool, [f"/view?filename={listed(farm, each)['filename']}" for each in jobs]) == became
        assert [each.transport.value() for each in pool.is_open] == ([b""] * 10 if became[0] == 0 else [])
        assert len(fired(farm)) == 10
        assert farm["gpu-1"].ask("GET", "/prompt").status == 200
        assert seed_in(view(farm, listed(farm, jobs[0]))) == 0
