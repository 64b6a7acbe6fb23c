"""Routes of the queue, the history and the jobs."""

from __future__ import annotations

from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.request import answer, json_body, note, nothing, query, segment
from comfyfarm.sim.errors import raising_as_comfyui
from comfyfarm.sim.jobs_api import BadQuery, find_job, list_jobs, read_query

app = ComfyApi.app


@app.route("/queue", methods=["GET"])
def get_queue(api: ComfyApi, request: IRequest) -> bytes:
    with api.moment():
        queue = api.instance.queue
        note(request, shown=queue.remaining)
        running = [queue.running.item] if queue.running else []
        return answer(request, {"queue_running": running, "queue_pending": [job.item for job in queue.pending]})


@app.route("/queue", methods=["POST"])
def post_queue(api: ComfyApi, request: IRequest) -> bytes:
    """Delete pending jobs."""
    body = json_body(request)
    with api.moment() as now_ms, raising_as_comfyui():
        if _wants_clear(body):
            api.instance.clear_queue(now_ms)
        for prompt_id in _to_delete(body):
            api.instance.delete_from_queue(prompt_id, now_ms)
    return nothing(request)


@app.route("/history", methods=["GET"])
def get_history(api: ComfyApi, request: IRequest) -> bytes:
    parameters = query(request)
    with raising_as_comfyui():
        max_items = int(parameters["max_items"]) if "max_items" in parameters else None
        offset = int(parameters.get("offset", -1))
    with api.moment():
        return answer(request, api.instance.history.window(max_items, offset))


@app.route("/history/<prompt_id>", methods=["GET"])
def get_history_entry(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """Answer with the history entry of one job; empty until it has ended."""
    with api.moment():
        entry = api.instance.history.entries.get(segment(prompt_id))
        return answer(request, {entry.job.prompt_id: entry.as_json()} if entry else {})


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
def get_jobs(api: ComfyApi, request: IRequest) -> bytes:
    """Answer with all jobs, pending, running and ended, as one list."""
    try:
        jobs_query = read_query(query(request))
    except BadQuery as error:
        return answer(request, {"error": str(error)}, 400)
    with api.moment():
        return answer(request, list_jobs(api.instance, jobs_query, api.output_rules))


@app.route("/jobs/<prompt_id>", methods=["GET"])
def get_job(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    with api.moment():
        job = find_job(api.instance, segment(prompt_id), api.output_rules)
    return answer(request, {"error": "Job not found"}, 404) if job is None else answer(request, job)
