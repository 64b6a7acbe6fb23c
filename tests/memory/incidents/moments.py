"""When did something happen, in simulated milliseconds from the farm's start?"""

from __future__ import annotations

from comfyfarm.server.time.clock import EPOCH_UNIX_MS
from comfyfarm.testing import MemoryFarm
from tests.memory.incidents.asking import entry_of

__all__ = ["ended_ms", "now_ms"]


def now_ms(farm: MemoryFarm) -> int:
    """The simulated moment."""
    return farm.farm.time.now_ms()


def ended_ms(farm: MemoryFarm, prompt_id: str, name: str = "gpu-1") -> int | None:
    """When a job ended well, as history says; ``None`` where it is not listed, or ended otherwise."""
    entry = entry_of(farm, prompt_id, name)
    if entry is None or not entry["status"]["completed"]:
        return None
    kind, data = entry["status"]["messages"][-1]
    assert kind == "execution_success"
    return int(data["timestamp"]) - EPOCH_UNIX_MS
