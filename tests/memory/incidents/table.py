"""Which incidents are shown, and how a farm is had to which one happens.

A check is a function under ``@incident("F08")`` in any module of this folder; it takes the ``memory_farm`` factory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfyfarm.testing import MemoryFarm

__all__ = ["CHECKS", "Check", "Start", "incident", "stage"]

Start = Callable[[Any], MemoryFarm]
"""The fixture ``memory_farm``."""

Check = Callable[[Start], None]
"""Shows what a client sees of one incident."""

CHECKS: dict[str, Check] = {}
"""Every check by its incident's id."""


def incident(incident_id: str) -> Callable[[Check], Check]:
    """Register a check; each incident has one."""

    def register(check: Check) -> Check:
        assert incident_id not in CHECKS, f"{incident_id} is shown twice"
        CHECKS[incident_id] = check
        return check

    return register


def stage(memory_farm: Start, incident_id: str, *, instances: int = 2, **settings: Any) -> MemoryFarm:
    """Start a farm to which an incident happens: on ``gpu-1`` alone where it befalls one, else on all.

    :param instances: how many there are: ``gpu-1``, ``gpu-2`` and so on.
    :param settings: keys of all of them; the incident's own go over them.
    """
    instance = {"name": "gpu-{n}", "count": instances, "port": 0, **settings}
    return memory_farm({"instance": [instance], "scenario": [{"use": incident_id}]})
