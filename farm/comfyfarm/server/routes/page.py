"""The web page: ComfyUI's folder of static files, which also answers for every path without a route."""

from pathlib import PurePosixPath
from urllib.parse import unquote

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from comfyfarm.config import recorded
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.frontend import (
    Found,
    extension_scripts,
    frontend,
    locate,
    look_up,
    page_caching,
    welcome_page,
)
from comfyfarm.server.http.request import answer, header, nothing, send
from comfyfarm.server.http.static_file import Stream

app = ComfyApi.app

_STREAM_ABOVE_BYTES = 256 * 1024


@app.route("/", methods=["GET"])
def get_page(api: ComfyApi, request: IRequest) -> bytes | IResource:
    for name, value in page_caching(api.behaviour):
        request.setHeader(name.encode(), value.encode())
    return _look_up(api, request, "/index.html")


@app.route("/<path:_>", methods=["GET"])
def get_file(api: ComfyApi, request: IRequest, _: str) -> bytes | IResource:
    """Answer with a file of the page, its templates or its help, by the whole path: they have no ``/api`` twin."""
    return _look_up(api, request, unquote(request.path.decode("utf-8", "replace")))


@app.route("/extensions", methods=["GET"])
def get_extensions(_: ComfyApi, request: IRequest) -> bytes:
    """Answer with the extension scripts of the page; if it is not installed, with the recorded ones."""
    root = frontend()
    return answer(request, recorded.extension_scripts() if root is None else extension_scripts(root))


def _look_up(api: ComfyApi, request: IRequest, path: str) -> bytes | IResource:
    root, inside = locate(path)
    if root is None and path == "/index.html":
        return send(request, welcome_page(api.config, PurePosixPath(api.instance.machine.static_name).name))
    found = look_up(root, inside, request.method.decode(), lambda name: header(request, name), api.behaviour)
    return send(request, found) if isinstance(found, Answer) else _send_file(request, found)


def _send_file(request: IRequest, found: Found) -> bytes | IResource:
    """Send a file, a large one piece by piece."""
    count, is_head = found.part.count, request.method == b"HEAD"
    try:
        file = found.path.open("rb")
    except PermissionError:
        return nothing(request, 403)
    send(request, found.head)
    request.setHeader(b"content-length", b"%d" % count)     # for a HEAD, too
    file.seek(found.part.start)
    if count > _STREAM_ABOVE_BYTES and not is_head:
        return Stream(file, count)
    with file:
        return b"" if is_head else file.read(count)
