"""Make the service of a whole farm, for a process that is nothing but a farm."""

import gc
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfyfarm.config import FarmConfig

if TYPE_CHECKING:
    from comfyfarm.control.app import FarmApp

_PARENT_CHECK_S = 0.25


class NotInstalled(Exception):
    """A package is missing; the message says what to do, in one line."""


def make_app(config: FarmConfig, *, ready_file: str | None, exit_with_parent: bool) -> "FarmApp":
    """Make a farm on the global reactor and the wall clock; nothing is bound or written before it starts.

    :param ready_file: see :class:`~comfyfarm.control.app.FarmApp`.
    :param exit_with_parent: whether the reactor stops when the parent of this process has ended.
    :raises ConfigError: if the configuration is wrong.
    :raises NotInstalled: if another package hides ``multipart``.
    """
    from twisted.application.internet import TimerService
    from twisted.internet import reactor

    from comfyfarm.server.time.monotonic import use_monotonic_clock

    use_monotonic_clock(reactor)
    try:
        from comfyfarm.control.app import FarmApp
        from comfyfarm.server.farm import make_farm
        from comfyfarm.server.polling import poll_without_log_context
        from comfyfarm.server.ports import TcpPort
    except ImportError as error:
        if error.name != "multipart":
            raise
        raise NotInstalled(str(error)) from None

    poll_without_log_context(reactor)
    bind, unix_ms = TcpPort.binder(reactor), int(time.time() * 1000)
    farm = make_farm(config, reactor=reactor, clock=reactor, bind=bind, unix_ms=unix_ms, wall_s=time.time)
    app = FarmApp(farm, None if ready_file is None else Path(ready_file))
    running: Any = reactor
    running.callWhenRunning(_spare_garbage_collector)
    if exit_with_parent:
        parent_id = os.getppid()

        def stop_without_parent() -> None:
            if os.getppid() != parent_id:
                running.stop()

        TimerService(_PARENT_CHECK_S, stop_without_parent).setServiceParent(app)
    return app


def _spare_garbage_collector() -> None:
    """Let the garbage collector leave out what the farm has at its start, and run in small portions.

    To look at all of it would hold up every instance for 50 ms and more.  What the farm keeps of its run is made of
    few objects that the collector looks at (docs/architecture.md, "Garbage"), so that a full collection stays short.
    """
    gc.freeze()
    gc.set_threshold(2_000, 10, 10)
