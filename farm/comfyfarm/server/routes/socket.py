"""The websocket route."""

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.websocket import WebSocketResource

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.answer import text_answer
from comfyfarm.server.http.request import header, send

app = ComfyApi.app


@app.route("/ws", methods=["GET"])
def get_ws(api: ComfyApi, request: IRequest) -> bytes | IResource:
    """Upgrade the connection to a websocket, or refuse with aiohttp's text."""
    refusal = _refusal(request)
    if refusal is None:
        return WebSocketResource(api.hub)
    return send(request, text_answer(400, refusal))


def _refusal(request: IRequest) -> str | None:
    upgrade = header(request, "upgrade")
    connection = header(request, "connection")
    if (upgrade or "").strip().lower() != "websocket":
        return f'No WebSocket UPGRADE hdr: {upgrade}\n Can "Upgrade" only to "WebSocket".'
    if "upgrade" not in (connection or "").lower():
        return f"No CONNECTION upgrade hdr: {connection}"
    if header(request, "sec-websocket-version") != "13":
        return f"Unsupported version: {header(request, 'sec-websocket-version') or ''}"
    return None
