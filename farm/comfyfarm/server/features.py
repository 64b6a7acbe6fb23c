"""What does an instance announce that it can do, at ``/features`` and to a websocket?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfyfarm.config import InstanceConfig
from comfyfarm.server.version import version_of
from comfyfarm.sim.machine import Machine


def server_flags(config: InstanceConfig, captured: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """ComfyUI's feature flags, by version and settings; or as a real server announced them."""
    if captured is not None:
        limit = {"max_upload_size": int(config.max_upload_size)} if "max_upload_size" in captured else {}
        return {**captured, **limit}
    flags: dict[str, Any] = {
        "supports_preview_metadata": True,
        "max_upload_size": int(config.max_upload_size),
        "extension": {"manager": {"supports_v4": True}},
        "node_replacements": True,
        "assets": False,
    }
    if version_of(config.comfyui_version).tags_model_types:
        flags["supports_model_type_tags"] = True
    return flags


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
