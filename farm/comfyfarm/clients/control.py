"""Clients of a farm's control server.

:class:`SyncFarmControl` blocks; :class:`FarmControl` is for Twisted, :class:`AsyncFarmControl` for asyncio.  All have
the same methods::

    control = SyncFarmControl(farm.control_url)             control = FarmControl(farm.control_url)
    control.advance("10s")                                  await control.advance("10s")
    control.change("gpu-1", timing={"step": "2s"})          await control.change("gpu-1", timing={"step": "2s"})
    control.wait(finished=20)                               await control.wait(finished=20)
                                                            await control.close()

The methods are those of :class:`~comfyfarm.clients.control_methods.ControlMethods`.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from comfyfarm.clients.comfy_sync import HttpStatusError, ask
from comfyfarm.clients.control_calls import Call
from comfyfarm.clients.control_methods import ControlMethods

A = TypeVar("A")


class SyncFarmControl(ControlMethods):
    """A client of a farm's control server that blocks until the farm has answered.

    Every method raises ``OSError`` if the farm does not answer, and ``RuntimeError`` in a running event loop.
    """

    def __init__(self, base_url: str, token: str | None = None) -> None:
        """Make a client.

        :param token: the farm's control token; ``None``: that in the URL (``http://host/?token=...``), if it has one.
        """
        self.base_url, self._headers = _address(base_url, token)

    def _send(self, request: Call[A]) -> A:
        refuse_event_loop("a farm's control client")
        url = self.base_url + request.path
        try:
            content = ask(request.endpoint.method, url, request.body, request.timeout_s, self._headers)
        except HttpStatusError as error:
            raise request.error(error) from None
        return request.decode(content)


class AsyncFarmControl(ControlMethods):
    """A client of a farm's control server for asyncio: every method is awaited; requests block threads, not the loop.

    Every method raises ``OSError`` if the farm does not answer.
    """

    def __init__(self, farm: str | SyncFarmControl, token: str | None = None) -> None:
        """Make a client from the URL of a control server and its token, or from a client that blocks."""
        self._blocking = SyncFarmControl(farm, token) if isinstance(farm, str) else farm
        self.base_url = self._blocking.base_url

    async def _send(self, request: Call[A]) -> A:
        return await asyncio.to_thread(self._blocking._send, request)  # noqa: SLF001 (its twin)


class FarmControl(ControlMethods):
    """A client of a farm's control server for Twisted: every method is awaited.

    Every method raises Twisted's own errors if the farm does not answer.
    """

    def __init__(self, base_url: str, token: str | None = None, *, reactor: Any = None) -> None:
        """Make a client without connecting it; ``reactor`` defaults to the global one.

        :param token: as for :class:`SyncFarmControl`.
        """
        from comfyfarm.clients.comfy import ComfyClient

        self.base_url, self._headers = _address(base_url, token)
        self._http = ComfyClient(self.base_url, reactor=reactor)

    async def close(self) -> None:
        await self._http.close()

    async def _send(self, request: Call[A]) -> A:
        body: dict[str, Any] = {} if request.body is None else {"json": request.body}
        try:
            content = await self._http.fetch(
                request.endpoint.method, request.path, timeout=request.timeout_s, headers=self._headers, **body
            )
        except HttpStatusError as error:
            raise request.error(error) from None
        return request.decode(content)


def _address(url: str, token: str | None) -> tuple[str, dict[str, str]]:
    """Return the base URL of a control server, and the headers that its token needs."""
    parts = urlsplit(url)
    token = token or dict(parse_qsl(parts.query)).get("token")
    base_url = parts._replace(query="").geturl().rstrip("/")
    return base_url, {} if token is None else {"Authorization": f"Bearer {token}"}


def refuse_event_loop(what: str) -> None:
    """Raise if the caller is a task of an asyncio event loop, which would stand still, and all software in it.

    A loop without a task may run below code that blocks on purpose, as under Playwright's blocking API.

    :raises RuntimeError: with what to use instead.
    """
    try:
        is_in_task = asyncio.current_task() is not None
    except RuntimeError:
        return      # no loop runs here
    if not is_in_task:
        return
    raise RuntimeError(
        f"{what} would block the event loop that runs here, and the software under test in it; use the fixture"
        " async_comfy_farm, run_async_farm, attach_async_farm or AsyncFarmControl, and await (docs/asyncio.md)"
    )
