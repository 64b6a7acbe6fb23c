"""The feature flags that an instance announces."""

from collections.abc import Mapping
from typing import Any

from comfyfarm.config import InstanceConfig
from comfyfarm.versions import behaviour_of


def server_flags(config: InstanceConfig, captured: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the feature flags for ``/features`` and for each websocket; ``None`` if this version has none.

    :param captured: the flags of the real server that the instance imitates; ``None``: by version and settings.
    """
    behaviour = behaviour_of(config.comfyui_version)
    if captured is not None:
        limit = {"max_upload_size": int(config.max_upload_size)} if "max_upload_size" in captured else {}
        return {**captured, **limit}
    if not behaviour.has_features:
        return None
    flags: dict[str, Any] = {"supports_preview_metadata": True}
    if behaviour.tags_model_types:
        flags["supports_model_type_tags"] = True
    flags["max_upload_size"] = int(config.max_upload_size)
    if behaviour.has_manager_flag:
        flags["extension"] = {"manager": {"supports_v4": True}}
    if behaviour.has_node_replacements:
        flags["node_replacements"] = True
    if behaviour.has_assets:
        flags["assets"] = False
    return flags
