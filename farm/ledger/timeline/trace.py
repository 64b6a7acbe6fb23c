"""A run in the format that Perfetto and chrome://tracing open (docs/timeline.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .lanes import Lane, Mark, Outage, Stay, Timeline
from .rows import depths

__all__ = ["as_trace"]

Record = dict[str, Any]

_WORKER, _OUTAGES = 1, 2    # the threads of an instance
_US = 1000                  # the format counts in microseconds


def as_trace(timeline: Timeline) -> Record:
    """The whole run: each instance is a process, its worker a thread; waiting is asynchronous, the queue a counter."""
    records = [record for pid, lane in enumerate(timeline.lanes.values(), 1) for record in _lane(timeline, lane, pid)]
    records += [_instant(mark, pid=0, tid=0, scope="g") for mark in timeline.marks]
    return {"traceEvents": records, "displayTimeUnit": "ms"}


def _lane(timeline: Timeline, lane: Lane, pid: int) -> Iterator[Record]:
    yield _named("process_name", lane.name, pid, _WORKER)
    yield _named("thread_name", "worker", pid, _WORKER)
    yield _named("thread_name", "outages", pid, _OUTAGES)
    for number, stay in enumerate(lane.stays):
        yield from _stay(stay, f"{pid}.{number}", timeline.end_ms, pid)
    for outage in lane.all_outages():
        yield _outage(outage, timeline.end_ms, pid)
    for mark in lane.marks:
        yield _instant(mark, pid=pid, tid=_WORKER, scope="p")
    for at_ms, depth in depths(_waits(timeline, lane)):
        yield {"name": "waiting", "ph": "C", "ts": at_ms * _US, "pid": pid, "tid": _WORKER, "args": {"jobs": depth}}


def _named(what: str, name: str, pid: int, tid: int) -> Record:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _waits(timeline: Timeline, lane: Lane) -> Iterator[tuple[int, int]]:
    for stay in lane.stays:
        yield stay.attempt.sent_ms, _taken_or_gone_ms(stay, timeline.end_ms)


def _taken_or_gone_ms(stay: Stay, end_ms: int) -> int:
    attempt = stay.attempt
    if attempt.taken_ms is not None:
        return attempt.taken_ms
    return end_ms if attempt.ended_ms is None else attempt.ended_ms


def _stay(stay: Stay, name: str, end_ms: int, pid: int) -> Iterator[Record]:
    attempt = stay.attempt
    args = {"prompt_id": attempt.prompt_id, "attempt": attempt.number, "end": attempt.end or "open"}
    begun_ms = _taken_or_gone_ms(stay, end_ms)
    wait = {"name": attempt.job, "cat": "waiting", "id": name, "pid": pid, "tid": _WORKER}
    yield {**wait, "ph": "b", "ts": attempt.sent_ms * _US, "args": args}
    yield {**wait, "ph": "e", "ts": begun_ms * _US, "args": {}}
    if attempt.taken_ms is None:
        return
    ended_ms = end_ms if attempt.ended_ms is None else attempt.ended_ms
    yield _whole(attempt.job, "running", begun_ms, ended_ms, pid, _WORKER, args)
    for part in stay.parts:
        yield _whole(part.kind, part.kind, part.from_ms, part.to_ms, pid, _WORKER, {"job": attempt.job})


def _outage(outage: Outage, end_ms: int, pid: int) -> Record:
    to_ms = end_ms if outage.to_ms is None else outage.to_ms
    return _whole(outage.kind, "outage", outage.from_ms, to_ms, pid, _OUTAGES, {})


def _whole(name: str, cat: str, from_ms: int, to_ms: int, pid: int, tid: int, args: Record) -> Record:
    span = {"ts": from_ms * _US, "dur": (to_ms - from_ms) * _US}
    return {"name": name, "cat": cat, "ph": "X", **span, "pid": pid, "tid": tid, "args": args}


def _instant(mark: Mark, *, pid: int, tid: int, scope: str) -> Record:
    where = {"pid": pid, "tid": tid, "s": scope}
    return {"name": mark.says, "cat": mark.kind, "ph": "i", "ts": mark.at_ms * _US, **where, "args": {"job": mark.job}}
