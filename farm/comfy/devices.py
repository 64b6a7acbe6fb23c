"""What ``/system_stats`` says of the machine's memory."""

from __future__ import annotations

from typing import Any

from farm.sim.machine import Machine

__all__ = ["devices"]


def devices(machine: Machine) -> list[dict[str, Any]] | None:
    """The one GPU and what is free of it, or ``None`` where no memory was configured."""
    total_bytes = machine.memory.capacity_bytes
    if total_bytes is None:
        return None
    used_bytes = machine.memory.used_bytes
    gpu = {
        "name": "cuda:0 comfyfarm : cudaMallocAsync",
        "type": "cuda",
        "index": 0,
        "vram_total": int(total_bytes),
        "vram_free": max(0, total_bytes - used_bytes),
        "torch_vram_total": used_bytes,
        "torch_vram_free": 0,
    }
    return [gpu]
