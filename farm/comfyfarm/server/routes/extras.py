"""Routes that answer with fixed data: what node packages add to the page, and the assets of newer versions."""

from collections.abc import Mapping
from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.config.recorded import node_replacements, subgraph_data, subgraphs
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.request import answer, segment

app = ComfyApi.app

# As on every server without --enable-assets.
_ASSETS_DISABLED = {
    "error": {
        "code": "SERVICE_DISABLED",
        "message": "Assets system is disabled. Start the server with --enable-assets to use this feature.",
        "details": {},
    }
}


@app.route("/workflow_templates", methods=["GET"])
@app.route("/i18n", methods=["GET"])
def get_extras_of_custom_nodes(_: ComfyApi, request: IRequest) -> bytes:
    """Answer with the workflow templates or the translations of custom nodes: none."""
    return answer(request, {})


@app.route("/node_replacements", methods=["GET"])
def get_node_replacements(api: ComfyApi, request: IRequest) -> bytes:
    api.require(api.behaviour.has_node_replacements)
    return answer(request, node_replacements())


@app.route("/global_subgraphs", methods=["GET"])
def get_subgraphs(api: ComfyApi, request: IRequest) -> bytes:
    return answer(request, _subgraphs(api))


@app.route("/global_subgraphs/<subgraph_id>", methods=["GET"])
def get_subgraph(api: ComfyApi, request: IRequest, subgraph_id: str) -> bytes:
    """Answer with a whole subgraph, or ``null`` if there is none of that id."""
    found = _subgraphs(api).get(segment(subgraph_id))
    return answer(request, None if found is None else {**found, "data": subgraph_data(segment(subgraph_id))})


def _subgraphs(api: ComfyApi) -> Mapping[str, Mapping[str, Any]]:
    api.require(api.behaviour.has_subgraphs)
    return subgraphs() if api.behaviour.ships_subgraphs else {}


@app.route("/assets", methods=["GET", "POST"])
@app.route("/assets/hash/<_>", methods=["HEAD"])
@app.route("/assets/<uuid:_>", methods=["GET", "PUT", "DELETE"])
@app.route("/assets/<uuid:_>/content", methods=["GET"])
@app.route("/assets/<uuid:_>/tags", methods=["POST", "DELETE"])
@app.route("/assets/from-hash", methods=["POST"])
@app.route("/assets/tags/refine", methods=["GET"])
@app.route("/assets/seed", methods=["POST"])
@app.route("/assets/seed/status", methods=["GET"])
@app.route("/assets/seed/cancel", methods=["POST"])
@app.route("/assets/prune", methods=["POST"])
@app.route("/tags", methods=["GET"])
def assets_disabled(api: ComfyApi, request: IRequest, _: object = None) -> bytes:
    api.require(api.behaviour.has_assets)
    return answer(request, _ASSETS_DISABLED, 503)


@app.route("/assets/export", methods=["POST"])
@app.route("/assets/exports/<_>", methods=["GET"])
@app.route("/tasks/<_>", methods=["GET"])
def asset_export_disabled(api: ComfyApi, request: IRequest, _: object = None) -> bytes:
    api.require(api.behaviour.has_asset_export)
    return answer(request, _ASSETS_DISABLED, 503)
