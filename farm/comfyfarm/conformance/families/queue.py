"""What waits, in which order it runs, and how it is stopped.

These scenarios need a job that takes a while: see :func:`comfyfarm.conformance.graphs.slow`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.described import Step
from comfyfarm.conformance.graphs import preview, save, slow
from comfyfarm.conformance.listening import SocketRecorder
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import Session

family = Family("queue", "what waits, in which order it runs, how it is stopped")

_WELL_INSIDE_A_NODE_S = 0.08


async def _busy(visit: Session, listener: SocketRecorder | None = None, steps: int = 6) -> str:
    """Keep the worker busy with a job; gives its id."""
    job = await visit.submit(slow(visit.fresh(), steps), listener)
    await visit.until_running(job)
    return job


def _ids(queue: dict[str, Any]) -> list[list[str]]:
    return [[item[1] for item in queue[kind]] for kind in ("queue_running", "queue_pending")]


def _status_apart(messages: list[Step]) -> dict[str, Any]:
    """The status messages by themselves: how they mix with a running job's is a matter of time."""
    status = [each["status"] for each in messages if "status" in each]
    return {"status": status, "messages": [each for each in messages if "status" not in each]}


@family.scenario
async def queue_running_and_pending(visit: Session) -> None:
    """One job runs and two wait: in the queue, the jobs API and history, and what their client hears."""
    listener = await visit.listen()
    running = await _busy(visit, listener)
    waiting = [await visit.submit(preview(visit.fresh()), listener) for _ in range(2)]
    for path in (
        "/queue",
        "/prompt",
        "/api/jobs",
        f"/api/jobs/{running}",
        f"/api/jobs/{waiting[0]}",
        f"/history/{running}",
        "/api/jobs?status=pending&sort_order=asc",
        "/api/jobs?status=in_progress",
    ):
        await visit.ask(f"GET {path}")
    await visit.until_over(running, *waiting, heard_by=listener)
    visit.tell(listener, arrange=_status_apart)
    await visit.ask("GET /history", view=list)


@family.scenario
async def queue_delete_pending(visit: Session) -> None:
    """Waiting jobs are taken out; unknown ones and the running one are not."""
    listener = await visit.listen()
    running = await _busy(visit, listener)
    first, second, third = [await visit.submit(preview(visit.fresh()), listener) for _ in range(3)]
    await visit.ask("POST /queue", json={"delete": [second]}, as_line="POST /queue delete the second")
    await visit.ask("GET /queue", view=_ids)
    await visit.ask("POST /queue", json={"delete": [second, "unknown", running]}, as_line="POST /queue delete others")
    await visit.ask("POST /queue", json={"delete": [first, third]}, as_line="POST /queue delete the rest")
    await visit.ask("GET /queue", view=_ids)
    await visit.until_over(running, heard_by=listener)
    visit.tell(listener, arrange=_status_apart)
    await visit.ask("GET /history", view=list)
    await visit.ask(f"GET /api/jobs/{second}")


@family.scenario
async def queue_clear_pending(visit: Session) -> None:
    """All waiting jobs are taken out, and the running one goes on."""
    listener = await visit.listen()
    running = await _busy(visit, listener)
    for _ in range(3):
        await visit.submit(preview(visit.fresh()), listener)
    await visit.ask("POST /queue", json={"clear": True}, as_line="POST /queue clear")
    await visit.ask("GET /queue", view=_ids)
    await visit.until_over(running, heard_by=listener)
    visit.tell(listener, arrange=_status_apart)
    await visit.ask("GET /history", view=list)


@family.scenario
async def queue_pending_listed_in_heap_order(visit: Session) -> None:
    """Jobs run by number, are listed as the heap has them, and by the jobs API in order of arrival."""
    await _busy(visit)
    given = {
        await visit.submit(preview(visit.fresh()), quietly=True, number=number): number
        for number in (5, 3, 4, 1, 2, 9, 0)
    }
    await visit.ask("GET /queue", view=lambda queue: [given.get(item[1]) for item in queue["queue_pending"]])
    await visit.ask(
        "GET /api/jobs?status=pending&sort_order=asc",
        view=lambda found: [given.get(job["id"]) for job in found["jobs"]],
    )
    await visit.until_idle()
    await visit.ask("GET /history", view=lambda history: [given.get(job) for job in history])


@family.scenario_of_files
async def queue_twenty_posts(visit: Session) -> None:
    """Twenty jobs posted at once: none is lost, and they run in the order of their numbers."""
    listener = await visit.listen()
    body = [{"prompt": save(visit.tag, visit.fresh()), "client_id": listener.client_id} for _ in range(20)]
    posting = [Deferred.fromCoroutine(visit.peek("POST /prompt", json=each)) for each in body]
    replies = await gatherResults(posting)
    numbers = {reply.json["prompt_id"]: reply.json["number"] for reply in replies}
    await visit.until_over(*numbers, heard_by=listener)
    history = (await visit.peek("GET /history")).json
    messages = [message for message in listener.heard if isinstance(message, dict)]
    visit.note(
        "twenty posts at once",
        statuses=Counter(str(reply.status) for reply in replies),
        distinct_ids=len(numbers),
        consecutive_numbers=sorted(numbers.values()) == list(range(min(numbers.values()), min(numbers.values()) + 20)),
        in_history=len(history),
        ran_in_order_of_numbers=list(history) == sorted(numbers, key=numbers.__getitem__),
        files=sorted(entry["outputs"]["2"]["images"][0]["filename"] for entry in history.values()),
        messages=Counter(message["type"] for message in messages),
        last_status=list(_remaining(listener.heard))[-1],
    )


@family.scenario
async def queue_status_counts(visit: Session) -> None:
    """What the status messages count while jobs come and go."""
    listener = await visit.listen()
    jobs = [await _busy(visit, listener, steps=5)]
    jobs += [await visit.submit(preview(visit.fresh()), listener) for _ in range(4)]
    await visit.until_over(*jobs, heard_by=listener)
    visit.note("queue_remaining", counts=list(_remaining(listener.heard)))


def _remaining(heard: list[Message]) -> Iterator[int]:
    for message in heard:
        if isinstance(message, dict) and message["type"] == "status":
            yield message["data"]["status"]["exec_info"]["queue_remaining"]


@family.scenario
async def interrupt_running_global(visit: Session) -> None:
    """The running job stops before its next node; its client is told, another hears only the status."""
    listener, other = await visit.listen(), await visit.listen()
    job = await _busy(visit, listener, steps=8)
    await visit.handles(listener, "executing", node="4")
    await _interrupt(visit)
    await visit.until_over(job, heard_by=listener)
    visit.tell(listener)
    visit.tell(other)
    await visit.ask(f"GET /history/{job}")
    await visit.ask(f"GET /api/jobs/{job}")
    await visit.ask("GET /api/jobs?status=cancelled", view=lambda found: found["pagination"])


@family.scenario
async def interrupt_no_client_id(visit: Session) -> None:
    """The end of a job of nobody is told to everybody when it is an interrupt."""
    listener = await visit.listen()
    job = await visit.submit(slow(visit.fresh(), 8))
    await visit.meets(listener, lambda message: _has_begun("4", message))
    await _interrupt(visit)
    await visit.until_over(job)
    await visit.handles(listener, "status", start=1, status={"exec_info": {"queue_remaining": 0}})
    visit.tell(listener)


def _has_begun(node: str, message: Message) -> bool:
    return isinstance(message, dict) and message["type"] == "progress_state" and node in message["data"]["nodes"]


@family.scenario
async def interrupt_keeps_partial_cache(visit: Session) -> None:
    """The nodes that finished before an interrupt need not run again."""
    listener = await visit.listen()
    graph = slow(visit.fresh(), 8)
    job = await visit.submit(graph, listener)
    await visit.handles(listener, "executing", node="5")
    await _interrupt(visit)
    await visit.until_over(job, heard_by=listener)
    heard = len(listener.heard)
    await visit.run(graph, listener)
    visit.tell(listener, kinds=("execution_cached", "executing"), start=heard)


async def _interrupt(visit: Session) -> None:
    await visit.pause(_WELL_INSIDE_A_NODE_S)    # at its very start a node would be stopped itself
    await visit.ask("POST /interrupt", json={})


@family.scenario
async def history_delete(visit: Session) -> None:
    """Entries are removed from history, and nobody is told."""
    first, second, *_ = [await visit.run(preview(visit.fresh()), quietly=True) for _ in range(4)]
    listener = await visit.listen()
    for doomed in ([second], [second, "unknown", first]):
        await visit.ask("POST /history", json={"delete": doomed}, as_line="POST /history delete")
        await visit.ask("GET /history", view=list)
        if len(doomed) == 1:
            await visit.ask(f"GET /history/{second}")
    await visit.ask("POST /history", json={"clear": True}, as_line="POST /history clear")
    await visit.ask("GET /history")
    await visit.until_quiet()
    visit.tell(listener)
