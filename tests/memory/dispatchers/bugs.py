"""The dispatchers with a bug: each with the scene in which it bites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Dispatcher
from .orders import Order
from .scenes import Scene

BUGS: dict[type[Dispatcher], Scene] = {}
"""The scene of every dispatcher with a bug."""


def bites(scene: Scene) -> Callable[[type[Dispatcher]], type[Dispatcher]]:
    """Register a dispatcher with a bug, and the scene that shows it."""

    def register(kind: type[Dispatcher]) -> type[Dispatcher]:
        BUGS[kind] = scene
        return kind

    return register


def load(count: int, *, every_ms: int = 250, **facts: Any) -> list[Order]:
    """Return orders that are placed one after another."""
    return [Order(f"order-{n + 1}", 101 + n, every_ms * n, **facts) for n in range(count)]


CALM = load(6)

REPLY_TO_PROMPT = {"phase": "reply", "route": "/prompt", "method": "POST"}


def faulty(*faults: dict[str, Any], orders: list[Order] = CALM, **more: Any) -> Scene:
    return Scene(orders, faults, **more)
