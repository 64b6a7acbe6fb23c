"""Nodes that load pictures, other files and models."""

import hashlib
import posixpath
from pathlib import PurePosixPath

from comfyfarm.sim.catalogue.catalogue import annotated
from comfyfarm.sim.files import ROOT, Place
from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, by_type, outcome
from comfyfarm.sim.nodes.limits import list_value
from comfyfarm.sim.nodes.shapes import mask_of
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, Latent, Loaded, Mask, Model3D, Picture, Video

_NEVER_ALPHA = (".jpg", ".jpeg", ".bmp")
_PICTURES = (".bmp", ".dds", ".exr", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp")
_EMPTY_DIGEST = hashlib.sha256().hexdigest()
_UNKNOWN_SECONDS = 10.0         # of sounds and videos, which are not decoded
_UNKNOWN_RATE = 24.0


@rule("LoadImage", "LoadImageOutput")
def _load_image(call: NodeCall) -> NodeOutcome:
    picture = _picture(call)
    if call.word("image").lower().removesuffix(" [input]").endswith(_NEVER_ALPHA):
        # ComfyUI adds an empty mask of 64 x 64 to a picture without alpha, whatever its size.
        return outcome(picture, Mask(64, 64, value=0.0))
    return outcome(picture, mask_of(picture))


@rule("LoadImageMask")
def _load_mask(call: NodeCall) -> NodeOutcome:
    return outcome(mask_of(_picture(call)))


@rule("WebcamCapture")
def _webcam(call: NodeCall) -> NodeOutcome:
    # The web page uploads the picture and sets its name.
    return outcome(_picture(call) if isinstance(call.inputs.get("image"), str) else Picture(*call.size))


def _picture(call: NodeCall) -> Picture:
    """Return the picture whose file name is in the input ``image``.

    :raises NodeError: if it cannot be opened.
    """
    value = call.inputs.get("image")
    if not isinstance(value, str):
        kind = type(value).__name__
        raise NodeError("AttributeError", f"'{kind}' object has no attribute 'endswith'")
    if _is_excused(call, value):
        return Picture(*call.size)
    place = _opened(call, value, "av.error." if call.behaviour.decodes_by_av else "")
    size = call.files.size(place)
    if size is None:
        raise _undecodable(call, value, place)
    return Picture(*size, source=call.files.digest(place))


def _is_excused(call: NodeCall, name: str) -> bool:
    """Return whether a missing file passes, because validation is lenient."""
    return call.lenient and call.files.find(*annotated(name)) is None


def _opened(call: NodeCall, name: str, module: str = "av.error.") -> Place:
    """Return the place of a file.

    :param module: that of the errors: ComfyUI's media library, or none for Python's own.
    :raises NodeError: if it is a folder, or is missing.
    """
    place = call.files.find(*annotated(name))
    if place is not None and call.files.is_folder(place):
        raise NodeError(f"{module}IsADirectoryError", f"[Errno 21] Is a directory: {_path(name)!r}")
    if place is None:
        raise NodeError(f"{module}FileNotFoundError", f"[Errno 2] No such file or directory: {_path(name)!r}")
    return place


def _undecodable(call: NodeCall, name: str, place: Place) -> NodeError:
    """Return the error for a file that is no picture."""
    if not call.behaviour.decodes_by_av:
        return NodeError("PIL.UnidentifiedImageError", f"cannot identify image file {_path(name)!r}")
    # A file that is called a picture is opened, and its decoder fails; any other is not even opened.
    is_opened = place.name.lower().endswith(_PICTURES) and call.files.digest(place) != _EMPTY_DIGEST
    where = "avcodec_send_packet()" if is_opened else _path(name)
    message = f"[Errno 1094995529] Invalid data found when processing input: {where!r}"
    return NodeError("av.error.InvalidDataError", message)


def _path(name: str) -> str:
    return posixpath.join(ROOT, *annotated(name))


@rule("LoadImageDataSetFromFolder", "LoadImageTextDataSetFromFolder")
def _load_folder(call: NodeCall) -> NodeOutcome:
    """Makes a list of all pictures in a folder, with empty texts: the text files are not read."""
    folder = call.word("folder")
    places = [Place("input", folder, name) for name in sorted(call.files.names("input", folder))]
    sizes = {place: call.files.size(place) for place in places}
    pictures = [Picture(*size, source=call.files.digest(place)) for place, size in sizes.items() if size is not None]
    pictures = pictures or [Picture(*call.size)]
    images = list_value(pictures)
    texts = list_value("" for _ in pictures)
    return NodeOutcome((images, texts)[: max(1, len(call.outputs))])


@rule("LoadVideo")
def _load_video(call: NodeCall) -> NodeOutcome:
    frames = Picture(*call.size, count=int(_UNKNOWN_SECONDS * _UNKNOWN_RATE))
    return outcome(Video(frames, _UNKNOWN_RATE, Audio(_UNKNOWN_SECONDS)))


@rule("LoadAudio", "RecordAudio")
def _load_audio(call: NodeCall) -> NodeOutcome:
    name = call.inputs.get("audio")
    if isinstance(name, str) and (call.class_type == "LoadAudio" or not name) and not _is_excused(call, name):
        _opened(call, name)
    return NodeOutcome(by_type(call, AUDIO=Audio(_UNKNOWN_SECONDS)))


@rule("LoadLatent")
def _load_latent(call: NodeCall) -> NodeOutcome:
    place = call.files.find(*annotated(call.word("latent")))
    if place is not None and call.files.is_folder(place):
        raise NodeError("OSError", "No such device (os error 19)")
    return outcome(Latent(*call.size))


@rule("LoadTrainingDataset", "MakeTrainingDataset", "ResolutionBucket", takes_lists=True)
def _training_data(call: NodeCall) -> NodeOutcome:
    return outcome(Latent(*call.size), None)


@rule("Load3D")
def _load_3d(call: NodeCall) -> NodeOutcome:
    """The pictures are unknown: in ComfyUI the web page renders and uploads them."""
    width, height = call.amount("width", 1024), call.amount("height", 1024)
    rendered, name = Picture(width, height), call.word("model_file")
    model = Model3D(name=name, suffix=PurePosixPath(name).suffix or ".glb")
    video = Video(rendered, _UNKNOWN_RATE)
    return outcome(rendered, mask_of(rendered), name, rendered, None, video, model, None)


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


@rule(*_MODELS)
def _load_model(call: NodeCall) -> NodeOutcome:
    """Keeps the model's name, from which some rules derive a scale or a grid."""
    name = call.word(_MODELS[call.class_type])
    return outcome(*(Loaded(kind, name) for kind in call.outputs))
