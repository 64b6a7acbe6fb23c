"""What packs of nodes bring for the page: templates, translations, replacements, subgraphs."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from comfyfarm.config.recorded.extras import node_replacements, subgraph_data, subgraphs
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.request import answer, segment

app = ComfyApi.app


@app.route("/workflow_templates", methods=["GET"])
def get_templates(_: ComfyApi, request: IRequest) -> bytes:
    """The templates of custom nodes, of which there are none."""
    return answer(request, {})


@app.route("/i18n", methods=["GET"])
def get_translations(_: ComfyApi, request: IRequest) -> bytes:
    """The translations of custom nodes, of which there are none."""
    return answer(request, {})


@app.route("/node_replacements", methods=["GET"])
def get_node_replacements(_: ComfyApi, request: IRequest) -> bytes:
    """Which newer node type stands for an older one."""
    return answer(request, node_replacements())


@app.route("/global_subgraphs", methods=["GET"])
def get_subgraphs(_: ComfyApi, request: IRequest) -> bytes:
    """The subgraphs that come with the server."""
    return answer(request, subgraphs())


@app.route("/global_subgraphs/<subgraph_id>", methods=["GET"])
def get_subgraph(_: ComfyApi, request: IRequest, subgraph_id: str) -> bytes:
    """One of them, whole; ``null`` where there is none of that id."""
    found = subgraphs().get(segment(subgraph_id))
    return answer(request, None if found is None else {**found, "data": subgraph_data(segment(subgraph_id))})
