"""Cancelling jobs by id, which came with version 0.27 (docs/fidelity.md, "Versions")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from twisted.web.iweb import IRequest
from werkzeug.exceptions import MethodNotAllowed

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.request import answer, json_body, segment
from comfyfarm.sim.errors import ServerError

app = ComfyApi.app
_NOT_READING = ["POST", "PUT", "DELETE", "PATCH"]


@app.route("/jobs/cancel", methods=_NOT_READING)
def post_cancel_many(api: ComfyApi, request: IRequest) -> bytes:
    """Cancel several jobs, and say whether one was still to be had."""
    _only_by_post(api, request)
    try:
        body: Any = json_body(request)
    except ServerError:
        return answer(request, {"error": "Request body must be valid JSON"}, 400)
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        return answer(request, {"error": "job_ids must be a list"}, 400)
    invalid = [each for each in ids if not _is_id(each)]
    if invalid:
        return answer(request, {"error": "job_ids contains invalid id(s)", "invalid_ids": invalid}, 400)
    return answer(request, {"cancelled": _cancel(api, ids)})


@app.route("/jobs/<prompt_id>/cancel", methods=_NOT_READING)
def post_cancel(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """Cancel a job: stop it where it runs, or take it out of the queue."""
    _only_by_post(api, request)
    return answer(request, {"cancelled": _cancel(api, [segment(prompt_id)])})


def _only_by_post(api: ComfyApi, request: IRequest) -> None:
    """Be not there for an older server, nor by another method.

    :raises MethodNotAllowed: then.
    """
    if not api.version.cancels_jobs:
        raise MethodNotAllowed
    if request.method != b"POST":
        raise MethodNotAllowed(valid_methods=["POST"])


def _is_id(given: object) -> bool:
    """Whether this is a job's id: a UUID in its one canonical writing."""
    try:
        return isinstance(given, str) and str(UUID(given)) == given
    except ValueError:
        return False


def _cancel(api: ComfyApi, prompt_ids: Iterable[str]) -> bool:
    with api.moment() as now_ms:
        hits = [_cancel_one(api, prompt_id, now_ms) for prompt_id in prompt_ids]
    return any(hits)


def _cancel_one(api: ComfyApi, prompt_id: str, now_ms: int) -> bool:
    queue = api.instance.queue
    if queue.running is not None and queue.running.prompt_id == prompt_id:
        api.instance.interrupt(prompt_id, now_ms)
        return True
    waits = any(job.prompt_id == prompt_id for job in queue.pending)
    api.instance.delete_from_queue(prompt_id, now_ms)
    return waits
