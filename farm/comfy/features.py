"""What does an instance announce that it can do, at ``/features`` and to a websocket?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from farm.config import InstanceConfig

from .version import version_of

__all__ = ["server_flags"]


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
