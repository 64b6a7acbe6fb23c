"""Routes of the queue, the history and the jobs."""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from twisted.web.iweb import IRequest
from werkzeug.exceptions import MethodNotAllowed

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.answer import encoded_answer, json_answer
from comfyfarm.server.http.request import answer, json_body, note, nothing, query, segment, send
from comfyfarm.sim.errors import ServerError, raising_as_comfyui
from comfyfarm.sim.jobs_api import BadQuery, OutputRules, find_job, list_jobs, read_query
from comfyfarm.sim.prompt.submission import is_canonical_uuid

app = ComfyApi.app
_EMPTY = json_answer({"queue_running": [], "queue_pending": []})
_ENTRIES_IN_A_TURN = 200_000        # of the queue's heap, which each deletion puts in order
_ENTRIES_WORTH_A_MESSAGE = 5_000    # which each deletion sends to every client


@app.route("/queue", methods=["GET"])
def get_queue(api: ComfyApi, request: IRequest) -> bytes:
    with api.moment():
        queue = api.instance.queue
        remaining = queue.remaining
        note(request, shown=remaining)
        if not remaining:
            return send(request, _EMPTY)
        running = queue.running.item_json if queue.running else ""
        pending = ", ".join([job.item_json for job in queue.pending])
    return send(request, encoded_answer(f'{{"queue_running": [{running}], "queue_pending": [{pending}]}}'))


@app.route("/queue", methods=["POST"])
async def post_queue(api: ComfyApi, request: IRequest) -> bytes:
    """Delete pending jobs."""
    body = json_body(request)
    with api.moment() as now_ms, raising_as_comfyui():
        if _wants_clear(body):
            api.instance.clear_queue(now_ms)
        prompt_ids = list(_to_delete(body))
    await api.in_turns(_of_each(api, prompt_ids, api.instance.delete_from_queue))
    return nothing(request)


@app.route("/history", methods=["GET"])
def get_history(api: ComfyApi, request: IRequest) -> bytes:
    parameters = query(request)
    with raising_as_comfyui():
        max_items = int(parameters["max_items"]) if "max_items" in parameters else None
        offset = int(parameters.get("offset", -1)) if api.behaviour.pages_history else -1
    with api.moment():
        history = api.instance.history
        return send(request, encoded_answer(history.json(history.window(max_items, offset))))


@app.route("/history/<prompt_id>", methods=["GET"])
def get_history_entry(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """Answer with the history entry of one job; empty until it has ended."""
    with api.moment():
        history = api.instance.history
        entry = history.entries.get(segment(prompt_id))
    return send(request, encoded_answer(history.json({entry.prompt_id: entry} if entry else {})))


@app.route("/history", methods=["POST"])
def post_history(api: ComfyApi, request: IRequest) -> bytes:
    body = json_body(request)
    with api.moment() as now_ms, raising_as_comfyui():
        if _wants_clear(body):
            api.instance.clear_history(now_ms)
        if prompt_ids := list(_to_delete(body)):
            api.instance.delete_history(prompt_ids, now_ms)
    return nothing(request)


def _wants_clear(body: Any) -> bool:
    return "clear" in body and bool(body["clear"])


def _to_delete(body: Any) -> Any:
    return body["delete"] if "delete" in body else ()  # noqa: SIM401 (a list has no get, and ComfyUI takes it)


@app.route("/jobs", methods=["GET"])
async def get_jobs(api: ComfyApi, request: IRequest) -> bytes:
    """Answer with all jobs, pending, running and ended, as one list."""
    api.require(api.behaviour.has_jobs)
    try:
        jobs_query = read_query(query(request), api.behaviour)
    except BadQuery as error:
        return answer(request, {"error": str(error)}, 400)
    with api.moment():
        listing = api.in_turns(list_jobs(api.instance, jobs_query, OutputRules(api.behaviour)))
    return answer(request, await listing)


@app.route("/jobs/<prompt_id>", methods=["GET"])
def get_job(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    api.require(api.behaviour.has_jobs)
    with api.moment():
        job = find_job(api.instance, segment(prompt_id), OutputRules(api.behaviour))
    return answer(request, {"error": "Job not found"}, 404) if job is None else answer(request, job)


# Cancelling by id, new in version 0.26 (docs/fidelity.md, "Versions").

_WRITING_METHODS = ["POST", "PUT", "DELETE", "PATCH"]


@app.route("/jobs/cancel", methods=_WRITING_METHODS)
async def post_cancel_many(api: ComfyApi, request: IRequest) -> bytes:
    """Cancel several jobs, and answer whether any of them was still running or pending."""
    _check_method(api, request)
    try:
        body: Any = json_body(request)
    except ServerError:
        return answer(request, {"error": "Request body must be valid JSON"}, 400)
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        return answer(request, {"error": "job_ids must be a list"}, 400)
    invalid = [prompt_id for prompt_id in ids if not is_canonical_uuid(prompt_id)]
    if invalid:
        shown = [str(prompt_id) for prompt_id in invalid]
        return answer(request, {"error": "job_ids contains invalid id(s)", "invalid_ids": shown}, 400)
    return answer(request, {"cancelled": await _cancel(api, ids)})


@app.route("/jobs/<prompt_id>/cancel", methods=_WRITING_METHODS)
async def post_cancel(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """Interrupt a running job, or delete a pending one from the queue."""
    _check_method(api, request)
    return answer(request, {"cancelled": await _cancel(api, [segment(prompt_id)])})


def _check_method(api: ComfyApi, request: IRequest) -> None:
    """Check that this version has the route and that the method is POST.

    :raises MethodNotAllowed: if not.
    """
    if not api.behaviour.cancels_jobs:
        raise MethodNotAllowed
    if request.method != b"POST":
        raise MethodNotAllowed(valid_methods=["POST"])


async def _cancel(api: ComfyApi, prompt_ids: list[str]) -> bool:
    return any(await api.in_turns(_of_each(api, prompt_ids, partial(_cancel_one, api))))


def _cancel_one(api: ComfyApi, prompt_id: str, now_ms: int) -> bool:
    running = api.instance.queue.running
    if running is not None and running.prompt_id == prompt_id:
        api.instance.interrupt(prompt_id, now_ms)
        return True
    return api.instance.delete_from_queue(prompt_id, now_ms)


def _of_each(
    api: ComfyApi, prompt_ids: list[Any], change: Callable[[Any, int], bool]
) -> Generator[None, None, list[bool]]:
    """Return what a function returns for each id; the longer the queue, the fewer calls in each turn."""
    results: list[bool] = []
    while len(results) < len(prompt_ids):
        if results:
            yield
        with api.moment() as now_ms:
            size = 1 + _ENTRIES_IN_A_TURN // (_ENTRIES_WORTH_A_MESSAGE + api.instance.queue.waiting)
            results += [change(prompt_id, now_ms) for prompt_id in prompt_ids[len(results) : len(results) + size]]
    return results
