"""What the server is and has."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from comfyfarm.server.api import ComfyApi
from comfyfarm.server.features import devices
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.request import answer, nothing, segment, send

app = ComfyApi.app
_JSON = (("Content-Type", "application/json; charset=utf-8"),)


@app.route("/system_stats", methods=["GET"])
def get_system_stats(api: ComfyApi, request: IRequest) -> bytes:
    """The machine."""
    with api.moment():
        gpus = devices(api.instance.machine)
    return answer(request, {**api.system_stats, "devices": gpus} if gpus else api.system_stats)


@app.route("/features", methods=["GET"])
def get_features(api: ComfyApi, request: IRequest) -> bytes:
    """What the server can do."""
    return answer(request, api.hub.server_flags)


@app.route("/object_info", methods=["GET"])
def get_object_info(api: ComfyApi, request: IRequest) -> bytes:
    """Every node type."""
    return send(request, Answer(200, _JSON, api.catalogue.object_info()))


@app.route("/object_info/<class_type>", methods=["GET"])
def get_node_type(api: ComfyApi, request: IRequest, class_type: str) -> bytes:
    """One node type; empty where there is none of that name."""
    name = segment(class_type)
    entry = api.catalogue.entry(name)
    return answer(request, {} if entry is None else {name: entry})


@app.route("/models", methods=["GET"])
def get_model_folders(api: ComfyApi, request: IRequest) -> bytes:
    """The kinds of model."""
    return answer(request, api.catalogue.folder_names())


@app.route("/models/<folder>", methods=["GET"])
def get_models(api: ComfyApi, request: IRequest, folder: str) -> bytes:
    """The models of one kind."""
    names = api.catalogue.model_names(segment(folder))
    return nothing(request, 404) if names is None else answer(request, names)


@app.route("/embeddings", methods=["GET"])
def get_embeddings(api: ComfyApi, request: IRequest) -> bytes:
    """The embeddings, without their suffix."""
    names = api.catalogue.model_names("embeddings") or []
    return answer(request, [name.rpartition(".")[0] or name for name in names])
