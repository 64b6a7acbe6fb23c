"""The assets of newer versions, switched off as on every server without ``--enable-assets``."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.request import answer

app = ComfyApi.app

_DISABLED = {
    "error": {
        "code": "SERVICE_DISABLED",
        "message": "Assets system is disabled. Start the server with --enable-assets to use this feature.",
        "details": {},
    }
}


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
    """Say so, whatever was asked."""
    return answer(request, _DISABLED, 503)
