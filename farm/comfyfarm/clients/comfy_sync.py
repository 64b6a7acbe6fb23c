"""How does plain, synchronous code talk to a ComfyUI?

For tests of software that knows nothing of Twisted: the standard library only, one connection for each request,
and every call blocks.  Any ComfyUI will do; nothing here knows of the farm.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from comfyfarm.clients.errors import HttpStatusError

_POLL_S = 0.02
_ASK_TIMEOUT_S = 10.0

# A farm is on this machine or near it; a proxy of the environment would hide it.
_opener = build_opener(ProxyHandler({}))


def ask(method: str, url: str, body: Any = None, timeout_s: float = _ASK_TIMEOUT_S) -> bytes:
    """One HTTP exchange; a ``body`` goes out as JSON, ``None`` for none.

    :raises Refused: where the answer's status is 400 or more.
    :raises OSError: where there is no answer (``urllib.error.URLError`` is one).
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    asking = Request(url, data, headers, method=method)  # noqa: S310  (the caller's own URL)
    try:
        with _opener.open(asking, timeout=timeout_s) as answer:
            return bytes(answer.read())
    except HTTPError as refusal:
        with refusal:
            raise HttpStatusError(refusal.code, refusal.read()) from None


class SyncComfyClient:
    """One client of one server; each method blocks until the server has answered.

    All but :meth:`health` raise :class:`HttpStatusError` where the server answers with an error, and ``OSError`` where
    it does not answer.  There is nothing to close.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def submit_workflow(self, workflow: Mapping[str, Any], client_id: str | None = None) -> str:
        """Post a workflow and give its prompt id.

        :param client_id: whose websocket shall hear of the job; ``None`` for nobody's in particular.
        :raises Refused: with ComfyUI's ``error`` and ``node_errors`` in its body.
        """
        body: dict[str, Any] = {"prompt": workflow}
        if client_id is not None:
            body["client_id"] = client_id
        return str(self._ask_json("POST", "/prompt", body)["prompt_id"])

    def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """Entries by prompt id: all of them, or the one asked for; an unfinished or unknown job has none."""
        return dict(self._ask_json("GET", "/history" if prompt_id is None else f"/history/{prompt_id}"))

    def wait_for_completion(self, prompt_id: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Block until a job has ended, well or badly, and give its history entry.

        :raises TimeoutError: where it has not ended in time.
        """
        deadline = time.monotonic() + timeout_s
        while prompt_id not in (found := self.get_history(prompt_id)):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.base_url}: job {prompt_id} has not ended after {timeout_s:g} s")
            time.sleep(_POLL_S)
        return dict(found[prompt_id])

    def get_output_files(self, prompt_id: str) -> list[dict[str, str]]:
        """Every file of a job, each as ``filename``, ``subfolder`` and ``type``; none while it has not ended."""
        entry = self.get_history(prompt_id).get(prompt_id, {"outputs": {}})
        shown = [item for ui in entry["outputs"].values() for items in ui.values() for item in items]
        return [item for item in shown if isinstance(item, dict) and "filename" in item]

    def download(self, file: Mapping[str, str]) -> bytes:
        """Fetch one of :meth:`get_output_files`."""
        return ask("GET", f"{self.base_url}/view?{urlencode(file)}")

    def get_queue(self) -> dict[str, Any]:
        """``queue_running`` and ``queue_pending``, whose items begin with number and prompt id."""
        return dict(self._ask_json("GET", "/queue"))

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running job, or only that one if it is running."""
        ask("POST", f"{self.base_url}/interrupt", {} if prompt_id is None else {"prompt_id": prompt_id})

    def health(self, timeout_s: float = 5.0) -> bool:
        """Whether the server answers, and well, within that time."""
        try:
            ask("GET", f"{self.base_url}/system_stats", timeout_s=timeout_s)
        except (HttpStatusError, OSError, HTTPException):
            return False
        return True

    def _ask_json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(ask(method, self.base_url + path, body))
