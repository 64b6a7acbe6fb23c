"""A run in the format that Perfetto and chrome://tracing open (docs/timeline.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from comfyfarm.analysis.timeline.lane import AttemptSpan, Lane, Mark, Outage, OutageKind, Stretch
from comfyfarm.analysis.timeline.markup import readable
from comfyfarm.analysis.timeline.scale import depths
from comfyfarm.analysis.timeline.timeline import Timeline

Record = dict[str, Any]

_FARM = 0       # the process of what befalls no single instance
_WORKER = 1     # the thread of an instance that jobs run on
# A thread for each kind: on one thread nothing may overlap that does not lie within.
_THREADS: dict[OutageKind, int] = {"down": 2, "frozen": 3, "paused": 4, "refusing": 5, "draining": 6}
_US = 1000                  # the format counts in microseconds


def as_trace(timeline: Timeline) -> Record:
    """The whole run: each instance is a process, its worker a thread; waiting is asynchronous, the queue a counter."""
    records = list(_farm(timeline))
    for pid, lane in enumerate(timeline.lanes.values(), _FARM + 1):
        records += _lane(lane, pid, timeline.end_ms)
    return {"traceEvents": records, "displayTimeUnit": "ms"}


def _farm(timeline: Timeline) -> Iterator[Record]:
    if timeline.marks:
        yield _meta("process_name", {"name": "farm"}, _FARM)
    for mark in timeline.marks:
        yield _instant(mark, _FARM, "g")


def _lane(lane: Lane, pid: int, end_ms: int) -> Iterator[Record]:
    outages = lane.all_outages(end_ms)
    yield _meta("process_name", {"name": readable(lane.name)}, pid)
    yield _meta("process_sort_index", {"sort_index": pid}, pid)
    yield _meta("thread_name", {"name": "worker"}, pid, _WORKER)
    for kind in sorted({each.kind for each in outages}):
        yield _meta("thread_name", {"name": kind}, pid, _THREADS[kind])
    for number, stay in enumerate(lane.stays, 1):
        yield from _stay(stay, f"{pid}.{number}", pid, end_ms)
    for outage in outages:
        yield _outage(outage, pid, end_ms)
    for mark in lane.marks:
        yield _instant(mark, pid, "p")
    for at_ms, depth in depths(wait for stay in lane.stays for wait in stay.waits(end_ms)):
        yield {"name": "waiting", "ph": "C", "ts": at_ms * _US, "pid": pid, "tid": _WORKER, "args": {"jobs": depth}}


def _meta(what: str, args: Record, pid: int, tid: int = _WORKER) -> Record:
    return {"name": what, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": args}


def _stay(stay: AttemptSpan, name: str, pid: int, end_ms: int) -> Iterator[Record]:
    attempt = stay.attempt
    job = readable(attempt.job)
    prompt_id = readable(attempt.prompt_id or "")
    args = {"job": job, "prompt_id": prompt_id, "attempt": attempt.number, "end": attempt.end or "open"}
    for turn, wait in enumerate(stay.waits(end_ms), 1):
        one = {"name": job, "cat": "waiting", "id": f"{name}.{turn}", "pid": pid, "tid": _WORKER}
        yield {**one, "ph": "b", "ts": wait.from_ms * _US, "args": args}
        yield {**one, "ph": "e", "ts": wait.to_ms * _US, "args": {}}
    for run in stay.runs(end_ms):
        yield _whole(job, "running", run, pid, _WORKER, args)
    for part in stay.parts:
        yield _whole(part.kind, part.kind, Stretch(part.from_ms, part.to_ms), pid, _WORKER, {"job": job})


def _outage(outage: Outage, pid: int, end_ms: int) -> Record:
    stretch = Stretch(outage.from_ms, end_ms if outage.to_ms is None else outage.to_ms)
    return _whole(outage.kind, "outage", stretch, pid, _THREADS[outage.kind], {})


def _whole(name: str, cat: str, stretch: Stretch, pid: int, tid: int, args: Record) -> Record:
    span = {"ts": stretch.from_ms * _US, "dur": (stretch.to_ms - stretch.from_ms) * _US}
    return {"name": name, "cat": cat, "ph": "X", **span, "pid": pid, "tid": tid, "args": args}


def _instant(mark: Mark, pid: int, scope: str) -> Record:
    where = {"pid": pid, "tid": _WORKER, "s": scope}
    args = {"job": readable(mark.job)}
    return {"name": readable(mark.says), "cat": mark.kind, "ph": "i", "ts": mark.at_ms * _US, **where, "args": args}
