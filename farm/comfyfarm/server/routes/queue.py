"""What waits, and what has ended."""

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
    """The running job and those that wait."""
    with api.moment():
        queue = api.instance.queue
        note(request, shown=queue.remaining)
        running = [queue.running.item] if queue.running else []
        return answer(request, {"queue_running": running, "queue_pending": [job.item for job in queue.pending]})


@app.route("/queue", methods=["POST"])
def post_queue(api: ComfyApi, request: IRequest) -> bytes:
    """Take waiting jobs out."""
    body = json_body(request)
    with api.moment() as now_ms, raising_as_comfyui():
        if _asks_to_clear(body):
            api.instance.clear_queue(now_ms)
        for prompt_id in _to_delete(body):
            api.instance.delete_from_queue(prompt_id, now_ms)
    return nothing(request)


@app.route("/history", methods=["GET"])
def get_history(api: ComfyApi, request: IRequest) -> bytes:
    """A window of what has ended."""
    asked = query(request)
    with raising_as_comfyui():
        max_items = int(asked["max_items"]) if "max_items" in asked else None
        offset = int(asked.get("offset", -1))
    with api.moment():
        return answer(request, api.instance.history.window(max_items, offset))


@app.route("/history/<prompt_id>", methods=["GET"])
def get_history_entry(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """What became of one job; empty while it has not ended."""
    with api.moment():
        entry = api.instance.history.entries.get(segment(prompt_id))
        return answer(request, {entry.job.prompt_id: entry.as_json()} if entry else {})


@app.route("/history", methods=["POST"])
def post_history(api: ComfyApi, request: IRequest) -> bytes:
    """Forget what has ended."""
    body = json_body(request)
    with api.moment() as now_ms, raising_as_comfyui():
        if _asks_to_clear(body):
            api.instance.clear_history(now_ms)
        if doomed := list(_to_delete(body)):
            api.instance.delete_history(doomed, now_ms)
    return nothing(request)


def _asks_to_clear(body: Any) -> bool:
    return "clear" in body and bool(body["clear"])


def _to_delete(body: Any) -> Any:
    return body["delete"] if "delete" in body else ()  # noqa: SIM401 (a list has no get, and ComfyUI takes it)


@app.route("/jobs", methods=["GET"])
def get_jobs(api: ComfyApi, request: IRequest) -> bytes:
    """All jobs, waiting, running and ended, as one list."""
    try:
        asked = read_query(query(request))
    except BadQuery as why:
        return answer(request, {"error": str(why)}, 400)
    with api.moment():
        return answer(request, list_jobs(api.instance, asked, api.output_rules))


@app.route("/jobs/<prompt_id>", methods=["GET"])
def get_job(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """One job."""
    with api.moment():
        job = find_job(api.instance, segment(prompt_id), api.output_rules)
    return answer(request, {"error": "Job not found"}, 404) if job is None else answer(request, job)
