"""Output nodes: files, texts and pictures that they show to the user."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from comfyfarm.events.base import Folder
from comfyfarm.sim.nodes.call import NodeCall, NodeOutcome, Save, first, previewed
from comfyfarm.sim.nodes.colours import grey
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, Model3D, Picture, Video

_ANIMATED: Mapping[str, Any] = {"animated": [True]}


@rule("SaveImage")
def _save_image(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(saves=(Save(call.picture("images"), "output", _prefix(call)),))


@rule("SaveImageAdvanced")
def _save_image_advanced(call: NodeCall) -> NodeOutcome:
    suffix = ".exr" if call.word("format", "png") == "exr" else ".png"
    return NodeOutcome(saves=(Save(call.picture("images"), "output", _prefix(call), suffix, underscore=False),))


@rule("PreviewImage")
def _preview_image(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(saves=(Save(call.picture("images"), "temp", None),))


@rule("MaskPreview")
def _mask_preview(call: NodeCall) -> NodeOutcome:
    mask = call.mask("mask", as_picture=True)
    return previewed(Picture(mask.width, mask.height, mask.count, grey(mask)))


@rule("ImageCompare")
def _compare(call: NodeCall) -> NodeOutcome:
    """A side that is not connected is an empty list."""
    sides = {side: call.inputs.get(f"image_{side}") for side in ("a", "b")}
    pictures = {side: value for side, value in sides.items() if isinstance(value, Picture)}
    return NodeOutcome(
        saves=tuple(
            Save(picture, "temp", None, key=f"{side}_images", temp=f"comfy.compare.{side}")
            for side, picture in pictures.items()
        ),
        ui={f"{side}_images": [] for side in sides if side not in pictures},
    )


@rule("SaveAnimatedWEBP", "SaveAnimatedPNG")
def _save_animated(call: NodeCall) -> NodeOutcome:
    """Writes one file, which is declared as animated only if there are several pictures."""
    picture = call.picture("images").first()
    suffix = ".webp" if call.class_type == "SaveAnimatedWEBP" else ".png"
    save = Save(picture, "output", _prefix(call), suffix, animated=True)
    return NodeOutcome(saves=(save,), ui=_ANIMATED if picture.count > 1 else None)


@rule("SaveWEBM")
def _save_webm(call: NodeCall) -> NodeOutcome:
    return _video(call.picture("images"), _prefix(call), ".webm")


@rule("SaveVideo")
def _save_video(call: NodeCall) -> NodeOutcome:
    video = call.inputs.get("video")
    frames = video.frames if isinstance(video, Video) else Picture(*call.size)
    return _video(frames, _prefix(call, "video/ComfyUI"), ".mp4")


@rule("SAM3_TrackPreview")
def _track_preview(call: NodeCall) -> NodeOutcome:
    return _video(first(call, Picture) or Picture(*call.size), None, ".mp4")


def _video(frames: Picture, prefix: str | None, suffix: str) -> NodeOutcome:
    folder: Folder = "temp" if prefix is None else "output"
    return NodeOutcome(saves=(Save(frames.first(), folder, prefix, suffix, animated=True),), ui=_ANIMATED)


@rule("SaveImageWebsocket")
def _save_image_websocket(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(sends=call.picture("images"))


@rule("LossGraphNode")
def _loss_graph(_call: NodeCall) -> NodeOutcome:
    return previewed(Picture(840, 520))


class _FileType(NamedTuple):
    """A type of file that holds no picture.

    :ivar input: the name of the input that is written.
    :ivar prefix: default of ``filename_prefix``; empty for a preview.
    """

    input: str
    key: str
    suffix: str
    prefix: str


_FILE_TYPES = {
    "PreviewAudio": _FileType("audio", "audio", ".flac", ""),
    "SaveAudio": _FileType("audio", "audio", ".flac", "audio/ComfyUI"),
    "SaveAudioAdvanced": _FileType("audio", "audio", ".flac", "audio/ComfyUI"),
    "SaveAudioMP3": _FileType("audio", "audio", ".mp3", "audio/ComfyUI"),
    "SaveAudioOpus": _FileType("audio", "audio", ".opus", "audio/ComfyUI"),
    "SaveGLB": _FileType("mesh", "3d", ".glb", "3d/ComfyUI"),
    "SaveLatent": _FileType("samples", "latents", ".latent", "latents/ComfyUI"),
    "SaveSVGNode": _FileType("svg", "images", ".svg", "svg/ComfyUI"),
}


@rule(*_FILE_TYPES)
def _save_file(call: NodeCall) -> NodeOutcome:
    file_type = _FILE_TYPES[call.class_type]
    value, count, suffix = call.inputs.get(file_type.input), 1, file_type.suffix
    if file_type.input == "audio" and isinstance(value, Audio):
        count = value.count
    elif file_type.input == "mesh" and isinstance(value, Model3D):
        count, suffix = value.count, value.suffix
    if call.class_type == "SaveAudioAdvanced" and (kind := call.word("format")) in ("mp3", "opus"):
        suffix = f".{kind}"
    prefix = _prefix(call, file_type.prefix) if file_type.prefix else None
    folder: Folder = "output" if file_type.prefix else "temp"
    is_sound = file_type.input == "audio"
    save = Save(Picture(1, 1, count), folder, prefix, suffix, key=file_type.key, underscore=not is_sound)
    return NodeOutcome(saves=(save,))


@rule("Preview3D", "Preview3DAdvanced", "PreviewGaussianSplat", "PreviewPointCloud")
def _preview_model(call: NodeCall) -> NodeOutcome:
    """Shows the name of the file and the camera's position."""
    model, camera = call.inputs.get("model_file", call.inputs.get("model_3d")), call.inputs.get("camera_info")
    name = model.name if isinstance(model, Model3D) else model
    result = [name if isinstance(name, str) else "", camera if isinstance(camera, dict) else None, None]
    size = call.integer("width", 1024), call.integer("height", 1024)
    values = (model, call.inputs.get("model_3d_info"), camera, *size) if call.outputs else ()
    return NodeOutcome(values, ui={"result": result})


@rule("CLIPSave", "CheckpointSave", "ImageOnlyCheckpointSave", "LoraSave", "ModelSave", "SaveImageDataSetToFolder",
      "SaveImageTextDataSetToFolder", "SaveLoRA", "SaveTrainingDataset", "VAESave", takes_lists=True)
def _save_silently(_call: NodeCall) -> NodeOutcome:
    return NodeOutcome()        # they show nothing, so no client requests their files (models, training data)


@rule("PreviewAny")
def _preview_any(call: NodeCall) -> NodeOutcome:
    """Shows texts unchanged, numbers in Python's notation, other values as indented JSON."""
    source = call.inputs.get("source")
    text = str(source) if source is None or isinstance(source, str | bool | int | float) else _as_json(source)
    return NodeOutcome((text,), ui={"text": [text]})


@rule("GetImageSize")
def _image_size(call: NodeCall) -> NodeOutcome:
    """Also sends the size to all websockets."""
    picture = call.picture("image")
    text = f"width: {picture.width}, height: {picture.height}\n batch size: {picture.count}"
    return NodeOutcome((picture.width, picture.height, picture.count), text=text)


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, indent=4)
    except TypeError:
        return str(value)


def _prefix(call: NodeCall, default: str = "ComfyUI") -> str:
    text = call.text("filename_prefix", default)
    return default if text is None else text
