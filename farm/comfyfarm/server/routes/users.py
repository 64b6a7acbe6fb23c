"""Routes of the users: their settings and their files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.disk import Outside
from comfyfarm.server.files.users import BadUser, UserFolder, is_there
from comfyfarm.server.files.views import declared_type
from comfyfarm.server.http.answer import Answer, json_answer, text_answer
from comfyfarm.server.http.headers import USER_STYLE, as_attachment
from comfyfarm.server.http.request import answer, header, json_body, nothing, query, raw_body, segment, send
from comfyfarm.server.http.static_file import Headers, serve
from comfyfarm.sim.errors import ServerError, raising_as_comfyui
from comfyfarm.versions import Behaviour

app = ComfyApi.app


def _folder_of(api: ComfyApi, request: IRequest) -> UserFolder:
    """Return the files of the user who sends the request.

    :raises ServerError: if there is no such user.
    """
    return api.users.folder_of(header(request, "comfy-user"))


@app.route("/users", methods=["GET"])
def get_users(api: ComfyApi, request: IRequest) -> bytes:
    return answer(request, api.users.as_json())


@app.route("/users", methods=["POST"])
def post_user(api: ComfyApi, request: IRequest) -> bytes:
    body = json_body(request)
    try:
        with raising_as_comfyui():
            user = api.users.add(body["username"])
    except BadUser as error:
        return answer(request, {"error": str(error)}, 400)
    return answer(request, user)


@app.route("/settings", methods=["GET"])
def get_settings(api: ComfyApi, request: IRequest) -> bytes:
    """Answer with all settings; 401 to an unknown user, who gets a 500 from every other route."""
    try:
        folder = _folder_of(api, request)
    except ServerError:
        return nothing(request, 401)
    return answer(request, folder.settings())


@app.route("/settings/<key>", methods=["GET"])
def get_setting(api: ComfyApi, request: IRequest, key: str) -> bytes:
    """Answer with one setting; ``null`` if it is not set."""
    return answer(request, _folder_of(api, request).settings().get(segment(key)))


@app.route("/settings", methods=["POST"])
def post_settings(api: ComfyApi, request: IRequest) -> bytes:
    """Change several settings, and keep the others."""
    folder, changes = _folder_of(api, request), json_body(request)
    with raising_as_comfyui():
        settings = {**folder.settings(), **changes}
    _write(api, folder, settings)
    return nothing(request)


@app.route("/settings/<key>", methods=["POST"])
def post_setting(api: ComfyApi, request: IRequest, key: str) -> bytes:
    folder, value = _folder_of(api, request), json_body(request)
    _write(api, folder, {**folder.settings(), segment(key): value})
    return nothing(request)


def _write(api: ComfyApi, folder: UserFolder, settings: dict[str, Any]) -> None:
    try:
        folder.write_settings(settings, api.unix_seconds())
    except OSError as error:    # the user's name is too long for a folder
        raise ServerError(f"settings: {error}") from error


# Files.


@app.route("/userdata", methods=["GET"])
def get_userdata(api: ComfyApi, request: IRequest) -> bytes:
    return send(request, _list(_folder_of(api, request), query(request)))


def _list(folder: UserFolder, parameters: Mapping[str, str]) -> Answer:
    if not parameters.get("dir"):
        return text_answer(400, "Directory not provided")
    try:
        directory = folder.path(parameters["dir"])
    except Outside:
        return text_answer(403, "Invalid directory")
    if not is_there(directory):
        return text_answer(404, "Directory not found")
    files = folder.files(directory, recurse=_is_true(parameters, "recurse"))
    if _is_true(parameters, "full_info"):
        return json_answer([folder.full_info(path, directory) for path in files])
    names = [path.relative_to(directory).as_posix() for path in files]
    return json_answer([[name, *name.split("/")] for name in names] if _is_true(parameters, "split") else names)


@app.route("/v2/userdata", methods=["GET"])
def get_userdata_tree(api: ComfyApi, request: IRequest) -> bytes:
    return send(request, _tree(_folder_of(api, request), query(request).get("path", "")))


def _tree(folder: UserFolder, name: str) -> Answer:
    try:
        path = folder.path(name)
    except Outside:
        return text_answer(400, "Invalid path requested")
    if path == folder.root and not is_there(path):       # this user has no files yet
        return json_answer([])
    if not is_there(path):
        return text_answer(404, "Requested path not found")
    return json_answer(folder.tree(path)) if path.is_dir() else text_answer(400, "Requested path is not a directory")


@app.route("/userdata/<name>", methods=["GET"])
def get_user_file(api: ComfyApi, request: IRequest, name: str) -> bytes:
    with _inside(name, _folder_of(api, request)) as path:
        if path is None or not is_there(path):
            return send(request, Answer(403 if path is None else 404))
        if path.is_dir():
            return send(request, Answer(403))
        head = _head(path, segment(name), api.behaviour)
        return send(request, serve(path, head, lambda header_name: header(request, header_name)))


def _head(path: Path, name: str, behaviour: Behaviour) -> Headers:
    if behaviour.shows_user_css and name == "user.css":
        return USER_STYLE
    kind = declared_type(path.name, behaviour).partition(";")[0]
    return as_attachment(kind) if behaviour.shields_files else (("Content-Type", kind),)


@app.route("/userdata/<name>", methods=["POST"])
def post_user_file(api: ComfyApi, request: IRequest, name: str) -> bytes:
    folder, parameters = _folder_of(api, request), query(request)
    with _inside(name, folder) as path:
        refusal = _refusal(path, parameters)
        if path is None or refusal is not None:
            return send(request, refusal or Answer(403))
        try:
            folder.write(path, raw_body(request), api.unix_seconds())
        except OSError:
            return send(request, Answer(400))
        return send(request, _written(folder, path, parameters))


@app.route("/userdata/<name>", methods=["DELETE"])
def delete_user_file(api: ComfyApi, request: IRequest, name: str) -> bytes:
    with _inside(name, _folder_of(api, request)) as path:
        if path is None or not is_there(path):
            return send(request, Answer(403 if path is None else 404))
        path.unlink()
        return send(request, Answer(204))


@app.route("/userdata/<name>/move/<to>", methods=["POST"])
def post_user_file_move(api: ComfyApi, request: IRequest, name: str, to: str) -> bytes:
    folder, parameters = _folder_of(api, request), query(request)
    with _inside(name, folder) as source, _inside(to, folder) as target:
        if source is None or not is_there(source):
            return send(request, Answer(403 if source is None else 404))
        refusal = _refusal(target, parameters)
        if target is None or refusal is not None:
            return send(request, refusal or Answer(403))
        folder.move(source, target)
        return send(request, _written(folder, target, parameters))


@contextmanager
def _inside(name: str, folder: UserFolder) -> Iterator[Path | None]:
    """Yield the path for a name, or ``None`` if it leads out of the user's folder.

    :raises ServerError: if the block fails with an error of the file system.
    """
    try:
        path = folder.path(segment(name))
    except Outside:
        path = None
    try:
        yield path
    except (OSError, RecursionError, ValueError) as error:
        raise ServerError(f"userdata {name}: {error}") from error


def _refusal(path: Path | None, parameters: Mapping[str, str]) -> Answer | None:
    """Return the answer if an existing file may not be overwritten, or ``None``."""
    taken = path is not None and parameters.get("overwrite") == "false" and is_there(path)
    return text_answer(409, "File already exists") if taken else None


def _written(folder: UserFolder, path: Path, parameters: Mapping[str, str]) -> Answer:
    body: Any = folder.full_info(path) if _is_true(parameters, "full_info") else folder.name_of(path)
    return json_answer(body)


def _is_true(parameters: Mapping[str, str], name: str) -> bool:
    return parameters.get(name, "").lower() == "true"
