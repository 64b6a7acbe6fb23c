"""How long does it take to judge a million events, and how much is kept of each job?

    python benchmarks/judging.py [EVENTS]

A real farm in memory makes some hundred jobs over HTTP, each followed over websockets and asked about; its log is told
again and again under new ids, until there are EVENTS of them.  Three figures: events judged in a second; the same
beside reading those lines as plain JSON, which is what any look at the log costs; and the memory for each job, which
is checked to be the same where five times as much is said about it.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from multiprocessing import get_context
from operator import or_

import msgspec

from comfyfarm.analysis.verdict import VerdictBuilder
from comfyfarm.events import Configured, Event, Exchanged, FrameSent, Progressed, ServerReady
from comfyfarm.events.encoding import as_line
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.workflows import text_to_image

JOBS, INSTANCES = 300, ("gpu-1", "gpu-2", "gpu-3")
TALE = "feedface"       # stands in every name and id, in whose place each telling has its own
TALKATIVE = (Exchanged, FrameSent, Progressed)
CHATTER = 5
SAMPLE_TALES = 5

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, Event.__subclasses__()))


def make_log() -> list[bytes]:
    """The log of a farm's hour, as lines."""
    lines: list[bytes] = []
    config = {"farm": {"seed": 1}, "instance": [{"name": "gpu-{n}", "count": len(INSTANCES), "mode": "dynamic"}]}
    farm = MemoryFarm.start(as_config(config))
    lines.extend(as_line(event) for event in farm.farm.log.events)
    farm.farm.log.listen(lambda event: lines.append(as_line(event)))
    for name in INSTANCES:
        farm[name].listen("me")
    for number in range(JOBS):
        do_job(farm, INSTANCES[number % len(INSTANCES)], number)
    farm.stop()
    return lines


def do_job(farm: MemoryFarm, name: str, number: int) -> None:
    """Have a job done, ask about it, fetch its picture, deliver it."""
    prompt_id, job = f"{TALE}-0000-4000-8000-{number:012x}", f"{TALE}-{number}"
    prompt = text_to_image(number, prefix=job, width=64, height=64)
    body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": "me", "extra_data": {"comfyfarm_job": job}}
    farm[name].ask("POST", "/prompt", json=body)
    while not farm[name].ask("GET", f"/history/{prompt_id}").json():
        farm[name].ask("GET", "/queue")
        farm.advance("100ms")
    file = f"{job}_00001_.png"
    picture = farm[name].ask("GET", f"/view?filename={file}&type=output")
    farm.farm.analysis.delivered(job, prompt_id=prompt_id, instance=name, file=file, picture=picture.body)


@dataclass(eq=False)
class Tales:
    """The log, told again and again as one that goes on.

    :ivar length_ms: how long one telling lasts.
    """

    lines: list[bytes]
    length_ms: int = field(init=False)

    def __post_init__(self) -> None:
        """Find out how long it is."""
        self.length_ms = _event.decode(self.lines[-1]).at_ms + 1000

    def lines_of(self, number: int) -> list[bytes]:
        """One telling, under ids of its own."""
        return [line.replace(TALE.encode(), b"%08x" % number) for line in self.lines]

    def shifted(self, events: list[Event], number: int, seq: int) -> Iterator[Event]:
        """Its events, at their places; only the first begins with a farm's beginning."""
        for event in events:
            if number and isinstance(event, Configured | ServerReady):
                continue
            seq += 1
            moved = {"seq": seq, "at_ms": event.at_ms + number * self.length_ms}
            if isinstance(event, Exchanged):
                moved["began_ms"] = event.began_ms + number * self.length_ms
            yield msgspec.structs.replace(event, **moved)


@dataclass(eq=False)
class Clock:
    """What took how long, in seconds."""

    judging: float = 0.0
    as_json: float = 0.0
    decoding: float = 0.0


def judge_many(tales: Tales, events: int) -> tuple[VerdictBuilder, int, Clock]:
    """Judge so many events, and take the time of that, and of reading their lines."""
    judge, clock, seq, number = VerdictBuilder(), Clock(), 0, 0
    while seq < events:
        lines = tales.lines_of(number)
        start = time.perf_counter()
        for line in lines:
            json.loads(line)
        read = time.perf_counter()
        decoded = [_event.decode(line) for line in lines]
        clock.as_json += read - start
        clock.decoding += time.perf_counter() - read
        told = list(tales.shifted(decoded, number, seq))
        start = time.perf_counter()
        for event in told:
            judge.on_event(event)
        clock.judging += time.perf_counter() - start
        seq, number = seq + len(told), number + 1
    return judge, seq, clock


def may_repeat(event: Event) -> bool:
    """Return whether an event can come any number of times in a job's life; a submission is an attempt of its own."""
    return isinstance(event, TALKATIVE) and not (isinstance(event, Exchanged) and event.method == "POST")


def bytes_per_job(tales: Tales, repeats: int) -> float:
    """What a judge keeps of each job.

    :param repeats: how often each event is told that can come any number of times in a job's life.
    """
    judge, seq, sizes = VerdictBuilder(), 0, []
    tracemalloc.start()
    for number in range(SAMPLE_TALES):
        decoded = [_event.decode(line) for line in tales.lines_of(number)]
        several = [again for event in decoded for again in [event] * (repeats if may_repeat(event) else 1)]
        for event in tales.shifted(several, number, seq):
            judge.on_event(event)
            seq = event.seq
        del decoded, several
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return (sizes[-1] - sizes[1]) / (JOBS * (SAMPLE_TALES - 2))     # the first telling makes room for the others


def main() -> None:
    """Run, check, and print the figures."""
    wanted = int((*sys.argv[1:], "1000000")[0])
    tales = Tales(make_log())
    judge, events, clock = judge_many(tales, wanted)
    start = time.perf_counter()
    verdict = judge.verdict()
    concluding = time.perf_counter() - start
    assert verdict.verdict == "pass", verdict.findings[:3]
    assert verdict.jobs == verdict.succeeded == verdict.attempts, "every job was sent once, and succeeded"
    print(f"{events} events, {verdict.jobs} jobs: judged in {clock.judging:.1f} s, concluded in {concluding:.2f} s")
    print(f"{events / clock.judging:.0f} events per second")
    print(f"{clock.judging / clock.as_json:.2f} times as long as reading the lines with json.loads "
          f"({clock.as_json:.1f} s); decoding them as events takes {clock.decoding:.1f} s")
    # A process for each: Python's own table of interned texts grows in jumps.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        usual, talkative = processes.map(bytes_per_job, [tales, tales], [1, CHATTER])
    assert abs(talkative - usual) < 0.05 * usual, "memory is bounded by jobs, not by events"
    print(f"{usual:.0f} bytes kept for each job; {talkative:.0f} where {CHATTER} times as much is said about it")


if __name__ == "__main__":
    main()
