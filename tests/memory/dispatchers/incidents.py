"""Scenes for correct dispatchers: the ready-made incidents, and fault sets that are drawn."""

from __future__ import annotations

from dataclasses import replace

from tests.memory.drawn_faults import drawn_faults

from .bugs import load
from .scenes import Scene


def incident_scene(incident_id: str) -> Scene:
    """Return a scene in which an incident happens to the farm."""
    return Scene(load(8, every_ms=500), scenario=[{"use": incident_id}], limit_ms=100_000)


def drawn_scene(number: int) -> Scene:
    """Return a scene with the drawn fault set of this number, which is removed after 20 seconds.

    In every other one an order is withdrawn and another is invalid.
    """
    orders = load(6, every_ms=500)
    if number % 2:
        orders[2] = replace(orders[2], withdraw_ms=orders[2].at_ms + 250 * (number % 10))
        orders[4] = replace(orders[4], is_valid=False)
    return Scene(orders, drawn_faults(number), heal_ms=20_000, limit_ms=100_000, seed=number)
