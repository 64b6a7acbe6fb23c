"""Answers and messages that a client misreads that knows only the usual ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from json import JSONDecodeError
from typing import Any

import pytest

from comfyfarm.testing import MemoryFarm
from tests.memory.incidents.asking import USUAL, begin, fired, heard, post, queue, submit, upload
from tests.memory.incidents.moments import ended_ms
from tests.memory.incidents.table import Start, incident, stage

MEGABYTE = 1 << 20


@incident("F35")
def too_large_in_anybodys_words(start: Start) -> None:
    """Neither answer is JSON: one is aiohttp's line of text, the other a proxy's page; nothing was taken on."""
    farm = stage(start, "F35", instances=1)
    plain, page = submit(farm), upload(farm)
    assert (plain.status, plain.body) == (413, b"Maximum request body size 1048576 exceeded.")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert (page.status, page.headers["content-type"], page.headers["server"]) == (413, "text/html", "nginx")
    assert page.body.startswith(b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n")
    for each in (plain, page):
        assert int(each.headers["content-length"]) == len(each.body)
        with pytest.raises(JSONDecodeError):
            each.json()
    assert queue(farm) == ([], [])
    assert farm["gpu-1"].ask("GET", "/view?filename=mine.png&type=input").status == 404

    assert submit(farm).status == 200
    assert upload(farm).status == 200
    really = submit(farm, extra_data={"much": "x" * MEGABYTE})
    assert (really.status, really.body) == (413, plain.body)
    assert submit(farm, extra_data={"less": "x" * (MEGABYTE - 5000)}).status == 200


@incident("F45")
def slow_and_huge_object_info(start: Start) -> None:
    """The first byte comes after 20 seconds, the last of 37 more pieces 9.25 seconds later; other paths are quick."""
    farm = stage(start, "F45", instances=1, api_nodes=False)
    asking = begin(farm, "GET", "/object_info")
    came = []
    for wait in ("19999ms", "1ms", "249ms", "1ms", "8999ms", "1ms"):
        farm.advance(wait)
        came.append(len(asking.transport.value().partition(b"\r\n\r\n")[2]))
        assert farm["gpu-1"].ask("GET", "/object_info/KSampler").status == 200
        large = farm["gpu-1"].ask("GET", "/view?filename=kernie_512x768.jpg&type=input")
        assert (large.status, len(large.body) > 70_000) == (200, True)
    whole = asking.end()
    size = int(whole.headers["content-length"])
    assert came == [0, 16_384, 16_384, 32_768, 37 * 16_384, size]
    assert (whole.status, "KSampler" in whole.json(), 600_000 < size < 38 * 16_384) == (200, True, True)

    farm.advance("750ms")       # half a minute after the start: at once, but in drips
    asking = begin(farm, "GET", "/object_info")
    farm.advance("9249ms")
    assert len(asking.transport.value().partition(b"\r\n\r\n")[2]) == 37 * 16_384
    farm.advance("1ms")
    assert asking.end().body == whole.body
    farm.advance("20750ms")     # and a minute after it: quick
    assert farm["gpu-1"].ask("GET", "/object_info").body == whole.body


@incident("F46")
def unknown_messages(start: Start) -> None:
    """Each ``executing`` and three of ``progress`` have something strange before them; the rest is as usual."""
    farm = stage(start, "F46", instances=1)
    me = farm["gpu-1"].listen("me")
    post(farm)
    farm.advance("1s")
    strange, told = ("something_new", "binary"), heard(me)
    assert tuple(each for each in told if each not in strange) == ("status 0", *USUAL)
    followed = list(pairwise(told))
    assert [after for each, after in followed if each == "something_new"] == [
        each for each in USUAL if each.startswith("executing")
    ]
    assert [after for each, after in followed if each == "binary"] == ["progress 1", "progress 8", "progress 15"]
    new: list[Any] = [each for each in me.heard if not isinstance(each, bytes) and each["type"] == "something_new"]
    assert new == [{"type": "something_new", "data": {}}] * 8
    binary = [each for each in me.heard if isinstance(each, bytes)]
    assert [(each[:4], len(each)) for each in binary] == [(b"\0\0\0\x63", 20)] * 3
    assert me.lost is None


# F48: is a server that failed once out of order?


def _takes_it_out(farm: MemoryFarm, names: list[str]) -> str | None:
    """Fall for it: whoever fails is never asked again.  Give the server that took the job on, or ``None``."""
    for name in names:
        if submit(farm, name).status == 200:
            return name
    return None


def _tries_again(farm: MemoryFarm, names: list[str]) -> str | None:
    """Take a server out after its third failure in a row."""
    for name in names * 3:
        if submit(farm, name).status == 200:
            return name
        farm.advance("1s")
    return None


@incident("F48")
def one_error_and_out(start: Start) -> None:
    """The first submit at each is answered with aiohttp's 500, in text; the next one is taken on."""
    names = ["gpu-1", "gpu-2", "gpu-3"]
    clients: dict[Callable[[MemoryFarm, list[str]], str | None], str | None] = {
        _takes_it_out: None,
        _tries_again: "gpu-1",
    }
    for client, took in clients.items():
        farm = stage(start, "F48", instances=3)
        assert client(farm, names) == took
        assert [name for _, name, _ in fired(farm)] == names
        assert [queue(farm, name) for name in names[1:]] == [([], []), ([], [])], "a refused submit is no job"
        assert all(farm[name].ask("GET", "/system_stats").status == 200 for name in names), "nothing is broken"

    farm = stage(start, "F48", instances=1)
    refused = submit(farm)
    assert (refused.status, refused.headers["content-type"]) == (500, "text/plain; charset=utf-8")
    assert refused.body == b"500 Internal Server Error\n\nServer got itself in trouble"
    prompt_id = post(farm)
    farm.advance("1s")
    assert ended_ms(farm, prompt_id) == 331
