"""Routes that answer with fixed data: what node packages add to the page, and the assets of newer versions."""

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
def get_node_replacements(_: ComfyApi, request: IRequest) -> bytes:
    return answer(request, node_replacements())


@app.route("/global_subgraphs", methods=["GET"])
def get_subgraphs(_: ComfyApi, request: IRequest) -> bytes:
    return answer(request, subgraphs())


@app.route("/global_subgraphs/<subgraph_id>", methods=["GET"])
def get_subgraph(_: ComfyApi, request: IRequest, subgraph_id: str) -> bytes:
    """Answer with a whole subgraph, or ``null`` if there is none of that id."""
    found = subgraphs().get(segment(subgraph_id))
    return answer(request, None if found is None else {**found, "data": subgraph_data(segment(subgraph_id))})


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
def assets_disabled(_api: ComfyApi, request: IRequest, _: object = None) -> bytes:
    return answer(request, _ASSETS_DISABLED, 503)
