"""A user's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.disk import Outside
from comfyfarm.server.files.userdata import UserFolder, is_there
from comfyfarm.server.files.views import declared_type
from comfyfarm.server.http.answer import Answer, empty, json_answer, text_answer
from comfyfarm.server.http.headers import as_attachment
from comfyfarm.server.http.request import header, query, segment, send
from comfyfarm.server.http.static_file import Headers, serve
from comfyfarm.server.routes.users import folder_of
from comfyfarm.sim.errors import ServerError

app = ComfyApi.app


@app.route("/userdata", methods=["GET"])
def get_userdata(api: ComfyApi, request: IRequest) -> bytes:
    """The files of a directory."""
    return send(request, _list(folder_of(api, request), query(request)))


def _list(folder: UserFolder, asked: dict[str, str]) -> Answer:
    if not asked.get("dir"):
        return text_answer("Directory not provided", 400)
    try:
        directory = folder.place(asked["dir"])
    except Outside:
        return text_answer("Invalid directory", 403)
    if not is_there(directory):
        return text_answer("Directory not found", 404)
    files = folder.listed(directory, recurse=_is_true(asked, "recurse"))
    if _is_true(asked, "full_info"):
        return json_answer([folder.described(path, directory) for path in files])
    names = [path.relative_to(directory).as_posix() for path in files]
    return json_answer([[name, *name.split("/")] for name in names] if _is_true(asked, "split") else names)


@app.route("/v2/userdata", methods=["GET"])
def get_userdata_tree(api: ComfyApi, request: IRequest) -> bytes:
    """Everything below a directory."""
    return send(request, _tree(folder_of(api, request), query(request).get("path", "")))


def _tree(folder: UserFolder, name: str) -> Answer:
    try:
        path = folder.place(name)
    except Outside:
        return text_answer("Invalid path requested", 400)
    if path == folder.root and not is_there(path):       # a user that has kept nothing yet
        return json_answer([])
    if not is_there(path):
        return text_answer("Requested path not found", 404)
    return json_answer(folder.tree(path)) if path.is_dir() else text_answer("Requested path is not a directory", 400)


@app.route("/userdata/<name>", methods=["GET"])
def get_user_file(api: ComfyApi, request: IRequest, name: str) -> bytes:
    """One file."""
    with _inside(name, folder_of(api, request)) as path:
        if path is None or not is_there(path):
            return send(request, empty(403 if path is None else 404))
        if path.is_dir():
            return send(request, empty(403))
        return send(request, serve(path, _head(api, path), lambda asked: header(request, asked)))


def _head(api: ComfyApi, path: Path) -> Headers:
    kind = declared_type(path.name).partition(";")[0]
    return as_attachment(path.name, kind) if api.version.shields_files else (("Content-Type", kind),)


@app.route("/userdata/<name>", methods=["POST"])
def post_user_file(api: ComfyApi, request: IRequest, name: str) -> bytes:
    """Keep a file."""
    folder, asked = folder_of(api, request), query(request)
    with _inside(name, folder) as path:
        refusal = _refusal(path, asked)
        if path is None or refusal is not None:
            return send(request, refusal or empty(403))
        try:
            folder.write(path, request.content.read(), api.unix_seconds())
        except OSError:
            return send(request, empty(400))
        return send(request, _kept(folder, path, asked))


@app.route("/userdata/<name>", methods=["DELETE"])
def delete_user_file(api: ComfyApi, request: IRequest, name: str) -> bytes:
    """Remove a file."""
    with _inside(name, folder_of(api, request)) as path:
        if path is None or not is_there(path):
            return send(request, empty(403 if path is None else 404))
        path.unlink()
        return send(request, empty(204))


@app.route("/userdata/<name>/move/<to>", methods=["POST"])
def post_user_file_move(api: ComfyApi, request: IRequest, name: str, to: str) -> bytes:
    """Give a file another name."""
    folder, asked = folder_of(api, request), query(request)
    with _inside(name, folder) as source, _inside(to, folder) as target:
        if source is None or not is_there(source):
            return send(request, empty(403 if source is None else 404))
        refusal = _refusal(target, asked)
        if target is None or refusal is not None:
            return send(request, refusal or empty(403))
        folder.move(source, target)
        return send(request, _kept(folder, target, asked))


@contextmanager
def _inside(name: str, folder: UserFolder) -> Iterator[Path | None]:
    """Where a part of the path leads to, or ``None`` where that is out of the user's folder.

    :raises ServerError: where the system refuses what is then done there.
    """
    try:
        path = folder.place(segment(name))
    except Outside:
        path = None
    try:
        yield path
    except (OSError, ValueError) as why:
        raise ServerError(f"userdata {name}: {why}") from why


def _refusal(path: Path | None, asked: dict[str, str]) -> Answer | None:
    """Why nothing may be written there, or ``None``."""
    taken = path is not None and asked.get("overwrite") == "false" and is_there(path)
    return text_answer("File already exists", 409) if taken else None


def _kept(folder: UserFolder, path: Path, asked: dict[str, str]) -> Answer:
    described: Any = folder.described(path) if _is_true(asked, "full_info") else folder.name_of(path)
    return json_answer(described)


def _is_true(asked: dict[str, str], name: str) -> bool:
    return asked.get(name, "").lower() == "true"
