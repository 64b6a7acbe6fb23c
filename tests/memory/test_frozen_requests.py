"""What does the log say of requests that came to a process that heard nobody?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.events import Exchanged
from comfyfarm.testing import MemoryFarm

Start = Callable[[Any], MemoryFarm]
TWO = {"instance": [{"name": "gpu-{n}", "count": 2}]}


def test_a_request_began_when_it_came_though_it_was_heard_at_the_thaw(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="10s"):
        farm.advance("3s")
        asking = farm.wire.begin(farm["gpu-1"].backend.site, "GET", "/queue")
        farm.advance("7s")
    assert asking.end().status == 200
    farm["gpu-1"].ask("GET", "/prompt")
    told = [(each.path, each.began_ms, each.at_ms, each.status) for each in farm.farm.log.of(Exchanged)]
    assert told == [("/queue", 3_000, 10_000, 200), ("/prompt", 10_000, 10_000, 200)]


def test_nobody_was_answered_who_had_hung_up_while_the_process_was_frozen(memory_farm: Start) -> None:
    """The process answers at its thaw, and does not know better; the log does."""
    farm = memory_farm(TWO)
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="10s"):
        farm.advance("3s")
        for path in ("/queue", "/prompt"):
            asking = farm.wire.begin(farm["gpu-1"].backend.site, "GET", path)
            farm.advance("1s")
            if path == "/queue":
                asking.channel.connectionLost(Failure(ConnectionDone()))
        farm.advance("5s")
    assert asking.end().status == 200
    told = [(each.path, each.status, each.size_bytes > 0) for each in farm.farm.log.of(Exchanged)]
    assert told == [("/queue", 0, False), ("/prompt", 200, True)]
