"""The websocket route."""

import binascii
from base64 import b64decode

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.websocket import WebSocketResource

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.answer import aiohttp_answer
from comfyfarm.server.http.request import header, send
from comfyfarm.sim.errors import ServerError

app = ComfyApi.app

_VERSIONS = ("13", "8", "7")
_KEY_BYTES = 16


@app.route("/ws", methods=["GET"])
def get_ws(api: ComfyApi, request: IRequest) -> bytes | IResource:
    """Upgrade the connection to a websocket, or refuse with aiohttp's text."""
    refusal = _refusal(request)
    if refusal is not None:
        return send(request, aiohttp_answer(400, refusal))
    # The library takes version 13 only, and the last of several keys.
    for name, value in (("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", header(request, "sec-websocket-key"))):
        request.requestHeaders.setRawHeaders(name, [value])
    return WebSocketResource(api.hub)


def _refusal(request: IRequest) -> str | None:
    upgrade = header(request, "upgrade")
    connection = header(request, "connection")
    if (upgrade or "").strip().lower() != "websocket":
        return f'No WebSocket UPGRADE hdr: {upgrade}\n Can "Upgrade" only to "WebSocket".'
    if "upgrade" not in (connection or "").lower():
        return f"No CONNECTION upgrade hdr: {connection}"
    version, key = header(request, "sec-websocket-version") or "", header(request, "sec-websocket-key")
    if version not in _VERSIONS:
        return f"Unsupported version: {version}"
    return None if key is not None and _is_key(key) else f"Handshake error: {key!r}"


def _is_key(text: str) -> bool:
    """Return whether these are 16 bytes in base64.

    :raises ServerError: if the text is not ASCII, so that aiohttp fails.
    """
    try:
        return len(b64decode(text)) == _KEY_BYTES
    except binascii.Error:
        return False
    except ValueError as error:
        raise ServerError(str(error)) from error
