"""``speed``: simulated time that passes faster, or slower, than the clock's; and runs that repeat themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.config import read
from comfyfarm.control.app import FarmApp
from comfyfarm.events import Finished, StepTaken
from comfyfarm.server.farm import make_farm
from comfyfarm.server.ports import MemoryPort
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]


def on_clock(clock: Clock, folder: Path, raw: dict[str, Any]) -> FarmApp:
    """A farm of one whose clock counts as a real one; it is started."""
    settings = {"control_port": 0, "data_dir": str(folder), **raw.pop("farm", {})}
    reactor = MemoryReactorClock()
    config = read({"farm": settings, "instance": [{"port": 0}], **raw}, folder)
    farm = make_farm(config, reactor=reactor, clock=clock, bind=lambda _, port: MemoryPort(reactor, port), unix_ms=0)
    app = FarmApp(farm)
    app.startService()
    return app


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 0.331), (10.0, 0.0331), (0.5, 0.662), (1000.0, 0.000331)])
def test_a_job_takes_as_long_as_the_speed_says(tmp_path: Path, speed: float, seconds: float) -> None:
    """By the clock of the machine; by its own clock it takes the same."""
    clock = Clock()
    app = on_clock(clock, tmp_path, {"farm": {"speed": speed}})
    farm = app.farm
    backend = farm.backends["comfyui"]
    backend.instance.submit({"prompt": text_to_image()}, PromptSource(), backend.driver.catch_up())
    backend.driver.set_alarm()
    clock.advance(seconds * 0.99)
    assert not list(farm.log.of(Finished))
    clock.advance(seconds * 0.02)
    assert [event.at_ms for event in farm.log.of(Finished)] == [331]    # 7 x 3 ms, 20 x 15 ms, 10 ms
    maybeDeferred(app.stopService)


def test_the_clock_goes_faster_from_a_step_of_a_scenario_on(tmp_path: Path) -> None:
    clock = Clock()
    steps = [{"at": "1s", "speed": 10}, {"at": "11s", "pause": "*"}]
    app = on_clock(clock, tmp_path, {"scenario": [{"name": "faster", "step": steps}]})
    clock.advance(1)
    clock.advance(0.99)
    assert [(event.at_ms, event.action) for event in app.farm.log.of(StepTaken)] == [(1000, "speed")]
    clock.advance(0.02)
    assert [(event.at_ms, event.action) for event in app.farm.log.of(StepTaken)][1:] == [(11_100, "pause")]
    maybeDeferred(app.stopService)


def an_eventful_run(memory_farm: Start, seed: int, path: Path, names: tuple[str, ...] = ("a", "b")) -> bytes:
    """Jobs, an interrupt, an error, uploads, sockets and refusals; the answer is the saved log."""
    farm = memory_farm(
        {
            "farm": {"seed": seed, "log": str(path)},
            "instance": [{"name": name, "mode": "dynamic", "cache": "ram"} for name in names],
        }
    )
    nameless = farm["a"].listen("")
    farm["a"].listen("me")
    for name in names:
        gpu = farm[name]
        for prefix in ("barn", "../outside", "sub/barn"):
            gpu.ask("POST", "/prompt", json={"prompt": text_to_image(prefix=prefix, steps=3), "client_id": "me"})
        preview = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
        gpu.ask("POST", "/prompt", json={"prompt": text_to_image() | {"10": preview}})
        gpu.ask("POST", "/prompt", json={})
        farm.advance(0.05)
        gpu.ask("POST", "/interrupt")
        farm.advance(0.31)
    nameless.transport.loseConnection()
    farm.advance(5)
    farm.control("POST", "/api/reset")
    farm.stop()
    return path.read_bytes()


def test_two_runs_with_one_seed_give_equal_logs(memory_farm: Start, tmp_path: Path) -> None:
    """Byte for byte, whenever and wherever they ran; another seed gives another one."""
    first, again, other = (
        an_eventful_run(memory_farm, seed, tmp_path / f"{index}.jsonl") for index, seed in enumerate((7, 7, 8))
    )
    assert first == again
    assert first != other
    assert len(first.splitlines()) > 100
    for word in (str(tmp_path), "/tmp", "127.0.0.1", "40000"):  # noqa: S108 (it must not be there)
        assert word.encode() not in first


def test_one_more_instance_changes_nothing_for_the_others(memory_farm: Start, tmp_path: Path) -> None:
    """Each has draws of its own."""

    def of_a(log: bytes) -> set[bytes]:
        words = (line.split(b'"prompt_id":"')[1][:36] for line in log.splitlines() if b'"submitted"' in line)
        return set(words)

    alone = of_a(an_eventful_run(memory_farm, 7, tmp_path / "alone.jsonl", ("a",)))
    together = of_a(an_eventful_run(memory_farm, 7, tmp_path / "together.jsonl", ("a", "b", "c")))
    assert len(alone) == 4
    assert alone < together
