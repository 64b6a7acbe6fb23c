"""Models, as the page's model library asks for them."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.model_files import model_list, model_paths, models_home, page_folders
from comfyfarm.server.http.request import answer, nothing, segment
from comfyfarm.sim.errors import raising_as_comfyui

app = ComfyApi.app


@app.route("/experiment/models", methods=["GET"])
def get_model_library(api: ComfyApi, request: IRequest) -> bytes:
    """The kinds of model, and where they would be."""
    return answer(request, page_folders(api.catalogue, models_home(api.disk.input_dir)))


@app.route("/experiment/models/<folder>", methods=["GET"])
def get_model_details(api: ComfyApi, request: IRequest, folder: str) -> bytes:
    """The models of one kind."""
    models = model_list(api.catalogue, segment(folder), api.instance.machine.unix_ms / 1000)
    return nothing(request, 404) if models is None else answer(request, models)


@app.route("/experiment/models/preview/<folder>/<index>/<path:_>", methods=["GET"])
def get_model_preview(api: ComfyApi, request: IRequest, folder: str, index: str, _: str) -> bytes:
    """The picture beside a model: no model has one, but ComfyUI looks at the index first."""
    paths = model_paths(api.catalogue, models_home(api.disk.input_dir)).get(segment(folder))
    if paths is not None:
        with raising_as_comfyui():
            assert paths[int(index)]
    return nothing(request, 404)


@app.route("/view_metadata/<_>", methods=["GET"])
def get_model_metadata(_api: ComfyApi, request: IRequest, _: str) -> bytes:
    """What the trainer wrote into a model file: nothing, which ComfyUI tells as it tells of a missing file."""
    return nothing(request, 404)
