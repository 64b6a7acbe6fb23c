"""The API node types of a stock server: ComfyUI's own nodes that call paid services of other companies.

The files hold what differs from one node type to the next, made by ``scripts/make_api_nodes``.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from comfyfarm.versions import is_since

Entry = dict[str, Any]

_RECORDED = "api_nodes.json"
_LATER = (("0.33.0", "api_nodes-0.33.json"),)    # what has changed since, by version
_HIDDEN = {
    "auth_token_comfy_org": ["AUTH_TOKEN_COMFY_ORG"],
    "api_key_comfy_org": ["API_KEY_COMFY_ORG"],
    "unique_id": ["UNIQUE_ID"],
    "comfy_usage_source": ["COMFY_USAGE_SOURCE"],
}


@cache
def api_nodes(version: str) -> Mapping[str, Entry]:
    """Return the entries in ``/object_info`` by node type, as last recorded before this version or with it."""
    found = _read(_RECORDED)
    for since, name in _LATER:
        if is_since(version, since):
            found = {**found, **_read(name)}
    return {name: completed(name, entry) for name, entry in found.items() if entry is not None}


def _read(name: str) -> dict[str, Entry | None]:
    return msgspec.json.decode(files(__package__).joinpath(name).read_bytes(), type=dict[str, Entry | None])


def completed(name: str, entry: Mapping[str, Any]) -> Entry:
    """Return the whole entry, from what differs."""
    hidden = _HIDDEN if entry.get("api_node", True) else {}     # some only prepare inputs for the others
    groups = {**({"hidden": hidden} if hidden else {}), **entry.get("input", {})}
    inputs = {group: groups[group] for group in ("required", "optional", "hidden") if group in groups}
    kinds = entry.get("output", ["IMAGE"])
    return {
        "input": inputs,
        "input_order": {group: list(specs) for group, specs in inputs.items()},
        "is_input_list": False,
        "output": kinds,
        "output_is_list": [False] * len(kinds),
        "output_name": kinds,
        "output_tooltips": [None] * len(kinds),
        "output_matchtypes": None,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "comfy_api_nodes",
        "category": "partner",
        "output_node": False,
        "deprecated": False,
        "experimental": False,
        "dev_only": False,
        "api_node": True,
        "price_badge": None,
        "search_aliases": [],
        "essentials_category": None,
        "has_intermediate_output": False,
        **{key: value for key, value in entry.items() if key != "input"},
    }
