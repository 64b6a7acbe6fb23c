"""A farm on a real clock whose reactor is held up, or whose machine's wall clock is set: a test moves both clocks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.config import read
from comfyfarm.control.app import FarmApp
from comfyfarm.events import FarmLate, WallClockJumped
from comfyfarm.server.farm import Farm, make_farm
from comfyfarm.testing.memory_client import MemoryWire, Reply
from comfyfarm.testing.memory_farm import memory_ports
from comfyfarm.workflows import text_to_image


@dataclass
class RealFarm:
    """A farm of two instances in memory, on a real clock.

    :ivar wall_s: what the machine's wall clock shows.
    """

    path: Path
    reactor: Any = field(default_factory=MemoryReactorClock)
    wall_s: float = 1_700_000_000.0

    def __post_init__(self) -> None:
        reactor, settings = self.reactor, {"log": str(self.path / "run.jsonl"), "control_port": 0, "delivery": "http"}
        instances = [{"name": name, "port": 0} for name in ("a", "b")]
        config = read({"farm": settings, "instance": instances}, self.path)
        bind, wall_s = memory_ports(reactor), lambda: self.wall_s + reactor.seconds()
        self.farm: Farm = make_farm(config, reactor=reactor, clock=reactor, bind=bind, unix_ms=0, wall_s=wall_s)
        self.app = FarmApp(self.farm)
        self.app.startService()
        self.wire = MemoryWire(reactor)

    def ask(self, name: str, method: str, path: str, **options: Any) -> Reply:
        site = self.farm.backends[name].site if name else self.app.server.site
        return self.wire.ask(site, method, path, **options)

    def control(self, path: str) -> Any:
        return self.ask("", "GET", path).json()

    def hold_up(self, seconds: float) -> None:
        """Let time pass without a turn of the reactor, and then the turn."""
        self.reactor.rightNow += seconds
        self.reactor.advance(0)

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.reactor.advance(0.01)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealFarm]:
    farm = RealFarm(tmp_path)
    yield farm
    maybeDeferred(farm.app.stopService)


def test_a_farm_without_anything_to_do_sets_no_timer(real: RealFarm) -> None:
    """Not one for each instance, nor one for the farm: an idle farm needs no processor."""
    assert real.ask("a", "GET", "/queue").status == 200
    for backend in real.farm.backends.values():
        backend.site.doStart()      # as a port of the machine does
    real.pass_s(1)
    assert [call for call in real.reactor.getDelayedCalls() if call.getTime() < real.reactor.seconds() + 60] == []


def test_a_farm_that_was_held_up_says_so_everywhere(real: RealFarm) -> None:
    """In the event log, in its state and in the verdict."""
    prompt = {"prompt": text_to_image(steps=100), "client_id": "me"}
    assert real.ask("a", "POST", "/prompt", json=prompt).status == 200
    real.pass_s(0.2)
    real.hold_up(7)
    (late,) = real.farm.log.of(FarmLate)
    assert (late.instance, late.at_ms) == ("", 7200)
    assert 6900 < late.late_ms == late.at_ms - late.since_ms <= 7000
    state = real.control("/api/farm")
    assert (state["lag_ms"], state["max_lag_ms"]) == (late.late_ms, late.late_ms)
    real.pass_s(29)
    verdict = real.control("/api/verdict")
    assert verdict["verdict"] == "unknown"
    (unfinished,) = (finding for finding in verdict["findings"] if finding["finding"] == "unfinished")
    assert "the farm itself was late" in unfinished["says"]
    assert real.control("/api/farm")["lag_ms"] < 50
    real.pass_s(2)
    assert real.control("/api/verdict")["verdict"] == "fail"


def test_a_verdict_knows_of_a_lateness_that_was_not_published_yet(real: RealFarm) -> None:
    for _ in range(2):
        real.ask("a", "GET", "/queue")
        real.hold_up(0.6)
    assert len(list(real.farm.log.of(FarmLate))) == 1
    real.control("/api/verdict")
    assert len(list(real.farm.log.of(FarmLate))) == 2


def test_a_jump_of_the_wall_clock_is_in_the_log_and_changes_no_time(real: RealFarm) -> None:
    """It is noticed at the next request."""
    real.pass_s(1)
    real.wall_s -= 3600
    real.ask("b", "GET", "/queue")
    real.pass_s(0.1)
    (jump,) = real.farm.log.of(WallClockJumped)
    assert (jump.by_ms, jump.at_ms) == (-3_600_000, 1020)
    assert real.farm.time.now_ms() == 1100
