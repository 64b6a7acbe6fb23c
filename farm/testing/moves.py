"""How far a test moves the clock, and where that ends."""

from __future__ import annotations

from farm.service import Farm
from farm.sim.units import Duration

__all__ = ["idle_at", "in_seconds"]


def in_seconds(duration: str | float) -> float:
    """A duration as it is written (``"10s"``), or in seconds already."""
    return Duration.parse(duration) / 1000 if isinstance(duration, str) else duration


def idle_at(farm: Farm, *, is_idle: bool) -> int:
    """The moment at which a farm came to be idle, in milliseconds.

    :raises TimeoutError: where it did not.
    """
    now_ms = farm.time.now_ms()
    if not is_idle:
        raise TimeoutError(f"the farm is not idle at {now_ms} ms; the next thing is due at {farm.keeper.next_ms} ms")
    return now_ms
