"""ComfyUI's routes for its own page: the log, folders and files.

On a real server these routes are a separate application inside the main one.  That is why they have no ``/api`` twin,
and why a missing path gets another 404 than elsewhere.
"""

import os
from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.file_reference import FOLDERS
from comfyfarm.server.files.model_files import model_paths
from comfyfarm.server.http.answer import Answer, aiohttp_answer
from comfyfarm.server.http.request import answer, json_body, nothing, segment, send
from comfyfarm.server.server_log import SIZE
from comfyfarm.sim.errors import ServerError, raising_as_comfyui

app = ComfyApi.app
_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]
_READ_ONLY = ("logs", "logs/raw", "folder_paths")
_NOT_FOUND = aiohttp_answer(404, "404: Not Found")


@app.route("/internal/logs", methods=["GET"])
def get_log(api: ComfyApi, request: IRequest) -> bytes:
    return answer(request, api.server_log.text())


@app.route("/internal/logs/raw", methods=["GET"])
def get_log_entries(api: ComfyApi, request: IRequest) -> bytes:
    return answer(request, {"entries": api.server_log.entries, "size": SIZE})


@app.route("/internal/logs/subscribe", methods=["PATCH"])
def patch_log_subscription(api: ComfyApi, request: IRequest) -> bytes:
    """Start or stop sending each new line to a client."""
    body: Any = json_body(request)
    with raising_as_comfyui():
        api.server_log.subscribe(body["clientId"], enabled=bool(body["enabled"]))
    return nothing(request)


@app.route("/internal/folder_paths", methods=["GET"])
def get_folder_paths(api: ComfyApi, request: IRequest) -> bytes:
    return answer(request, model_paths(api.catalogue, api.disk.input_dir))


@app.route("/internal/files/<folder>", methods=["GET"])
def get_folder_files(api: ComfyApi, request: IRequest, folder: str) -> bytes:
    """Answer with the files of ``input``, ``output`` or ``temp``, newest first."""
    name = FOLDERS.get(segment(folder))
    if name is None:
        return answer(request, {"error": "Invalid directory type"}, 400)
    try:
        with os.scandir(api.disk.path(name, "", "")) as entries:
            files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
            files.sort(key=lambda entry: (-entry.stat().st_mtime_ns, entry.name))
    except OSError as error:
        raise ServerError(f"internal/files: {error}") from error
    return answer(request, [f"{entry.name} [{name}]" for entry in files])


@app.route("/internal/", methods=_ALL_METHODS, strict_slashes=False)
def no_internal_root(_: ComfyApi, request: IRequest) -> bytes:
    return send(request, _NOT_FOUND)


@app.route("/internal/<path:path>", methods=_ALL_METHODS)
def nothing_internal(_: ComfyApi, request: IRequest, path: str) -> bytes:
    """Answer for a path that does not exist, or not with this method."""
    if path in _READ_ONLY or (path.startswith("files/") and path.count("/") == 1):
        return send(request, _not_allowed("GET,HEAD"))
    return send(request, _not_allowed("PATCH") if path == "logs/subscribe" else _NOT_FOUND)


def _not_allowed(methods: str) -> Answer:
    return aiohttp_answer(405, "405: Method Not Allowed", ("Allow", methods))
