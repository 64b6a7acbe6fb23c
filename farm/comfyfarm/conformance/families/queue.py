"""Pending jobs, the order in which they run, how jobs are stopped, and the jobs API.

These scenarios need a slow job: :func:`comfyfarm.conformance.scenario.slow`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.describe import Step
from comfyfarm.conformance.scenario import Family, preview, save, slow
from comfyfarm.conformance.session import Session
from comfyfarm.conformance.socket_recorder import SocketRecorder

family = Family("queue")

_INSIDE_NODE_S = 0.08


async def _start_slow_job(session: Session, listener: SocketRecorder | None = None, steps: int = 6) -> str:
    job = await session.submit(slow(session.fresh(), steps), listener)
    await session.until_running(job)
    return job


def _ids(queue: dict[str, Any]) -> list[list[str]]:
    return [[item[1] for item in queue[kind]] for kind in ("queue_running", "queue_pending")]


def _separate_status(messages: list[Step]) -> dict[str, Any]:
    """Separate the status messages, because their position among a running job's messages depends on timing."""
    status = [message["status"] for message in messages if "status" in message]
    return {"status": status, "messages": [message for message in messages if "status" not in message]}


@family.scenario
async def queue_running_and_pending(session: Session) -> None:
    """One running and two pending jobs are shown by the queue, the jobs API and the messages to their client."""
    listener = await session.listen()
    running = await _start_slow_job(session, listener)
    waiting = [await session.submit(preview(session.fresh()), listener) for _ in range(2)]
    await session.get(
        "/queue",
        "/prompt",
        "/api/jobs",
        f"/api/jobs/{running}",
        f"/api/jobs/{waiting[0]}",
        f"/history/{running}",
        "/api/jobs?status=pending&sort_order=asc",
        "/api/jobs?status=in_progress",
    )
    await session.until_done(running, *waiting, listener=listener)
    session.record(listener, arrange=_separate_status)
    await session.get("/history", view=list)


@family.scenario
async def queue_delete_pending(session: Session) -> None:
    """Pending jobs can be deleted; unknown ids and the running job are ignored."""
    listener = await session.listen()
    running = await _start_slow_job(session, listener)
    first, second, third = [await session.submit(preview(session.fresh()), listener) for _ in range(3)]
    await session.request("POST /queue", json={"delete": [second]}, as_line="POST /queue delete the second")
    await session.get("/queue", view=_ids)
    others = {"delete": [second, "unknown", running]}
    await session.request("POST /queue", json=others, as_line="POST /queue delete others")
    await session.request("POST /queue", json={"delete": [first, third]}, as_line="POST /queue delete the rest")
    await session.get("/queue", view=_ids)
    await session.until_done(running, listener=listener)
    session.record(listener, arrange=_separate_status)
    await session.get("/history", view=list)
    await session.get(f"/api/jobs/{second}")


@family.scenario
async def queue_clear_pending(session: Session) -> None:
    """Clearing the queue removes all pending jobs; the running job continues."""
    listener = await session.listen()
    running = await _start_slow_job(session, listener)
    for _ in range(3):
        await session.submit(preview(session.fresh()), listener)
    await session.request("POST /queue", json={"clear": True}, as_line="POST /queue clear")
    await session.get("/queue", view=_ids)
    await session.until_done(running, listener=listener)
    session.record(listener, arrange=_separate_status)
    await session.get("/history", view=list)


@family.scenario
async def queue_pending_listed_in_heap_order(session: Session) -> None:
    """Jobs run by number; the queue lists them in heap order, and the jobs API in order of arrival."""
    await _start_slow_job(session)
    numbers = {
        await session.submit(preview(session.fresh()), record=False, number=number): number
        for number in (5, 3, 4, 1, 2, 9, 0)
    }
    await session.get("/queue", view=lambda queue: [numbers.get(item[1]) for item in queue["queue_pending"]])
    await session.get(
        "/api/jobs?status=pending&sort_order=asc",
        view=lambda found: [numbers.get(job["id"]) for job in found["jobs"]],
    )
    await session.until_idle()
    await session.get("/history", view=lambda history: [numbers.get(job) for job in history])


@family.scenario_of_files
async def queue_twenty_posts(session: Session) -> None:
    """Of twenty jobs posted at once none is lost, and they run in the order of their numbers."""
    listener = await session.listen()
    bodies = [{"prompt": save(session.tag, session.fresh()), "client_id": listener.client_id} for _ in range(20)]
    replies = await gatherResults(
        [Deferred.fromCoroutine(session.request("POST /prompt", json=body, record=False)) for body in bodies]
    )
    numbers = {reply.json["prompt_id"]: reply.json["number"] for reply in replies}
    await session.until_done(*numbers, listener=listener)
    history = await session.peek("/history")
    messages = [message for message in listener.received if isinstance(message, dict)]
    session.note(
        "twenty posts at once",
        statuses=Counter(str(reply.status) for reply in replies),
        distinct_ids=len(numbers),
        consecutive_numbers=sorted(numbers.values()) == list(range(min(numbers.values()), min(numbers.values()) + 20)),
        in_history=len(history),
        ran_in_order_of_numbers=list(history) == sorted(numbers, key=numbers.__getitem__),
        files=sorted(entry["outputs"]["2"]["images"][0]["filename"] for entry in history.values()),
        messages=Counter(message["type"] for message in messages),
        last_status=list(_remaining(listener.received))[-1],
    )


@family.scenario
async def queue_status_counts(session: Session) -> None:
    """Status messages count the pending and running jobs."""
    listener = await session.listen()
    jobs = [await _start_slow_job(session, listener, steps=5)]
    jobs += [await session.submit(preview(session.fresh()), listener) for _ in range(4)]
    await session.until_done(*jobs, listener=listener)
    session.note("queue_remaining", counts=list(_remaining(listener.received)))


def _remaining(messages: list[Message]) -> Iterator[int]:
    for message in messages:
        if isinstance(message, dict) and message["type"] == "status":
            yield message["data"]["status"]["exec_info"]["queue_remaining"]


@family.scenario
async def interrupt_running_global(session: Session) -> None:
    """An interrupt stops the running job before its next node; other clients receive only the status."""
    listener, other = await session.listen(), await session.listen()
    job = await _start_slow_job(session, listener, steps=8)
    await session.wait_for_message(listener, "executing", node="4")
    await _interrupt(session)
    await session.until_done(job, listener=listener)
    session.record(listener)
    session.record(other)
    await session.get(f"/history/{job}", f"/api/jobs/{job}")
    await session.get("/api/jobs?status=cancelled", view=lambda found: found["pagination"])


@family.scenario
async def interrupt_no_client_id(session: Session) -> None:
    """The interrupt of a job without a client id is sent to every client."""
    listener = await session.listen()
    job = await session.submit(slow(session.fresh(), 8))
    if session.behaviour.has_progress_state:
        await session.wait_for_match(listener, lambda message: _has_begun("4", message))
    else:       # the first versions tell nobody how far the job is
        await session.until_done(job)
    await _interrupt(session)
    await session.until_done(job)
    await session.wait_for_message(listener, "status", start=1, status={"exec_info": {"queue_remaining": 0}})
    session.record(listener)


def _has_begun(node: str, message: Message) -> bool:
    return isinstance(message, dict) and message["type"] == "progress_state" and node in message["data"]["nodes"]


@family.scenario
async def interrupt_keeps_partial_cache(session: Session) -> None:
    """Nodes that finished before an interrupt stay cached."""
    listener = await session.listen()
    graph = slow(session.fresh(), 8)
    job = await session.submit(graph, listener)
    await session.wait_for_message(listener, "executing", node="5")
    await _interrupt(session)
    await session.until_done(job, listener=listener)
    start = len(listener.received)
    await session.run(graph, listener)
    session.record(listener, kinds=("execution_cached", "executing"), start=start)


async def _interrupt(session: Session) -> None:
    await session.pause(_INSIDE_NODE_S)    # an interrupt at the very start of a node would stop that node
    await session.request("POST /interrupt", json={})


@family.scenario
async def history_delete(session: Session) -> None:
    """History entries can be deleted; no message is sent."""
    first, second, *_ = [await session.run(preview(session.fresh()), record=False) for _ in range(4)]
    listener = await session.listen()
    for prompt_ids in ([second], [second, "unknown", first]):
        await session.request("POST /history", json={"delete": prompt_ids}, as_line="POST /history delete")
        await session.get("/history", view=list)
        if len(prompt_ids) == 1:
            await session.get(f"/history/{second}")
    await session.request("POST /history", json={"clear": True}, as_line="POST /history clear")
    await session.get("/history")
    await session.until_quiet()
    session.record(listener)


_JOB_QUERIES = (
    "",
    "?limit=2",
    "?limit=2&offset=1",
    "?limit=2&offset=4",
    "?offset=99",
    "?offset=-1",
    "?sort_order=asc",
    "?status=completed",
    "?status=failed",
    "?status=failed,completed&limit=1",
    "?status=FAILED",
    "?status=,",
    "?status=pending",
    "?status=bogus",
    "?status=bogus,failed,other",
    "?limit=0",
    "?limit=-1",
    "?limit=abc",
    "?offset=abc",
    "?sort_by=bogus",
    "?sort_order=up",
    "?sort_by=CREATED_AT&sort_order=ASC",
)


@family.scenario_of_files
async def jobs_api_queries(session: Session) -> None:
    """The jobs API filters, pages and sorts four jobs that completed and one that failed."""
    listener = await session.listen()
    jobs = [await session.run(preview(session.fresh()), listener, record=False) for _ in range(4)]
    failed = await session.run(save(f"../{session.tag}", session.fresh()), listener, record=False)
    for query in _JOB_QUERIES:
        await session.get(f"/api/jobs{query}", view=_only_job_ids)
    await session.get("/api/jobs?sort_by=execution_duration", view=lambda found: found["pagination"])
    await session.get(f"/api/jobs/{jobs[0]}", f"/api/jobs/{failed}", "/api/jobs/nope", "/api/jobs/", "/jobs")


def _only_job_ids(found: dict[str, Any]) -> dict[str, Any]:
    """Reduce the jobs of a reply to their ids; an error is returned as it is."""
    return {**found, "jobs": [job["id"] for job in found["jobs"]]} if "jobs" in found else found


@family.scenario
async def jobs_cancel_routes(session: Session) -> None:
    """The routes that cancel jobs, which versions before 0.26 do not have."""
    await session.request("POST /api/jobs/nope/cancel", json={})
    await session.request("POST /api/jobs/cancel", json={"job_ids": []})
    await session.request("DELETE /api/jobs/nope")
