"""A blocking client of any ComfyUI server, for software and tests without Twisted.

It uses the standard library only, and opens one connection for each request.
"""

import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

_POLL_S = 0.02
_ANSWER_TIMEOUT_S = 10.0

# A farm runs on this machine or near it, where a proxy of the environment would not find it.
_opener = build_opener(ProxyHandler({}))


def ask(
    method: str,
    url: str,
    body: Any = None,
    timeout_s: float = _ANSWER_TIMEOUT_S,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Send an HTTP request, and return the content of the answer.

    :param body: sent as JSON; ``None``: no body.
    :param headers: further ones, such as ``Authorization``.
    :raises HttpStatusError: if the status is 400 or more.
    :raises OSError: if there is no answer (``urllib.error.URLError`` is one).
    """
    data = None if body is None else json.dumps(body).encode()
    content_type = {} if body is None else {"Content-Type": "application/json"}
    request = Request(url, data, {**content_type, **(headers or {})}, method=method)  # noqa: S310  (the caller's own URL)
    try:
        with _opener.open(request, timeout=timeout_s) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            raise HttpStatusError(error.code, error.read()) from None


class HttpStatusError(Exception):
    """The server answered with an error status.

    :ivar status: 400 or more.
    :ivar body: the decoded JSON of the answer; its text, if it is no JSON.
    """

    def __init__(self, status: int, content: bytes) -> None:
        try:
            self.body: Any = json.loads(content)
        except ValueError:
            self.body = content.decode(errors="replace")
        self.status = status
        super().__init__(status, self.body)


class SyncComfyClient:
    """A blocking client of one ComfyUI server; it need not be closed.

    Every method except :meth:`health` raises :class:`HttpStatusError` if the server answers with an error, and
    ``OSError`` if it does not answer.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def submit_workflow(self, workflow: Mapping[str, Any], client_id: str | None = None) -> str:
        """Submit a workflow, and return its prompt id.

        :param client_id: the client whose websockets receive the messages of the job; ``None``: no such client.
        :raises HttpStatusError: with ComfyUI's ``error`` and ``node_errors`` in its body, if the workflow is invalid.
        """
        body: dict[str, Any] = {"prompt": workflow}
        if client_id is not None:
            body["client_id"] = client_id
        return str(self._fetch_json("POST", "/prompt", body)["prompt_id"])

    def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """Return the history by prompt id, or only the entry of one job; a job has no entry before its end."""
        return dict(self._fetch_json("GET", "/history" if prompt_id is None else f"/history/{prompt_id}"))

    def wait_for_completion(self, prompt_id: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Block until a job has ended, also with an error, and return its history entry.

        :raises TimeoutError: if it has not ended in time.
        """
        deadline = time.monotonic() + timeout_s
        while prompt_id not in (history := self.get_history(prompt_id)):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.base_url}: job {prompt_id} has not ended after {timeout_s:g} s")
            time.sleep(_POLL_S)
        return dict(history[prompt_id])

    def get_output_files(self, prompt_id: str) -> list[dict[str, str]]:
        """Return the files of a job as ``filename``, ``subfolder`` and ``type``; none before the job has ended."""
        entry = self.get_history(prompt_id).get(prompt_id, {"outputs": {}})
        items = [item for ui in entry["outputs"].values() for values in ui.values() for item in values]
        return [item for item in items if isinstance(item, dict) and "filename" in item]

    def download(self, file: Mapping[str, str]) -> bytes:
        """Return the content of a file that :meth:`get_output_files` named."""
        return ask("GET", f"{self.base_url}/view?{urlencode(file)}")

    def get_queue(self) -> dict[str, Any]:
        """Return ``queue_running`` and ``queue_pending``, whose items begin with number and prompt id."""
        return dict(self._fetch_json("GET", "/queue"))

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running job; with a ``prompt_id``, only if it is that one."""
        ask("POST", f"{self.base_url}/interrupt", {} if prompt_id is None else {"prompt_id": prompt_id})

    def health(self, timeout_s: float = 5.0) -> bool:
        """Return True if the server answers within the time, and without an error."""
        try:
            ask("GET", f"{self.base_url}/system_stats", timeout_s=timeout_s)
        except (HttpStatusError, OSError, HTTPException):
            return False
        return True

    def _fetch_json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(ask(method, self.base_url + path, body))
