"""What the analysis of a log costs, and keeps of each job."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.logs import JOBS, Tales, event_decoder, make_log, parse_s, save
from benchmarks.rows import Effort, Result, family, in_child
from comfyfarm.analysis.trials import Trials
from comfyfarm.analysis.verdict import VerdictBuilder
from comfyfarm.events import Event, Exchanged, FrameSent, Progressed
from comfyfarm.events.line_writer import LineWriter

TALKATIVE = (Exchanged, FrameSent, Progressed)
CHATTER = 5
SAMPLE_TALES = 5
EDGE = 10       # tellings at the beginning and at the end whose costs are compared
PARSER = "json.loads of the same lines"
JUDGE = """
import resource, sys
from comfyfarm.cli.main import main
main()
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, file=sys.stderr)
"""


@family("analysis")
def analysis(effort: Effort) -> Iterator[Result]:
    """The fold over a log and the placement at its end; ``comfyfarm judge``; memory and log lines for each job."""
    if effort.wants("analysis/fold") or effort.wants("analysis/growth"):
        yield from folding(in_child(fold, effort.of(100_000, 12_000)))
    if effort.wants("analysis/placement"):
        jobs = effort.of(32_000, 3_200)
        seconds = in_child(placement_s, jobs)
        yield Result(name=f"analysis/placement/{jobs}", unit="s", ours=seconds, goal=1, bounds="ours")
    if effort.wants("analysis/judge"):
        yield in_child(judge, effort.of(100_000, 3_000))
    if effort.wants("analysis/kept"):
        yield kept()
    if effort.wants("analysis/log"):
        yield in_child(log_lines)


def folding(costs: list[tuple[int, float, float]]) -> Iterator[Result]:
    """Return the row of the whole fold, and the one that compares its end with its beginning."""
    events, fold_s, parsed_s = (sum(numbers) for numbers in zip(*costs, strict=True))
    yield Result(
        name="analysis/fold",
        unit="us/event",
        ours=fold_s * 1e6 / events,
        other=parsed_s * 1e6 / events,
        ratio=fold_s / parsed_s,
        peer=PARSER,
        goal=1.2,
    )
    last, first = (
        median(fold_s / count * 1e6 for count, fold_s, _ in part) for part in (costs[-EDGE:], costs[1:EDGE + 1])
    )
    name, peer = f"analysis/growth/{len(costs) * JOBS}", "the first ones"
    yield Result(name=name, unit="us/event", ours=last, other=first, ratio=last / first, peer=peer, goal=1.2)


def fold(jobs: int) -> list[tuple[int, float, float]]:
    """Follow a log as a live farm does; return the events and the CPU seconds of each telling, and those of JSON."""
    trials, costs = Trials(), []
    gc.freeze()
    for lines, events in Tales(make_log(steps=1, listens=False)).told(jobs):
        start_s = time.process_time()
        for event in events:
            trials.on_event(event)
        costs.append((len(events), time.process_time() - start_s, parse_s(lines)))
    verdict = trials.find(None).verdict()
    assert verdict.verdict == "pass", verdict.findings[:3]
    assert verdict.jobs >= jobs
    return costs


def placement_s(jobs: int) -> float:
    """Return the CPU seconds of the placement of so many jobs on 20 instances, all of which are kept."""
    trials = Trials()
    trials.find(None).kept_jobs = 2 * jobs
    for _, events in Tales(make_log(steps=1, instances=20, listens=False)).told(jobs):
        for event in events:
            trials.on_event(event)
    trials.find(None).verdict()
    start_s = time.process_time()
    placement = trials.find(None).placement()
    assert placement.jobs >= jobs
    return time.process_time() - start_s


def judge(jobs: int) -> Result:
    """Measure ``comfyfarm judge`` on a saved log."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        as_json_s = save(Tales(make_log(steps=1, listens=False)), jobs, path)
        command = [sys.executable, "-c", JUDGE, "judge", "--json", str(path)]
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 (our own command)
    result = json.loads(done.stdout)
    assert result["verdict"] == "pass", result["findings"][:3]
    assert result["jobs"] >= jobs
    seconds, _bytes = map(float, done.stderr.split())
    name = f"analysis/judge/{jobs}"
    return Result(name=name, unit="s", ours=seconds, other=as_json_s, ratio=seconds / as_json_s, peer=PARSER)


def kept() -> Result:
    """Compare what is kept of a job where five times as much is said about it."""
    tales = Tales(make_log())
    talkative, usual = (in_child(bytes_per_job, tales, repeats) for repeats in (CHATTER, 1))
    peer = f"1/{CHATTER} as many events"
    return Result(
        name="analysis/kept", unit="B/job", ours=talkative, other=usual, ratio=talkative / usual, peer=peer, goal=1.05
    )


def bytes_per_job(tales: Tales, repeats: int) -> float:
    """Return what a judge keeps of each job.

    :param repeats: how often each event is told that can come any number of times in a job's life.
    """
    builder, seq, sizes = VerdictBuilder(), 0, []
    tracemalloc.start()
    for number in range(SAMPLE_TALES):
        decoded = [event_decoder.decode(line) for line in tales.lines_of(number)]
        several = [again for event in decoded for again in [event] * (repeats if may_repeat(event) else 1)]
        for event in tales.shifted(several, number, seq):
            builder.on_event(event)
            seq = event.seq
        del decoded, several
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return (sizes[-1] - sizes[1]) / (JOBS * (SAMPLE_TALES - 2))     # the first telling makes room for the others


def may_repeat(event: Event) -> bool:
    """Return whether an event can come any number of times in a job's life; a submission is an attempt of its own."""
    return isinstance(event, TALKATIVE) and not (isinstance(event, Exchanged) and event.method == "POST")


def log_lines() -> Result:
    """Measure the log of a job of 20 steps that is followed over a websocket, beside lines with all fields."""
    lines = make_log()
    whole, short = len(b"\n".join(lines)), len(LineWriter().lines([event_decoder.decode(line) for line in lines]))
    return Result(
        name="analysis/log",
        unit="B/job",
        ours=short / JOBS,
        other=whole / JOBS,
        ratio=short / whole,
        peer="lines with all fields",
    )
