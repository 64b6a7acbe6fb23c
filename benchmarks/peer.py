"""The other server: bare aiohttp, which sends what the farm was seen to send.

Run as ``python -m benchmarks.peer SPEC READY``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

KEPT = 10_000


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answers.

    :ivar constant: bodies by path; a path may have names in braces.
    :ivar messages: those that the client of a prompt gets.
    :ivar pause_s: between two of them.
    """

    constant: dict[str, bytes] = {}
    messages: list[dict[str, Any]] = []
    pause_s: float = 0.0


@dataclass(eq=False)
class Peer:
    """Handlers as short as they can be."""

    spec: Spec
    prompts: deque[object] = field(default_factory=lambda: deque(maxlen=KEPT))
    sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    _running: asyncio.Task[None] | None = None

    def application(self) -> web.Application:
        app = web.Application()
        for path, body in self.spec.constant.items():
            app.router.add_get(path, _constant(body))
        app.router.add_post("/prompt", self.post_prompt)
        app.router.add_post("/queue", self.post_queue)
        app.router.add_get("/ws", self.websocket)
        return app

    async def post_prompt(self, request: web.Request) -> web.Response:
        """Decode and store a prompt; send its client, if there is one, the messages of a job afterwards."""
        prompt = await request.json()
        self.prompts.append(prompt)
        if self.spec.messages:
            self._running = asyncio.create_task(self._run(self.sockets.get(prompt["client_id"])))
        return web.json_response({"prompt_id": "0" * 36, "number": len(self.prompts), "node_errors": {}})

    async def _run(self, socket: web.WebSocketResponse | None) -> None:
        for message in self.spec.messages:
            if socket is not None:
                await socket.send_json(message)
            await asyncio.sleep(self.spec.pause_s)

    async def post_queue(self, _request: web.Request) -> web.Response:
        """Send everybody a status."""
        for socket in self.sockets.values():
            await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        return web.Response()

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[request.query["clientId"]] = socket
        async for _ in socket:
            pass
        return socket


def _constant(body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return handler


async def serve(spec: Spec, ready: Path) -> None:
    """Serve until the process is ended; write the port when all is ready."""
    runner = web.AppRunner(Peer(spec).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    unready = ready.with_suffix(".new")
    unready.write_text(json.dumps({"port": runner.addresses[0][1]}), "ascii")
    unready.rename(ready)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec), Path(sys.argv[2])))
