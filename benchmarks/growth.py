"""Whether the cost of a request and of a job stays the same while a farm grows."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.http import AT_ONCE, SMALL_JOB, cost_us
from benchmarks.jobs import JobClient, job_cost_ms
from benchmarks.load import Load, get
from benchmarks.rows import Effort, Result, family
from benchmarks.servers import Server, farm

MANY_INSTANCES, MANY_ENTRIES = 1000, 10_000
REQUESTS, JOBS = 400, 40
GOAL = 1.2


@family("growth")
def growth(effort: Effort) -> Iterator[Result]:
    """A farm of 1,000 instances beside one of one, and an instance with 10,000 history entries beside one with few."""
    if effort.wants("growth/instances"):
        with farm(instances(MANY_INSTANCES)) as large, farm(instances(1)) as small:
            yield from grown(effort, "growth/instances", "one instance", large, small)
    if effort.wants("growth/history"):
        with farm(instances(1)) as large, farm(instances(1)) as small:
            client = JobClient(large.port("gpu-1"), SMALL_JOB)
            for _ in range(effort.of(MANY_ENTRIES, MANY_ENTRIES // 5)):
                client.do_job()
            yield from grown(effort, "growth/history", "few history entries", large, small)


def instances(count: int) -> dict[str, object]:
    """Return the configuration of a farm of so many, whose jobs take no time."""
    return {"instance": [{"name": "gpu-{n}", "count": count, "timing": AT_ONCE}]}


def grown(effort: Effort, name: str, peer: str, large: Server, small: Server) -> Iterator[Result]:
    """Compare a request, and a job, of the first instances of two farms."""
    loads = [Load(server.port("gpu-1"), 1) for server in (large, small)]
    clients = [JobClient(server.port("gpu-1"), SMALL_JOB) for server in (large, small)]
    servers = large, small
    requests = [cost_us(server, load, get("/prompt"), REQUESTS) for server, load in zip(servers, loads, strict=True)]
    jobs = [job_cost_ms(server, client, JOBS) for server, client in zip(servers, clients, strict=True)]
    for what, unit, costs in (("request", "us", requests), ("job", "ms", jobs)):
        yield effort.compare(*costs, name=f"{name}/{what}", unit=unit, peer=peer, goal=GOAL)
