"""What a real server offers its web page beside nodes and models, as it was recorded."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID


@cache
def _recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("comfyfarm.config.recorded").joinpath("extras.json").read_bytes())
    return found


def node_replacements() -> dict[str, Any]:
    """By older node type, which newer ones stand for it, and how inputs and outputs go over."""
    found: dict[str, Any] = _recorded()["node_replacements"]
    return found


@cache
def subgraphs() -> dict[str, dict[str, Any]]:
    """By id, the subgraphs that come with ComfyUI."""
    pack = {"node_pack": "comfyui"}
    return {key: {"source": "templates", "name": name, "info": pack} for key, name in _recorded()["subgraphs"].items()}


def subgraph_data(subgraph_id: str) -> str:
    """A workflow of one node that is the subgraph.

    What is inside it was not recorded, for it is ComfyUI's own work: here it is empty (docs/fidelity.md, "Subgraphs").
    """
    name, inner = _recorded()["subgraphs"][subgraph_id], str(UUID(hex=subgraph_id[:32]))
    node = {
        "id": 1,
        "type": inner,
        "pos": [0, 0],
        "size": [240, 60],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [],
    }
    within = {
        **_empty_graph(inner),
        "name": name,
        "state": {"lastGroupId": 0, "lastNodeId": 0, "lastLinkId": 0, "lastRerouteId": 0},
        "inputNode": {"id": -10, "bounding": [0, 0, 120, 60]},
        "outputNode": {"id": -20, "bounding": [400, 0, 120, 60]},
        "inputs": [],
        "outputs": [],
        "widgets": [],
    }
    counts = {"last_node_id": 1, "last_link_id": 0, "version": 0.4}
    workflow = {**_empty_graph(inner), **counts, "nodes": [node], "definitions": {"subgraphs": [within]}}
    return json.dumps(workflow)


def _empty_graph(graph_id: str) -> dict[str, Any]:
    about = {"id": graph_id, "version": 1, "revision": 0}
    return {**about, "config": {}, "nodes": [], "links": [], "groups": [], "extra": {}}
