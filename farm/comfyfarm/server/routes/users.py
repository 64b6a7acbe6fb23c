"""Users and their settings."""

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
    """The files of the user who asks.

    :raises ServerError: where there is no such user.
    """
    return api.users.folder_of(header(request, "comfy-user"))


@app.route("/users", methods=["GET"])
def get_users(api: ComfyApi, request: IRequest) -> bytes:
    """Who there is."""
    return answer(request, api.users.described())


@app.route("/users", methods=["POST"])
def post_user(api: ComfyApi, request: IRequest) -> bytes:
    """Take a user in."""
    body = json_body(request)
    try:
        with raising_as_comfyui():
            user = api.users.add(body["username"])
    except BadUser as why:
        return answer(request, {"error": str(why)}, 400)
    return answer(request, user)


@app.route("/settings", methods=["GET"])
def get_settings(api: ComfyApi, request: IRequest) -> bytes:
    """All settings."""
    return answer(request, folder_of(api, request).settings())


@app.route("/settings/<key>", methods=["GET"])
def get_setting(api: ComfyApi, request: IRequest, key: str) -> bytes:
    """One setting; ``null`` where it was never made."""
    return answer(request, folder_of(api, request).settings().get(segment(key)))


@app.route("/settings", methods=["POST"])
def post_settings(api: ComfyApi, request: IRequest) -> bytes:
    """Make several settings; the others stay."""
    folder, made = folder_of(api, request), json_body(request)
    with raising_as_comfyui():
        settings = {**folder.settings(), **made}
    _keep(api, folder, settings)
    return nothing(request)


@app.route("/settings/<key>", methods=["POST"])
def post_setting(api: ComfyApi, request: IRequest, key: str) -> bytes:
    """Make one setting."""
    folder, value = folder_of(api, request), json_body(request)
    _keep(api, folder, {**folder.settings(), segment(key): value})
    return nothing(request)


def _keep(api: ComfyApi, folder: UserFolder, settings: dict[str, Any]) -> None:
    try:
        folder.keep_settings(settings, api.unix_seconds())
    except OSError as why:      # a user whose name is too long for a folder
        raise ServerError(f"settings: {why}") from why
