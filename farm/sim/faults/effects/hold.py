"""A gate: what comes to it waits until somebody lets it go."""

from __future__ import annotations

from farm.sim.faults.moments import EXCHANGE, JOB

from .base import effect
from .hang import Hang

__all__ = ["Hold"]


@effect("hold", *JOB, *EXCHANGE, lasts=True)
class Hold(Hang, frozen=True, kw_only=True):
    """Wait until the gate is opened, or until one is let through (``/api/gates``): a race is made, not waited for."""
