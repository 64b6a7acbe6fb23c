"""Routes of the users and their settings."""

from __future__ import annotations

from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.userdata import UserFolder
from comfyfarm.server.files.users import BadUser
from comfyfarm.server.http.request import answer, header, json_body, nothing, segment
from comfyfarm.sim.errors import ServerError, raising_as_comfyui

app = ComfyApi.app


def folder_of(api: ComfyApi, request: IRequest) -> UserFolder:
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
    return answer(request, folder_of(api, request).settings())


@app.route("/settings/<key>", methods=["GET"])
def get_setting(api: ComfyApi, request: IRequest, key: str) -> bytes:
    """Answer with one setting; ``null`` if it is not set."""
    return answer(request, folder_of(api, request).settings().get(segment(key)))


@app.route("/settings", methods=["POST"])
def post_settings(api: ComfyApi, request: IRequest) -> bytes:
    """Change several settings, and keep the others."""
    folder, changes = folder_of(api, request), json_body(request)
    with raising_as_comfyui():
        settings = {**folder.settings(), **changes}
    _write(api, folder, settings)
    return nothing(request)


@app.route("/settings/<key>", methods=["POST"])
def post_setting(api: ComfyApi, request: IRequest, key: str) -> bytes:
    folder, value = folder_of(api, request), json_body(request)
    _write(api, folder, {**folder.settings(), segment(key): value})
    return nothing(request)


def _write(api: ComfyApi, folder: UserFolder, settings: dict[str, Any]) -> None:
    try:
        folder.write_settings(settings, api.unix_seconds())
    except OSError as error:    # the user's name is too long for a folder
        raise ServerError(f"settings: {error}") from error
