"""Routes that view and upload files."""

import json
from collections.abc import Callable
from typing import cast

from twisted.web.iweb import IRequest

from comfyfarm.events import Uploaded
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.uploads import Form, parse_form, store_image, store_mask
from comfyfarm.server.files.views import view
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.request import header, note, nothing, query, raw_body, send

app = ComfyApi.app


@app.route("/view", methods=["GET"])
def get_view(api: ComfyApi, request: IRequest) -> bytes:
    reply = view(api.disk, query(request), cast(ComfyRequest, request).field_text, api.static_name, api.behaviour)
    if reply.status == 206:
        content_range = dict(reply.headers)["Content-Range"]
        note(request, first_byte=int(content_range.removeprefix("bytes ").partition("-")[0]))
    return send(request, reply)


@app.route("/upload/image", methods=["POST"])
async def post_image(api: ComfyApi, request: IRequest) -> bytes:
    return await _upload(api, request, store_image)


@app.route("/upload/mask", methods=["POST"])
async def post_mask(api: ComfyApi, request: IRequest) -> bytes:
    return await _upload(api, request, store_mask)


async def _upload(api: ComfyApi, request: IRequest, store: Callable[[Disk, Form], Answer]) -> bytes:
    """Store a file, answer after the simulated duration of an upload, and publish what was stored."""
    form = parse_form(header(request, "content-type") or "", raw_body(request))
    if form is None:
        return nothing(request, 400)
    reply = store(api.disk, form)
    await api.upload_delay()
    if reply.status == 200:
        stored = json.loads(reply.body)
        with api.moment() as now_ms:
            folder, subfolder, name = stored["type"], stored["subfolder"], stored["name"]
            api.publish(Uploaded(at_ms=now_ms, folder=folder, subfolder=subfolder, name=name))
    return send(request, reply)
