"""The other server: bare aiohttp, which sends what the farm was seen to send.

    python -m benchmarks.peer SPEC READY
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiohttp import web

KEPT = 10_000


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answers.

    :ivar constant: bodies by path; a path may have names in braces.
    :ivar frames: the messages that the client of a prompt gets.
    """

    constant: dict[str, bytes] = {}
    types: dict[str, str] = {}
    frames: list[str] = []


@dataclass(eq=False)
class Peer:
    """Handlers as short as they can be."""

    spec: Spec
    prompts: deque[object] = field(default_factory=lambda: deque(maxlen=KEPT))
    sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)

    def application(self) -> web.Application:
        app = web.Application()
        for path, body in self.spec.constant.items():
            app.router.add_get(path, self._constant(body, self.spec.types.get(path, "application/json")))
        app.router.add_post("/prompt", self.post_prompt)
        app.router.add_post("/queue", self.post_queue)
        app.router.add_get("/ws", self.websocket)
        return app

    def _constant(self, body: bytes, content_type: str) -> web.RequestHandler[web.Request] | object:
        async def handler(_request: web.Request) -> web.Response:
            return web.Response(body=body, content_type=content_type)

        return handler

    async def post_prompt(self, request: web.Request) -> web.Response:
        """Decode and store a prompt; send its client the frames of a job afterwards."""
        prompt = await request.json()
        self.prompts.append(prompt)
        socket = self.sockets.get(prompt.get("client_id", ""))
        if socket is not None:
            asyncio.get_running_loop().create_task(self._run(socket))
        return web.json_response({"prompt_id": "0" * 36, "number": len(self.prompts), "node_errors": {}})

    async def _run(self, socket: web.WebSocketResponse) -> None:
        for frame in self.spec.frames:
            await socket.send_str(json.dumps(json.loads(frame)))
            await asyncio.sleep(0)

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


async def serve(spec: Path, ready: Path) -> None:
    """Serve until the process is ended; write the port when all is ready."""
    runner = web.AppRunner(Peer(msgspec.json.decode(spec.read_bytes(), type=Spec)).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    unready = ready.with_suffix(".new")
    unready.write_text(json.dumps({"port": runner.addresses[0][1]}), "ascii")
    unready.rename(ready)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
