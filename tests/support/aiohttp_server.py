"""A server of aiohttp's in a thread, with which the farm's own is compared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from aiohttp import web


@contextmanager
def served(app: web.Application) -> Iterator[int]:
    """Serve an application, and give the port."""
    ready, over, ports = Event(), asyncio.Event(), []

    async def serve() -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await over.wait()
        await runner.cleanup()

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(loop.run_until_complete, serve())
        assert ready.wait(10)
        yield ports[0]
        loop.call_soon_threadsafe(over.set)
        serving.result()
    loop.close()
