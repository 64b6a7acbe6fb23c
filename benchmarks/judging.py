"""How large is the log of a job, how long does it take to judge many of them, and how much is kept of each?

    python benchmarks/judging.py [JOBS]

A real farm in memory makes some hundred jobs over HTTP, each followed and asked about; its log is told again and again
under new ids, until there are JOBS of them (100,000) in a file.  The figures: bytes for each job in the file, beside
lines with all fields; the CPU time and the memory of ``comfyfarm judge`` for the verdict, and for the placement, too,
beside the time of reading the same events from whole lines as plain JSON, which is what any look at a log costs; and
the memory for each job, which is checked to be the same where five times as much is said about it.
"""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from multiprocessing import get_context
from operator import or_
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from comfyfarm.analysis.verdict import VerdictBuilder
from comfyfarm.events import Configured, Event, Exchanged, FrameSent, LogEnded, Progressed, ServerReady
from comfyfarm.events.encoding import as_json
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.workflows import text_to_image

JOBS, INSTANCES = 300, ("gpu-1", "gpu-2", "gpu-3")
TALE = "feedface"       # stands in every name and id, in whose place each telling has its own
TALKATIVE = (Exchanged, FrameSent, Progressed)
CHATTER = 5
SAMPLE_TALES = 5
JUDGE = """
import resource, sys
from comfyfarm.cli.main import main
main()
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime, used.ru_maxrss / 1024, file=sys.stderr)
"""

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, Event.__subclasses__()))


def make_log(steps: int = 20, jobs: int = JOBS, *, listens: bool = True) -> list[bytes]:
    """The log of a farm's hour, as lines with all fields."""
    lines: list[bytes] = []
    config = {"farm": {"seed": 1}, "instance": [{"name": "gpu-{n}", "count": len(INSTANCES), "mode": "dynamic"}]}
    farm = MemoryFarm.start(as_config(config))
    lines.extend(as_json(event) for event in farm.farm.log.events)
    farm.farm.log.listen(lambda event: lines.append(as_json(event)))
    for name in INSTANCES if listens else ():
        farm[name].listen("me")
    for number in range(jobs):
        do_job(farm, INSTANCES[number % len(INSTANCES)], number, steps)
    farm.stop()
    return lines


def do_job(farm: MemoryFarm, name: str, number: int, steps: int) -> None:
    """Have a job done, ask about it, fetch its picture, deliver it."""
    prompt_id, job = f"{TALE}-0000-4000-8000-{number:012x}", f"{TALE}-{number}"
    prompt = text_to_image(number, prefix=job, width=64, height=64, steps=steps)
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
            if isinstance(event, LogEnded) or (number and isinstance(event, Configured | ServerReady)):
                continue
            seq += 1
            moved = {"seq": seq, "at_ms": event.at_ms + number * self.length_ms}
            if isinstance(event, Exchanged):
                moved["began_ms"] = event.began_ms + number * self.length_ms
            yield msgspec.structs.replace(event, **moved)


def save(tales: Tales, jobs: int, path: Path) -> tuple[int, float]:
    """Write the log of so many jobs; how many events it has, and the CPU seconds of reading its whole lines as JSON."""
    writer, seq, at_ms, as_json_s = LineWriter(), 0, 0, 0.0
    with path.open("wb") as file:
        for number in range(math.ceil(jobs / JOBS)):
            lines = tales.lines_of(number)
            start = time.process_time()
            for line in lines:
                json.loads(line)
            as_json_s += time.process_time() - start
            told = list(tales.shifted([_event.decode(line) for line in lines], number, seq))
            file.write(writer.lines(told))
            seq, at_ms = told[-1].seq, told[-1].at_ms
        file.write(writer.lines([LogEnded(seq=seq + 1, at_ms=at_ms)]))
    return seq, as_json_s


def judge(path: Path, form: str) -> tuple[dict[str, Any], float, float]:
    """What ``comfyfarm judge`` prints, the CPU seconds it takes, and its memory in MiB."""
    command = [sys.executable, "-c", JUDGE, "judge", form, str(path)]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 (our own command)
    seconds, mebibytes = map(float, done.stderr.split())
    return json.loads(done.stdout), seconds, mebibytes


def print_sizes() -> None:
    """Print how many bytes a job of 20 steps needs."""
    for listens in (True, False):
        lines = make_log(jobs=60, listens=listens)
        whole, short = len(b"\n".join(lines)), len(LineWriter().lines([_event.decode(line) for line in lines]))
        how = "followed over a websocket" if listens else "asked for over HTTP only"
        print(f"{short / 60:.0f} bytes for a job of 20 steps {how}; {whole / 60:.0f} with all fields in each line")


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
    wanted = int((*sys.argv[1:], "100000")[0])
    print_sizes()
    tales = Tales(make_log(steps=1, listens=False))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        events, as_json_s = save(tales, wanted, path)
        print(f"{wanted} small jobs, {events} events, {path.stat().st_size / wanted:.0f} bytes for each job")
        for form in ("--json", "--placement-json"):
            result, seconds, mebibytes = judge(path, form)
            assert result.get("verdict", "pass") == "pass", result["findings"][:3]
            assert result["jobs"] >= wanted
            print(f"comfyfarm judge {form}: {seconds:.1f} s of CPU, {seconds / as_json_s:.2f} times as long as reading "
                  f"whole lines with json.loads ({as_json_s:.1f} s); {mebibytes:.0f} MiB")
    # A process for each: Python's own table of interned texts grows in jumps.
    tales = Tales(make_log())
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        usual, talkative = processes.map(bytes_per_job, [tales, tales], [1, CHATTER])
    assert abs(talkative - usual) < 0.05 * usual, "memory is bounded by jobs, not by events"
    print(f"{usual:.0f} bytes kept for each job; {talkative:.0f} where {CHATTER} times as much is said about it")


if __name__ == "__main__":
    main()
