"""The facts of a request that faults can filter by, and the phases of its exchange."""

import json
from dataclasses import dataclass, replace
from os import SEEK_END
from typing import Any, Self
from urllib.parse import unquote

from twisted.web.server import Request

from comfyfarm.faults.phases import Phase, PhaseFacts
from comfyfarm.faults.targets import HttpReply
from comfyfarm.server.files.uploads import SentFile, parse_form
from comfyfarm.server.http.request import header, json_body, prompt_source, query, raw_body
from comfyfarm.sim.errors import ServerError
from comfyfarm.sim.prompt.job_names import JobNames
from comfyfarm.sim.prompt.workflow import class_types, input_texts

_READING = ("GET", "HEAD")
_STATUS_ROUTES = ("/queue", "/prompt", "/system_stats", "/jobs")


def without_prefix(path: str) -> str:
    """Return a path without ``/api``; ComfyUI declares those of jobs with the prefix, and then adds it once more."""
    if path.startswith("/api/api/jobs"):
        return path.removeprefix("/api/api")
    return path.removeprefix("/api") if path.startswith("/api/") else path


@dataclass(frozen=True)
class RequestFacts:
    """A request with its route.

    :ivar route: the path without ``/api``, and unquoted.
    """

    request: Request
    method: str
    route: str

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the facts of a request; reads the request line only."""
        path = without_prefix(unquote(request.path.decode("utf-8", "replace")))
        return cls(request, request.method.decode("ascii", "replace"), path)

    @property
    def phases_before(self) -> tuple[Phase, ...]:
        """The phases before the work of the route."""
        if self.is_submit:
            return "request", "submit"
        if self.method in _READING and self.route == "/view":
            return "request", "view"
        if self.method == "POST" and self.route.startswith("/upload/"):
            return "request", "upload"
        return ("request",)

    @property
    def phases_after(self) -> tuple[Phase, ...]:
        """The phases after the work; none for a websocket handshake, which has no answer to change."""
        if self.route == "/ws":
            return ()
        shows_status = self.method in _READING and self.route in _STATUS_ROUTES
        return ("status", "reply") if shows_status else ("reply",)

    @property
    def is_submit(self) -> bool:
        return self.method == "POST" and self.route == "/prompt"

    def phase_facts(self, accepted: int, names: JobNames) -> PhaseFacts:
        """Return the facts for the phases before the work; never fails, whatever the client has sent.

        :param accepted: how many jobs the instance has accepted.
        """
        parameters = query(self.request)
        facts = PhaseFacts(
            route=self.route,
            method=self.method,
            client=parameters.get("clientId", parameters.get("client_id")),
            size_bytes=self._size_bytes(),
            file=parameters.get("filename", "") if self.route == "/view" else self._upload_name(),
        )
        return self._with_prompt(facts, accepted, names) if self.is_submit else facts

    def _size_bytes(self) -> int:
        """Return the size of the body in bytes.  If it was dropped as too large: its ``Content-Length``."""
        declared, content = header(self.request, "content-length") or "", self.request.content
        assert content is not None, "the whole request was received"
        return int(declared) if declared.isdecimal() else content.seek(0, SEEK_END)

    def _upload_name(self) -> str:
        if "upload" not in self.phases_before:
            return ""
        try:
            form = parse_form(header(self.request, "content-type") or "", raw_body(self.request))
        except ServerError:
            return ""
        sent = form.get("image") if form is not None else None
        return sent.filename if isinstance(sent, SentFile) else ""

    def _with_prompt(self, facts: PhaseFacts, accepted: int, names: JobNames) -> PhaseFacts:
        body = self._prompt_body()
        prompt, prompt_id = body.get("prompt"), body.get("prompt_id")
        nodes = list(prompt.values()) if isinstance(prompt, dict) else []
        return replace(
            facts,
            client=body.get("client_id", facts.client),
            job=accepted + 1,
            job_name=names.of(body, prompt_source(self.request, names)),
            prompt_id=prompt_id if isinstance(prompt_id, str) else None,
            node_types=class_types(nodes),
            models=input_texts(nodes),
        )

    def _prompt_body(self) -> dict[str, Any]:
        try:
            body = json_body(self.request)
        except ServerError:
            body = None
        return body if isinstance(body, dict) else {}

    def with_reply(self, facts: PhaseFacts, reply: HttpReply, accepted: int) -> PhaseFacts:
        """Return the facts for the phases after the work: with the job that a prompt became, or without a job.

        :param accepted: how many jobs the instance has accepted, this one included.
        """
        if not self.is_submit:
            return facts
        if reply.status != 200:
            return replace(facts, job=0, prompt_id=None)
        return replace(facts, job=accepted, prompt_id=json.loads(reply.body)["prompt_id"])
