"""Facts about the server: its machine, features, node types and models."""

from typing import Any

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.files.model_files import model_list, model_paths, page_folders
from comfyfarm.server.http.answer import JSON, Answer
from comfyfarm.server.http.request import answer, nothing, segment, send
from comfyfarm.sim.errors import ServerError, raising_as_comfyui

app = ComfyApi.app


@app.route("/system_stats", methods=["GET"])
def get_system_stats(api: ComfyApi, request: IRequest) -> bytes:
    with api.moment():
        memory = api.instance.machine.memory
        total, used = memory.capacity_bytes, memory.used_bytes
    if total is None:
        return send(request, api.plain_system_stats)
    return answer(request, {**api.system_stats, "devices": [_gpu(int(total), used)]})


def _gpu(total_bytes: int, used_bytes: int) -> dict[str, Any]:
    return {
        "name": "cuda:0 comfyfarm : cudaMallocAsync",
        "type": "cuda",
        "index": 0,
        "vram_total": total_bytes,
        "vram_free": max(0, total_bytes - used_bytes),
        "torch_vram_total": used_bytes,
        "torch_vram_free": 0,
    }


@app.route("/features", methods=["GET"])
def get_features(api: ComfyApi, request: IRequest) -> bytes:
    api.require(api.behaviour.has_features)
    return answer(request, api.hub.server_flags)


@app.route("/object_info", methods=["GET"])
def get_object_info(api: ComfyApi, request: IRequest) -> bytes:
    return send(request, Answer(200, JSON, api.catalogue.object_info()))


@app.route("/object_info/<class_type>", methods=["GET"])
def get_node_type(api: ComfyApi, request: IRequest, class_type: str) -> bytes:
    """Answer with one node type; empty if there is none of that name."""
    name = segment(class_type)
    entry = api.catalogue.entry(name)
    return answer(request, {} if entry is None else {name: entry})


@app.route("/models", methods=["GET"])
def get_model_folders(api: ComfyApi, request: IRequest) -> bytes:
    return answer(request, api.catalogue.folder_names())


@app.route("/models/<folder>", methods=["GET"])
def get_models(api: ComfyApi, request: IRequest, folder: str) -> bytes:
    names = api.catalogue.model_names(segment(folder))
    return nothing(request, 404) if names is None else answer(request, names)


@app.route("/embeddings", methods=["GET"])
def get_embeddings(api: ComfyApi, request: IRequest) -> bytes:
    """Answer with the names of the embeddings, without their suffix."""
    names = api.catalogue.model_names("embeddings") or []
    return answer(request, [name.rpartition(".")[0] or name for name in names])


# The page's model library.


@app.route("/experiment/models", methods=["GET"])
def get_model_library(api: ComfyApi, request: IRequest) -> bytes:
    folders = page_folders(api.catalogue, api.disk.input_dir, suffixes=api.behaviour.lists_model_suffixes)
    return answer(request, folders)


@app.route("/experiment/models/<folder>", methods=["GET"])
def get_model_details(api: ComfyApi, request: IRequest, folder: str) -> bytes:
    models = model_list(api.catalogue, segment(folder), api.instance.machine.unix_ms / 1000)
    return nothing(request, 404) if models is None else answer(request, models)


@app.route("/experiment/models/preview/<folder>/<index>/<path:_>", methods=["GET"])
def get_model_preview(api: ComfyApi, request: IRequest, folder: str, index: str, _: str) -> bytes:
    """Answer 404, because no model has a preview picture; but ComfyUI checks the index first."""
    paths = model_paths(api.catalogue, api.disk.input_dir).get(segment(folder))
    if paths is None:
        return nothing(request, 404)
    try:
        with raising_as_comfyui():
            assert paths[int(index)]
    except ServerError:
        if not api.behaviour.checks_preview_index:
            raise
        return nothing(request, 404 if _is_integer(index) else 400)
    return nothing(request, 404)


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


@app.route("/view_metadata/<_>", methods=["GET"])
def get_model_metadata(_api: ComfyApi, request: IRequest, _: str) -> bytes:
    """Answer 404, as ComfyUI does for a model file without training metadata."""
    return nothing(request, 404)
