"""The data that ships with the package: node types, model folders, server facts, web page extras, the input picture."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import msgspec

from comfyfarm.config.recorded.catalogues import Entries, entries_of, read_table
from comfyfarm.sim.catalogue.node_types import read_node_type
from comfyfarm.sim.catalogue.recorded import FileChoice, Folders, ModelChoice, RecordedServer
from comfyfarm.sim.catalogue.socket_uses import SocketUses
from comfyfarm.versions import DEFAULT, Behaviour, behaviour_of, is_since

DEFAULT_PICTURE = "kernie_512x768.jpg"      # our own drawing


# The older node types that describe their outputs, and how many they describe; those that only load the model of a
# LoRA have what their common base has.
_OUTPUT_TOOLTIPS = {
    "CLIPTextEncode": 1, "CheckpointLoaderSimple": 3, "EmptyLatentImage": 1, "KSampler": 1, "LoraLoader": 2,
    "LoraLoaderBypass": 2, "LoraLoaderBypassModelOnly": 2, "LoraLoaderModelOnly": 2, "VAEDecode": 1,
}


def recorded(version: str = DEFAULT) -> RecordedServer:
    """Return what a ComfyUI server of this version without custom nodes declares."""
    return _recorded(version)


@cache
def _recorded(version: str) -> RecordedServer:
    entries, behaviour = entries_of(version), behaviour_of(version)
    folders = msgspec.json.decode(_data("folders.json"), type=Folders)
    return RecordedServer(
        object_info={name: _complete(name, entry, behaviour) for name, entry in entries.items()},
        folders=msgspec.structs.replace(
            folders,
            folders=tuple(folder for folder in folders.folders if is_since(version, folder.since)),
            model_choices=tuple(_model_choices(entries, folders)),
            file_choices=tuple(_file_choices(entries, folders)),
        ),
        load_uses=_socket_uses,
    )


@cache
def _socket_uses() -> dict[str, SocketUses]:
    return msgspec.json.decode(_data("socket_uses.json"), type=dict[str, SocketUses])


def _model_choices(entries: Entries, folders: Folders) -> Iterator[ModelChoice]:
    """Yield the model choices that these node types have, with the fixed choices of this version."""
    for choice in folders.model_choices:
        offered = _offered(entries, choice)
        if offered is not None:
            before, after = offered[: len(choice.before)], offered[len(choice.before) :]
            yield msgspec.structs.replace(choice, before=tuple(before), after=tuple(after))


def _file_choices(entries: Entries, folders: Folders) -> Iterator[FileChoice]:
    for choice in folders.file_choices:
        offered = _offered(entries, choice)
        if offered is not None:
            before = tuple(name for name in choice.before if name in offered)
            yield msgspec.structs.replace(choice, before=before)
        elif choice.remote and choice.class_type in entries:
            yield choice


def _offered(entries: Entries, choice: ModelChoice | FileChoice) -> list[Any] | None:
    """Return what an input offers on a server without files; ``None`` if there is no such input, or no list."""
    if choice.class_type not in entries:
        return None
    declared = read_node_type(choice.class_type, entries[choice.class_type]).inputs.get(choice.input)
    return None if declared is None else declared.choices


def _data(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


_table = cache(read_table)


def _complete(name: str, entry: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """Add the keys that were not recorded: texts for people, here empty."""
    filled = dict(entry) | {"description": ""}
    if behaviour.has_search_aliases:
        filled["search_aliases"] = []
    if name in _OUTPUT_TOOLTIPS:
        filled["output_tooltips"] = [""] * _OUTPUT_TOOLTIPS[name]
    if "api_node" in entry:     # a node of ComfyUI's newer kind
        filled["output_tooltips"] = [None] * len(entry["output"])
        if behaviour.has_search_aliases:
            filled["price_badge"] = None
    return filled


@cache
def system_stats(version: str = DEFAULT) -> Mapping[str, Any]:
    """Return the recorded ``/system_stats`` of a real server, as this version would give it."""
    facts, behaviour = _table("server.json")["system_stats"], behaviour_of(version)
    pins = [required for since, required in _table("versions/pins.json").items() if is_since(version, since)]
    names = [package["name"] for package in facts["system"]["comfy_package_versions"]]
    required = dict(zip(names, pins[-1] if pins else (), strict=False))
    templates = required.get("comfyui-workflow-templates")
    own = {
        "os": facts["system"]["os"] if behaviour.names_os else "posix",
        "comfyui_version": version,
        "required_frontend_version": required.get("comfyui-frontend-package") if behaviour.requires_frontend else None,
        "installed_templates_version": templates if behaviour.has_templates_version else None,
        "required_templates_version": templates if behaviour.has_templates_version else None,
        "comfy_package_versions": _packages(required) if behaviour.lists_packages else None,
        "deploy_environment": facts["system"]["deploy_environment"] if behaviour.tells_deployment else None,
    }
    system = {key: value for key, value in {**facts["system"], **own}.items() if value is not None}
    return {**facts, "system": system}


def _packages(required: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "installed": version, "required": version} for name, version in required.items()]


def extension_scripts() -> list[str]:
    """Return the recorded paths of the page's extension scripts."""
    scripts: list[str] = _table("server.json")["extensions"]
    return scripts


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
