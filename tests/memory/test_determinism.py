"""Two equal runs are equal, to the byte; and nobody's luck hangs on who else is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path
from typing import Any

from comfyfarm.events.encoding import as_object
from comfyfarm.events.filters import kind_of
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.workflows import text_to_image

HOUR_MS = 60 * 60 * 1000
NAMES = ["gpu-1", "gpu-2", "gpu-3", "gpu-4"]
NODE = {"lognormal": "900ms", "sigma": 0.4}
TIMING = {"step": {"normal": "200ms", "sd": "40ms"}, "node": NODE, "save": "30ms", "jitter": 0.1}


def config(log: Path | None = None, *more: dict[str, Any], count: int = 4, **keys: Any) -> dict[str, Any]:
    """Unequal machines, whose every step is left to chance."""
    farm: dict[str, Any] = {"seed": 7} | ({"log": log} if log else {})
    gpus = {"name": "gpu-{n}", "count": count, "timing": TIMING, **keys}
    return {"farm": farm, "instance": [gpus, *more]}


@contextmanager
def started(described: dict[str, Any]) -> Iterator[MemoryFarm]:
    """A farm that is stopped when the block ends, so that its log is whole."""
    farm = MemoryFarm.start(as_config(described))
    try:
        yield farm
    finally:
        farm.stop()


def grey(number: int) -> dict[str, Any]:
    """A small job: a picture of one colour."""
    inputs = {"width": 64, "height": 64, "batch_size": 1, "color": number}
    return {
        "1": {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "grey"}},
    }


def post(farm: MemoryFarm, name: str, number: int, **body: Any) -> str:
    """Submit a job; the answer is its id."""
    prompt = grey(number)
    reply = farm[name].ask("POST", "/prompt", json={"prompt": prompt, "client_id": name, **body})
    return str(reply.json()["prompt_id"])


def an_hour_of_load(log: Path, jobs: int = 2_000) -> dict[str, int]:
    """Give each instance its share, a job every few seconds, over HTTP; each is heard over a websocket."""
    with started(config(log)) as farm:
        listeners = {name: farm[name].listen(name) for name in NAMES}
        farm[NAMES[0]].listen("")       # a client without a name gets one by chance
        for number in range(jobs):
            post(farm, NAMES[number % 4], number)
            farm.advance(HOUR_MS / 1000 / jobs)
        assert farm.run_until_idle() >= HOUR_MS
        for listener in listeners.values():
            assert listener.types().count("executed") == jobs / 4
        return {name: farm.farm.analysis.finished[name] for name in NAMES}


def test_a_virtual_hour_of_2000_jobs_is_the_same_to_the_byte_when_it_runs_again(tmp_path: Path) -> None:
    """Four instances, HTTP and websockets in memory, and no real waiting: two logs that ``cmp`` finds equal."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert an_hour_of_load(first) == an_hour_of_load(second) == dict.fromkeys(NAMES, 500)
    assert cmp(first, second, shallow=False)
    assert first.stat().st_size > 1_000_000


def test_another_seed_is_another_run(memory_farm: Callable[[Any], MemoryFarm]) -> None:
    """Ids, names and durations all hang on it."""
    runs = []
    for seed in (1, 2):
        described = config()
        described["farm"]["seed"] = seed
        farm = memory_farm(described)
        runs.append((post(farm, "gpu-1", 0), farm.run_until_idle()))
    assert runs[0][0] != runs[1][0]
    assert runs[0][1] != runs[1][1]


def events_of(farm: MemoryFarm, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What happened to each, but for its place in the log."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for event in farm.farm.log.events:
        if event.instance in found:
            found[event.instance].append({**as_object(event), "seq": 0})
    return found


def everything(farm: MemoryFarm, names: list[str], jobs: int = 12) -> None:
    """Jobs that write, preview and are cached; clients with and without a name; an upload; a pause."""
    for name in names:
        farm[name].listen(name)
        farm[name].listen("")
    for number in range(jobs):
        prompt = text_to_image(steps=3, seed=number % 5)
        prompt["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
        for name in names:
            farm[name].ask("POST", "/prompt", json={"prompt": prompt, "client_id": name})
        farm.advance("700ms")
    farm.run_until_idle()


def test_one_more_instance_changes_nothing_for_the_others(memory_farm: Callable[[Any], MemoryFarm]) -> None:
    """Not one event of theirs, but for its number in the log, whose one sequence they share."""
    names = NAMES[:2]
    dynamic: dict[str, Any] = {"mode": "dynamic", "cache": "ram"}
    alone = memory_farm(config(count=2, **dynamic))
    everything(alone, names)
    newcomer = {"name": "another", "timing": TIMING, **dynamic}
    beside = memory_farm(config(None, newcomer, count=2, **dynamic))
    everything(beside, ["another", *names])
    assert events_of(alone, names) == events_of(beside, names)
    kinds = {kind_of(event) for event in beside.farm.log.events if event.instance == "gpu-1"}
    assert {"written", "frame_sent", "exchanged", "socket_opened", "cached", "finished"} <= kinds


def test_a_job_does_not_shift_the_luck_of_the_next(memory_farm: Callable[[Any], MemoryFarm]) -> None:
    """How long a job takes hangs on its id, not on how many draws were made before."""
    took = []
    for before in (1, 3):       # the first job also waits for its models
        farm = memory_farm(config(count=1))
        for number in range(before):
            post(farm, "gpu-1", number)
        begin_ms = farm.run_until_idle()
        post(farm, "gpu-1", 99, prompt_id="00000000-0000-4000-8000-000000000000")
        took.append(farm.run_until_idle() - begin_ms)
    assert took[0] == took[1]


def test_no_port_path_or_real_time_is_in_the_log(tmp_path: Path) -> None:
    """Where and when it really ran is nobody's business."""
    log = tmp_path / "log.jsonl"
    with started(config(log, count=1, mode="dynamic")) as farm:
        post(farm, "gpu-1", 0)
        farm.run_until_idle()
        port, data_dir = str(farm.farm.backends["gpu-1"].port.number), str(farm.farm.data_dir)
    text = log.read_text()
    assert port not in text
    assert data_dir not in text
    assert str(tmp_path) not in text
