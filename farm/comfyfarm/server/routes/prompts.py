"""Routes that submit prompts, interrupt jobs and free memory."""

from collections.abc import Generator
from functools import partial
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.answer import prompt_answer
from comfyfarm.server.http.request import answer, json_body, note, nothing, prompt_source, raw_body, send
from comfyfarm.sim.errors import PromptRejected, ServerError, raising_as_comfyui
from comfyfarm.sim.prompt.job_names import hash_of
from comfyfarm.sim.prompt.submission import PromptSource

_logger = Logger()
_LARGE_BYTES = 256 * 1024
app = ComfyApi.app


@app.route("/prompt", methods=["GET"])
def get_prompt(api: ComfyApi, request: IRequest) -> bytes:
    with api.moment():
        remaining = api.instance.queue.remaining
    note(request, shown=remaining)
    return answer(request, {"exec_info": {"queue_remaining": remaining}})


@app.route("/prompt", methods=["POST"])
def post_prompt(api: ComfyApi, request: IRequest) -> bytes | Deferred[bytes]:
    if len(raw_body(request)) > _LARGE_BYTES:
        return api.in_turns(_read_large(api, request)).addCallback(lambda read: _submit(api, request, *read))
    return _submit(api, request, json_body(request), prompt_source(request, api.instance.names))


def _read_large(api: ComfyApi, request: IRequest) -> Generator[None, None, tuple[Any, PromptSource]]:
    """Read a request in steps, each of which may take as long as all of an ordinary one."""
    body = json_body(request)
    yield
    source = prompt_source(request, api.instance.names)
    if isinstance(body, dict):
        source = replace(source, prompt_hash=hash_of(body.get("prompt")))
    yield
    return body, source


def _submit(api: ComfyApi, request: IRequest, body: Any, source: PromptSource) -> bytes | Deferred[bytes]:
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


def _answer(api: ComfyApi, request: IRequest, body: dict[str, Any], status: int) -> bytes | Deferred[bytes]:
    if not body["node_errors"]:     # as most are
        return answer(request, body, status)
    return api.in_turns(prompt_answer(body, status)).addCallback(partial(send, request))


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
