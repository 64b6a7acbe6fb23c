"""The data that ships with the package: node types, model folders, server facts, web page extras, the input picture."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import msgspec

from comfyfarm.sim.catalogue.recorded import Folders, RecordedServer
from comfyfarm.sim.catalogue.socket_uses import SocketUses

DEFAULT_PICTURE = "kernie_512x768.jpg"      # our own drawing


# The older node types that describe their outputs, and how many they describe; those that only load the model of a
# LoRA have what their common base has.
_OUTPUT_TOOLTIPS = {
    "CLIPTextEncode": 1, "CheckpointLoaderSimple": 3, "EmptyLatentImage": 1, "KSampler": 1, "LoraLoader": 2,
    "LoraLoaderBypass": 2, "LoraLoaderBypassModelOnly": 2, "LoraLoaderModelOnly": 2, "VAEDecode": 1,
}


@cache
def recorded() -> RecordedServer:
    """Return what a ComfyUI server without custom nodes declares."""
    return RecordedServer(
        object_info={name: _complete(name, entry) for name, entry in _table("object_info.json").items()},
        folders=msgspec.json.decode(_data("folders.json"), type=Folders),
        load_uses=_socket_uses,
    )


@cache
def _socket_uses() -> dict[str, SocketUses]:
    return msgspec.json.decode(_data("socket_uses.json"), type=dict[str, SocketUses])


def _data(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


@cache
def _table(name: str) -> dict[str, Any]:
    return msgspec.json.decode(_data(name), type=dict[str, Any])


def _complete(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Add the keys that were not recorded: texts for people, here empty."""
    filled = dict(entry) | {"description": "", "search_aliases": []}
    if name in _OUTPUT_TOOLTIPS:
        filled["output_tooltips"] = [""] * _OUTPUT_TOOLTIPS[name]
    if "api_node" in entry:     # a node of ComfyUI's newer kind
        filled |= {"output_tooltips": [None] * len(entry["output"]), "price_badge": None}
    return filled


def server_facts() -> dict[str, Any]:
    """Return the recorded ``system_stats`` and ``extensions`` of a real server."""
    return _table("server.json")


def default_picture() -> bytes:
    """Return the input picture of instances that configure no other."""
    return _data(DEFAULT_PICTURE)


def node_replacements() -> dict[str, Any]:
    """Return the newer node types for each older one, with the mapping of inputs and outputs."""
    replacements: dict[str, Any] = _table("extras.json")["node_replacements"]
    return replacements


@cache
def subgraphs() -> dict[str, dict[str, Any]]:
    """Return the subgraphs that ship with ComfyUI, by id."""
    names, pack = _table("extras.json")["subgraphs"], {"node_pack": "comfyui"}
    return {key: {"source": "templates", "name": name, "info": pack} for key, name in names.items()}


def subgraph_data(subgraph_id: str) -> str:
    """Return a workflow of one node, the subgraph, as JSON.

    Its content was not recorded, because it is ComfyUI's own work: here it is empty (docs/fidelity.md, "Subgraphs").
    """
    name, inner = _table("extras.json")["subgraphs"][subgraph_id], str(UUID(hex=subgraph_id[:32]))
    node = {
        "id": 1, "type": inner, "pos": [0, 0], "size": [240, 60], "flags": {}, "order": 0, "mode": 0,
        "inputs": [], "outputs": [], "properties": {}, "widgets_values": [],
    }
    subgraph = {
        **_empty_graph(inner),
        "name": name,
        "state": {"lastGroupId": 0, "lastNodeId": 0, "lastLinkId": 0, "lastRerouteId": 0},
        "inputNode": {"id": -10, "bounding": [0, 0, 120, 60]},
        "outputNode": {"id": -20, "bounding": [400, 0, 120, 60]},
        "inputs": [], "outputs": [], "widgets": [],
    }
    counts = {"last_node_id": 1, "last_link_id": 0, "version": 0.4}
    workflow = {**_empty_graph(inner), **counts, "nodes": [node], "definitions": {"subgraphs": [subgraph]}}
    return json.dumps(workflow)


def _empty_graph(graph_id: str) -> dict[str, Any]:
    head = {"id": graph_id, "version": 1, "revision": 0}
    return {**head, "config": {}, "nodes": [], "links": [], "groups": [], "extra": {}}
