"""Nodes that load: pictures and other files of a user, and models by their names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from comfyfarm.events.base import Folder
from comfyfarm.sim.catalogue.catalogue import annotated_place
from comfyfarm.sim.files import Place
from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.nodes.limits import several
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.passing import by_type
from comfyfarm.sim.nodes.shapes import mask_of
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, Latent, Loaded, Mask, Model3D, Picture, Video

_NEVER_ALPHA = (".jpg", ".jpeg", ".bmp")
_HOME = "/comfyui"          # where the server stands whose paths we show
_UNKNOWN_SECONDS = 10.0     # of a sound or a video that nobody decodes here
_UNKNOWN_RATE = 24.0


@rule("LoadImage", "LoadImageOutput")
def _load_image(call: NodeCall) -> NodeOutcome:
    """A picture without alpha comes with an empty mask of 64 x 64, whatever its own size."""
    picture = _picture(call, "image")
    if call.word("image").lower().removesuffix(" [input]").endswith(_NEVER_ALPHA):
        return NodeOutcome(values=(picture, Mask(64, 64, value=0.0)))
    return NodeOutcome(values=(picture, mask_of(picture)))


@rule("LoadImageMask")
def _load_mask(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(mask_of(_picture(call, "image")),))


@rule("WebcamCapture")
def _webcam(call: NodeCall) -> NodeOutcome:
    """What the page has taken and uploaded."""
    name = call.inputs.get("image")
    return NodeOutcome(values=(_picture(call, "image") if isinstance(name, str) else Picture(*call.size),))


def _picture(call: NodeCall, name: str) -> Picture:
    """The picture that an input names.

    :raises NodeError: where there is none.
    """
    given = call.inputs.get(name)
    if not isinstance(given, str):
        kind = type(given).__name__
        raise NodeError("AttributeError", f"'{kind}' object has no attribute 'endswith'")
    place = annotated_place(given)
    size = call.files.size(place) if place else None
    if place is None or size is None:
        raise _no_picture(call, given, place)
    return Picture(*size, source=call.files.digest(place))


def _no_picture(call: NodeCall, name: str, place: Place | None) -> NodeError:
    """Why Pillow cannot open it: it is a directory, is not there, or is no picture."""
    folder, plain = _unannotated(name)
    path = f"{_HOME}/{folder}/{plain}".rstrip("/")
    if not plain.strip("/."):
        return NodeError("IsADirectoryError", f"[Errno 21] Is a directory: {path!r}")
    if place is None or not call.files.exists(place):
        return NodeError("FileNotFoundError", f"[Errno 2] No such file or directory: {path!r}")
    return NodeError("PIL.UnidentifiedImageError", f"cannot identify image file {path!r}")


def _unannotated(name: str) -> tuple[str, str]:
    folders: tuple[Folder, ...] = ("input", "output", "temp")
    for folder in folders:
        if name.endswith(f" [{folder}]"):
            return folder, name.removesuffix(f" [{folder}]")
    return "input", name


@rule("LoadImageDataSetFromFolder", "LoadImageTextDataSetFromFolder")
def _load_folder(call: NodeCall) -> NodeOutcome:
    """A list of all pictures in a folder; their texts, which stand in files beside them, are not read."""
    pictures = list(_in_folder(call, call.word("folder"))) or [Picture(*call.size)]
    images = several(pictures)
    texts = several("" for _ in pictures)
    return NodeOutcome(values=(images, texts)[: max(1, len(call.outputs))])


def _in_folder(call: NodeCall, folder: str) -> Iterator[Picture]:
    for name in sorted(call.files.names("input", folder)):
        place = Place("input", folder, name)
        size = call.files.size(place)
        if size is not None:
            yield Picture(*size, source=call.files.digest(place))


@rule("LoadVideo")
def _load_video(call: NodeCall) -> NodeOutcome:
    frames = Picture(*call.size, count=int(_UNKNOWN_SECONDS * _UNKNOWN_RATE))
    return NodeOutcome(values=(Video(frames, _UNKNOWN_RATE, Audio(_UNKNOWN_SECONDS)),))


@rule("LoadAudio", "RecordAudio")
def _load_audio(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=by_type(call, AUDIO=Audio(_UNKNOWN_SECONDS)))


@rule("LoadLatent")
def _load_latent(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(Latent(*call.size),))


@rule("LoadTrainingDataset", "MakeTrainingDataset", "ResolutionBucket", takes_lists=True)
def _training_data(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(Latent(*call.size), None))


@rule("Load3D")
def _load_3d(call: NodeCall) -> NodeOutcome:
    """The page renders the body, and uploads what it has rendered."""
    width, height = call.amount("width", 1024), call.amount("height", 1024)
    rendered, name = Picture(width, height), call.word("model_file")
    body = Model3D(name=name, suffix=PurePosixPath(name).suffix or ".glb")
    video = Video(rendered, _UNKNOWN_RATE)
    return NodeOutcome(values=(rendered, mask_of(rendered), name, rendered, None, video, body, None))


_MODELS = {
    "CheckpointLoader": "ckpt_name",
    "CheckpointLoaderSimple": "ckpt_name",
    "ImageOnlyCheckpointLoader": "ckpt_name",
    "LTXVAudioVAELoader": "ckpt_name",
    "LatentUpscaleModelLoader": "model_name",
    "UpscaleModelLoader": "model_name",
    "VAELoader": "vae_name",
    "unCLIPCheckpointLoader": "ckpt_name",
}


def _load_model(name: str, call: NodeCall) -> NodeOutcome:
    """Of a model its name is known, which may tell how it scales."""
    return NodeOutcome(values=tuple(Loaded(kind, call.word(name)) for kind in call.outputs))


for _class_type, _input in _MODELS.items():
    rule(_class_type)(partial(_load_model, _input))
