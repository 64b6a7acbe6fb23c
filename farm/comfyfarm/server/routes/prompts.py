"""Routes that submit prompts, interrupt jobs and free memory."""

from collections.abc import Generator
from functools import partial
from io import BytesIO
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.answer import JSON, Answer, prompt_text
from comfyfarm.server.http.request import answer, json_body, note, nothing, prompt_source, raw_body, send
from comfyfarm.server.http.static_file import Stream
from comfyfarm.sim.errors import PromptRejected, ServerError, raising_as_comfyui
from comfyfarm.sim.prompt.job_names import hash_in_steps
from comfyfarm.sim.prompt.submission import PromptSource

_logger = Logger()
_LARGE_BYTES = 128 * 1024
_STREAM_ABOVE_BYTES = 1 << 20
app = ComfyApi.app


@app.route("/prompt", methods=["GET"])
def get_prompt(api: ComfyApi, request: IRequest) -> bytes:
    with api.moment():
        remaining = api.instance.queue.remaining
    note(request, shown=remaining)
    return answer(request, {"exec_info": {"queue_remaining": remaining}})


@app.route("/prompt", methods=["POST"])
def post_prompt(api: ComfyApi, request: IRequest) -> bytes | Deferred[bytes | IResource]:
    if len(raw_body(request)) > _LARGE_BYTES:
        return api.in_turns(_read_large(api, request)).addCallback(lambda read: _submit(api, request, *read))
    return _submit(api, request, json_body(request), prompt_source(request, api.instance.names))


def _read_large(api: ComfyApi, request: IRequest) -> Generator[None, None, tuple[Any, PromptSource]]:
    """Read and validate a request in steps, each of which may take as long as all of an ordinary one."""
    yield       # what came last has been received in this turn
    body = json_body(request)
    yield
    names = api.instance.names
    source = prompt_source(request, names)
    if isinstance(body, dict):
        prompt_hash = yield from hash_in_steps(body.get("prompt"))
        source = replace(source, text=names.text_in(body), prompt_hash=prompt_hash)
        source = replace(source, validation=(yield from api.instance.validate_early(body)))
    yield
    return body, source


def _submit(api: ComfyApi, request: IRequest, body: Any, source: PromptSource) -> bytes | Deferred[bytes | IResource]:
    try:
        with api.moment() as now_ms:
            accepted = api.instance.submit(body, source, now_ms)
    except PromptRejected as error:
        note(request, job=error.job if isinstance(body, dict) else "")
        _advise(api, error)
        return _answer(api, request, error.body, 400)
    except ServerError as error:
        note(request, job=error.job if isinstance(body, dict) else "")
        raise
    note(request, prompt_id=accepted.prompt_id, job=accepted.job)
    return _answer(api, request, accepted.as_json(), 200)


def _answer(api: ComfyApi, request: IRequest, body: dict[str, Any], status: int) -> bytes | Deferred[bytes | IResource]:
    if not body["node_errors"]:     # as most are
        return answer(request, body, status)
    return api.in_turns(prompt_text(body)).addCallback(partial(_send_text, request, status))


def _send_text(request: IRequest, status: int, text: BytesIO) -> bytes | IResource:
    """Send JSON that may be hundreds of megabytes, which are written piece by piece."""
    count = text.tell()
    if count <= _STREAM_ABOVE_BYTES:
        return send(request, Answer(status, JSON, text.getvalue()))
    send(request, Answer(status, JSON))
    request.setHeader(b"content-length", b"%d" % count)
    text.seek(0)
    return Stream(text, count)


def _advise(api: ComfyApi, error: PromptRejected) -> None:
    """Log once what the operator of the farm can do about unknown node types."""
    details = error.body["error"]
    if details["type"] == "missing_node_type" and not api.has_advised:
        api.has_advised = True
        _logger.warn(
            '{name}: refused a prompt with the unknown node type {class_type!r}; validation = "lenient" lets unknown '
            'types pass, validation = "off" lets everything pass (docs/config.md)',
            name=api.config.name,
            class_type=details["extra_info"]["class_type"],
        )


@app.route("/interrupt", methods=["POST"])
def post_interrupt(api: ComfyApi, request: IRequest) -> bytes:
    """Interrupt the running job; with an id, only if it is that job."""
    raw_body(request)       # a body that cannot be decoded is an error here, too
    prompt_id = _id_to_interrupt(request) if api.behaviour.interrupts_by_id else None
    source = prompt_source(request, api.instance.names)
    job = source.job or api.instance.names.known(source.header)
    note(request, job=job)
    with api.moment() as now_ms:
        api.instance.interrupt(prompt_id or None, now_ms, job)
    return nothing(request)


def _id_to_interrupt(request: IRequest) -> Any:
    try:
        body = json_body(request)
    except ServerError:
        body = {}
    with raising_as_comfyui():
        return body.get("prompt_id")


@app.route("/free", methods=["POST"])
def post_free(api: ComfyApi, request: IRequest) -> bytes:
    body: Any = json_body(request)
    with raising_as_comfyui():
        unload_models, free_memory = bool(body.get("unload_models")), bool(body.get("free_memory"))
    with api.moment() as now_ms:
        api.instance.free(unload_models=unload_models, free_memory=free_memory, now_ms=now_ms)
    return nothing(request)
