"""Long logs: what a real farm in memory did, told again and again under new ids."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path

import msgspec

from comfyfarm.events import Configured, Event, Exchanged, LogEnded, ServerReady
from comfyfarm.events.encoding import as_json
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.workflows import text_to_image

JOBS = 300
TALE = "feedface"       # stands in every name and id, in whose place each telling has its own

event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, Event.__subclasses__()))


def make_log(steps: int = 20, instances: int = 3, *, listens: bool = True) -> list[bytes]:
    """Return what happens to some hundred jobs, as lines with all fields; several wait on each instance."""
    lines: list[bytes] = []
    config = {"farm": {"seed": 1}, "instance": [{"name": "gpu-{n}", "count": instances, "mode": "dynamic"}]}
    farm = MemoryFarm.start(as_config(config))
    lines.extend(as_json(event) for event in farm.farm.log.events)
    farm.farm.log.listen(lambda event: lines.append(as_json(event)))
    names = list(farm.farm.backends)
    for name in names if listens else ():
        farm[name].listen("me")
    for first in range(0, JOBS, 3 * instances):
        do_jobs(farm, names, range(first, min(first + 3 * instances, JOBS)), steps)
    farm.stop()
    return lines


def do_jobs(farm: MemoryFarm, names: list[str], numbers: range, steps: int) -> None:
    """Send jobs to the instances in turn; ask about each until it is done, fetch its picture, deliver it."""
    ids = {number: f"{TALE}-0000-4000-8000-{number:012x}" for number in numbers}
    for number, prompt_id in ids.items():
        job = f"{TALE}-{number}"
        prompt = text_to_image(number, prefix=job, width=64, height=64, steps=steps)
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": "me", "extra_data": {"comfyfarm_job": job}}
        farm[names[number % len(names)]].ask("POST", "/prompt", json=body)
    for number, prompt_id in ids.items():
        name, job = names[number % len(names)], f"{TALE}-{number}"
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
        self.length_ms = event_decoder.decode(self.lines[-1]).at_ms + 1000

    def lines_of(self, number: int) -> list[bytes]:
        """Return the lines of one telling, under ids of its own."""
        return [line.replace(TALE.encode(), b"%08x" % number) for line in self.lines]

    def shifted(self, events: list[Event], number: int, seq: int) -> Iterator[Event]:
        """Yield its events, at their places; only the first begins with a farm's beginning."""
        for event in events:
            if isinstance(event, LogEnded) or (number and isinstance(event, Configured | ServerReady)):
                continue
            seq += 1
            moved = {"seq": seq, "at_ms": event.at_ms + number * self.length_ms}
            if isinstance(event, Exchanged):
                moved["began_ms"] = event.began_ms + number * self.length_ms
            yield msgspec.structs.replace(event, **moved)

    def told(self, jobs: int) -> Iterator[tuple[list[bytes], list[Event]]]:
        """Yield the lines and the events of each telling, until there are so many jobs."""
        seq = 0
        for number in range(math.ceil(jobs / JOBS)):
            lines = self.lines_of(number)
            events = list(self.shifted([event_decoder.decode(line) for line in lines], number, seq))
            seq = events[-1].seq
            yield lines, events


def parse_s(lines: list[bytes]) -> float:
    """Return the CPU seconds of reading lines as plain JSON, which is what any look at a log costs."""
    start_s = time.process_time()
    for line in lines:
        json.loads(line)
    return time.process_time() - start_s


def save(tales: Tales, jobs: int, path: Path) -> float:
    """Write the log of so many jobs; return the CPU seconds of reading its lines, with all fields, as JSON."""
    writer, as_json_s = LineWriter(), 0.0
    with path.open("wb") as file:
        for lines, events in tales.told(jobs):
            as_json_s += parse_s(lines)
            file.write(writer.lines(events))
            last = events[-1]
        file.write(writer.lines([LogEnded(seq=last.seq + 1, at_ms=last.at_ms)]))
    return as_json_s
