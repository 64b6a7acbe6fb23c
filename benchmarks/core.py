"""The pure core in virtual time, and the farm in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from benchmarks.http import AT_ONCE, SMALL_JOB
from benchmarks.rows import Effort, Result, family, in_child
from comfyfarm.config.recorded import recorded
from comfyfarm.events import Event, Finished
from comfyfarm.events.encoding import as_object
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults
from comfyfarm.seeds import Seeds
from comfyfarm.sim.cache import ResultCache
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.files import MemoryFiles
from comfyfarm.sim.instance import Instance
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import Memory
from comfyfarm.sim.naming import Namer
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.sim.settings import Settings, Timing
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.workflows import text_to_image

STEPS, NODES = 20, 7
JOB_MS = STEPS * 15 + NODES * 3 + 10
HOUR_MS = 3_600_000
STANDARD = Timing()
GPU = Timing(step=Distribution.fixed(120), node=Distribution.fixed(5), save=Distribution.fixed(30))     # 2.5 s a job
LOAD_MS, LOAD_JOBS = 10_000, 4


def make_instance(number: int, events: list[Event], timing: Timing = STANDARD) -> Instance:
    """Return one instance that notes what happens."""
    files, seeds = MemoryFiles(), Seeds(0).of(str(number))
    machine = Machine(
        name=str(number),
        epoch=1,
        settings=Settings(timing=timing),
        catalogue=Catalogue(recorded(), files),
        namer=Namer(files, "counter", seeds.stream("letters")),
        cache=ResultCache("none"),
        publish=events.append,
        unix_ms=0,
        size=(512, 768),
        static_name="../input/picture.jpg",
        memory=Memory(),
        seeds=seeds,
        faults=InstanceFaults(FaultRegistry((), seeds, events.append), str(number), events.append),
    )
    return Instance(machine=machine, ids=seeds.stream("prompt_id"), fire_process=lambda _: None)


def run_jobs(jobs: int) -> tuple[float, float]:
    """Return the events in a second of so many standard jobs, and of ``json.dumps`` of the same.

    Each job is checked to end at the millisecond that can be computed beforehand.
    """
    events: list[Event] = []
    start_s = time.process_time()
    instance = make_instance(0, events)
    for seed in range(jobs):
        instance.submit({"prompt": text_to_image(seed)}, PromptSource(), 0)
    instance.advance(jobs * JOB_MS)
    between_s = time.process_time()
    objects = [as_object(event) for event in events]
    dump_s = time.process_time()
    for content in objects:
        json.dumps(content)
    end_s = time.process_time()
    ended = [event.at_ms for event in events if isinstance(event, Finished)]
    assert ended == [JOB_MS * (n + 1) for n in range(jobs)], "every job ends when it can be computed to end"
    return len(events) / (between_s - start_s), len(events) / (end_s - dump_s)


def run_hour() -> float:
    """Return the CPU seconds of an hour of three GPUs under load."""
    start_s = time.process_time()
    for number in range(3):
        events: list[Event] = []
        instance = make_instance(number, events, timing=GPU)
        for now_ms in range(0, HOUR_MS, LOAD_MS):
            for _ in range(LOAD_JOBS):
                instance.submit({"prompt": text_to_image(now_ms)}, PromptSource(), now_ms)
            instance.advance(now_ms + LOAD_MS)
        assert sum(isinstance(event, Finished) for event in events) == HOUR_MS / LOAD_MS * LOAD_JOBS
    return time.process_time() - start_s


def run_hour_in_memory() -> float:
    """Return the CPU seconds of the same with all that a farm does."""
    timing = {"step": "120ms", "node": "5ms", "save": "30ms"}
    farm = MemoryFarm.start(as_config({"instance": [{"name": "gpu-{n}", "count": 3, "timing": timing}]}))
    start_s = time.process_time()
    for number in range(HOUR_MS // LOAD_MS):
        for name in farm.farm.backends:
            for _ in range(LOAD_JOBS):
                farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(number)})
        farm.advance(LOAD_MS / 1000)
    used_s = time.process_time() - start_s
    farm.stop()
    return used_s


def run_in_memory(jobs: int, *, is_small: bool) -> float:
    """Return the CPU milliseconds of a job in memory, which a websocket client follows."""
    instance = {"name": "gpu", "timing": AT_ONCE} if is_small else {"name": "gpu"}
    farm = MemoryFarm.start(as_config({"instance": [instance]}))
    listener = farm["gpu"].listen("me")
    start_s = time.process_time()
    for number in range(jobs):
        prompt = SMALL_JOB if is_small else text_to_image(number)
        farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})
        farm.run_until_idle()
    used_s = time.process_time() - start_s
    heard = sum('"executing"' in str(frame) or "'executing'" in str(frame) for frame in listener.heard)
    farm.stop()
    assert heard >= jobs, "the client is told of every job"
    return used_s * 1e3 / jobs


@family("core")
def core(effort: Effort) -> Iterator[Result]:
    """The simulation alone in virtual time."""
    if effort.wants("core/events"):
        pairs = [in_child(run_jobs, 1000) for _ in range(max(3, effort.rounds // 3))]
        yield Result(
            name="core/events",
            unit="events/s",
            ours=max(ours for ours, _ in pairs),
            other=max(other for _, other in pairs),
            ratio=max(ours / other for ours, other in pairs),
            peer="json.dumps of the same events",
            goal=300_000,
            bounds="ours",
            at_least=True,
        )
    if effort.wants("core/hour"):
        yield Result(name="core/hour", unit="s", ours=in_child(run_hour), goal=2, bounds="ours")


@family("memory")
def memory(effort: Effort) -> Iterator[Result]:
    """A farm in memory, whose one client follows each job over a websocket."""
    for name, is_small, goal in (("memory/small", True, 0.8), ("memory/20-steps", False, None)):
        if effort.wants(name):
            costs = [in_child(run_in_memory, 300, is_small=is_small) for _ in range(max(3, effort.rounds // 3))]
            yield Result(name=name, unit="ms", ours=min(costs), goal=goal, bounds="ours")
    if effort.wants("memory/hour"):
        yield Result(name="memory/hour", unit="s", ours=in_child(run_hour_in_memory))
