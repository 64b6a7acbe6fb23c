"""Routes that cancel jobs by id, new in version 0.27 (docs/fidelity.md, "Versions")."""

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
_WRITING_METHODS = ["POST", "PUT", "DELETE", "PATCH"]


@app.route("/jobs/cancel", methods=_WRITING_METHODS)
def post_cancel_many(api: ComfyApi, request: IRequest) -> bytes:
    """Cancel several jobs, and answer whether any of them was still running or pending."""
    _check_method(api, request)
    try:
        body: Any = json_body(request)
    except ServerError:
        return answer(request, {"error": "Request body must be valid JSON"}, 400)
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        return answer(request, {"error": "job_ids must be a list"}, 400)
    invalid = [prompt_id for prompt_id in ids if not _is_canonical_uuid(prompt_id)]
    if invalid:
        return answer(request, {"error": "job_ids contains invalid id(s)", "invalid_ids": invalid}, 400)
    return answer(request, {"cancelled": _cancel(api, ids)})


@app.route("/jobs/<prompt_id>/cancel", methods=_WRITING_METHODS)
def post_cancel(api: ComfyApi, request: IRequest, prompt_id: str) -> bytes:
    """Interrupt a running job, or delete a pending one from the queue."""
    _check_method(api, request)
    return answer(request, {"cancelled": _cancel(api, [segment(prompt_id)])})


def _check_method(api: ComfyApi, request: IRequest) -> None:
    """Check that this version has the route and that the method is POST.

    :raises MethodNotAllowed: if not.
    """
    if not api.version.cancels_jobs:
        raise MethodNotAllowed
    if request.method != b"POST":
        raise MethodNotAllowed(valid_methods=["POST"])


def _is_canonical_uuid(prompt_id: object) -> bool:
    try:
        return isinstance(prompt_id, str) and str(UUID(prompt_id)) == prompt_id
    except ValueError:
        return False


def _cancel(api: ComfyApi, prompt_ids: Iterable[str]) -> bool:
    with api.moment() as now_ms:
        cancelled = [_cancel_one(api, prompt_id, now_ms) for prompt_id in prompt_ids]
    return any(cancelled)


def _cancel_one(api: ComfyApi, prompt_id: str, now_ms: int) -> bool:
    queue = api.instance.queue
    if queue.running is not None and queue.running.prompt_id == prompt_id:
        api.instance.interrupt(prompt_id, now_ms)
        return True
    was_pending = any(job.prompt_id == prompt_id for job in queue.pending)
    api.instance.delete_from_queue(prompt_id, now_ms)
    return was_pending
