"""Files out and in."""

from __future__ import annotations

import json

from twisted.web.iweb import IRequest

from comfyfarm.events import Uploaded
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.uploads import Form, parse_form, store_image, store_mask
from comfyfarm.server.files.views import view
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.request import header, nothing, query, send

app = ComfyApi.app


@app.route("/view", methods=["GET"])
def get_view(api: ComfyApi, request: IRequest) -> bytes:
    """A file, as it is or made smaller."""
    shielded = api.version.shields_files
    asked = query(request)
    return send(request, view(api.disk, asked, lambda name: header(request, name), api.static_name, shielded=shielded))


@app.route("/upload/image", methods=["POST"])
async def post_image(api: ComfyApi, request: IRequest) -> bytes:
    """Take a picture in."""
    form = _form(request)
    return nothing(request, 400) if form is None else await _taken(api, request, store_image(api.disk, form))


@app.route("/upload/mask", methods=["POST"])
async def post_mask(api: ComfyApi, request: IRequest) -> bytes:
    """Take a mask in, and lay it over the picture that it names."""
    form = _form(request)
    return nothing(request, 400) if form is None else await _taken(api, request, store_mask(api.disk, form))


def _form(request: IRequest) -> Form | None:
    return parse_form(header(request, "content-type") or "", request.content.read())


async def _taken(api: ComfyApi, request: IRequest, reply: Answer) -> bytes:
    """Answer when the time of an upload has passed, and say what came in."""
    await api.upload_passes()
    if reply.status == 200:
        stored = json.loads(reply.body)
        where = {"folder": stored["type"], "subfolder": stored["subfolder"], "name": stored["name"]}
        with api.moment() as now_ms:
            api.publish(Uploaded(at_ms=now_ms, **where))
    return send(request, reply)
