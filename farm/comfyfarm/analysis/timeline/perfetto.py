"""A timeline in the Trace Event Format, for Perfetto and chrome://tracing (docs/timeline.md)."""

from collections.abc import Iterator
from typing import Any

from comfyfarm.analysis.timeline.lane import AttemptSpan, Interval, Lane, Mark, OutageKind
from comfyfarm.analysis.timeline.markup import readable
from comfyfarm.analysis.timeline.scale import depths
from comfyfarm.analysis.timeline.timeline import Timeline

Record = dict[str, Any]

_FARM = 0       # the process for marks of the farm as a whole
_WORKER = 1     # the thread of an instance for its jobs
# A thread for each kind: complete events of one thread must be nested or disjoint.
_THREADS: dict[OutageKind, int] = {"down": 2, "frozen": 3, "paused": 4, "refusing": 5, "draining": 6}
_US = 1000      # per millisecond; the format uses microseconds


def as_trace(timeline: Timeline) -> Record:
    """Convert a timeline: an instance is a process, its worker a thread; waits are asynchronous spans and a counter."""
    records = [_meta("process_name", {"name": "farm"}, _FARM)] if timeline.marks else []
    records += [_instant(mark, _FARM, "g") for mark in timeline.marks]
    for pid, lane in enumerate(timeline.lanes.values(), _FARM + 1):
        records += _lane(lane, pid, timeline.end_ms)
    return {"traceEvents": records, "displayTimeUnit": "ms"}


def _lane(lane: Lane, pid: int, end_ms: int) -> Iterator[Record]:
    outages = lane.all_outages(end_ms)
    yield _meta("process_name", {"name": readable(lane.name)}, pid)
    yield _meta("process_sort_index", {"sort_index": pid}, pid)
    yield _meta("thread_name", {"name": "worker"}, pid, _WORKER)
    for kind in sorted({outage.kind for outage in outages}):
        yield _meta("thread_name", {"name": kind}, pid, _THREADS[kind])
    for number, span in enumerate(lane.spans, 1):
        yield from _span(span, f"{pid}.{number}", pid, end_ms)
    for outage in outages:
        yield _complete(outage.kind, "outage", outage.interval(end_ms), pid, _THREADS[outage.kind], {})
    for mark in lane.marks:
        yield _instant(mark, pid, "p")
    for at_ms, depth in depths(wait for span in lane.spans for wait in span.waits(end_ms)):
        yield {"name": "waiting", "ph": "C", "ts": at_ms * _US, "pid": pid, "tid": _WORKER, "args": {"jobs": depth}}


def _meta(name: str, args: Record, pid: int, tid: int = _WORKER) -> Record:
    return {"name": name, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": args}


def _span(span: AttemptSpan, wait_id: str, pid: int, end_ms: int) -> Iterator[Record]:
    attempt = span.attempt
    job = readable(attempt.job)
    prompt_id = readable(attempt.prompt_id or "")
    args = {"job": job, "prompt_id": prompt_id, "attempt": attempt.number, "end": attempt.end or "open"}
    for turn, wait in enumerate(span.waits(end_ms), 1):
        common = {"name": job, "cat": "waiting", "id": f"{wait_id}.{turn}", "pid": pid, "tid": _WORKER}
        yield {**common, "ph": "b", "ts": wait.from_ms * _US, "args": args}
        yield {**common, "ph": "e", "ts": wait.to_ms * _US, "args": {}}
    for run in span.runs(end_ms):
        yield _complete(job, "running", run, pid, _WORKER, args)
    for part in span.parts:
        yield _complete(part.kind, part.kind, Interval(part.from_ms, part.to_ms), pid, _WORKER, {"job": job})


def _complete(name: str, cat: str, interval: Interval, pid: int, tid: int, args: Record) -> Record:
    times = {"ts": interval.from_ms * _US, "dur": (interval.to_ms - interval.from_ms) * _US}
    return {"name": name, "cat": cat, "ph": "X", **times, "pid": pid, "tid": tid, "args": args}


def _instant(mark: Mark, pid: int, scope: str) -> Record:
    where = {"pid": pid, "tid": _WORKER, "s": scope}
    args = {"job": readable(mark.job)}
    return {"name": readable(mark.says), "cat": mark.kind, "ph": "i", "ts": mark.at_ms * _US, **where, "args": args}
