"""Nodes that show something: what they write, and what they send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from comfyfarm.events.base import Folder
from comfyfarm.sim.nodes.call import NodeCall, first
from comfyfarm.sim.nodes.colours import grey
from comfyfarm.sim.nodes.outcome import NodeOutcome, Save
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, Model3D, Picture, Video

_ANIMATED: Mapping[str, Any] = {"animated": [True]}


@rule("SaveImage")
def _save_image(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(saves=(Save(call.picture("images"), "output", _prefix(call)),))


@rule("SaveImageAdvanced")
def _save_image_advanced(call: NodeCall) -> NodeOutcome:
    suffix = ".exr" if call.word("format", "png") == "exr" else ".png"
    return NodeOutcome(saves=(Save(call.picture("images"), "output", _prefix(call), suffix),))


@rule("PreviewImage")
def _preview_image(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(saves=(Save(call.picture("images"), "temp", None),))


@rule("MaskPreview")
def _mask_preview(call: NodeCall) -> NodeOutcome:
    mask = call.mask("mask")
    return NodeOutcome(saves=(Save(Picture(mask.width, mask.height, mask.count, grey(mask)), "temp", None),))


@rule("ImageCompare")
def _compare(call: NodeCall) -> NodeOutcome:
    """Shows one picture against another; a side that is not connected is empty."""
    sides = {key: call.inputs.get(name) for key, name in (("a_images", "image_a"), ("b_images", "image_b"))}
    known = {key: value for key, value in sides.items() if isinstance(value, Picture)}
    return NodeOutcome(
        saves=tuple(Save(picture, "temp", None, key=key) for key, picture in known.items()),
        ui={key: [] for key in sides if key not in known},
    )


@rule("SaveAnimatedWEBP")
def _save_animated_webp(call: NodeCall) -> NodeOutcome:
    return _animation(call, ".webp")


@rule("SaveAnimatedPNG")
def _save_animated_png(call: NodeCall) -> NodeOutcome:
    return _animation(call, ".png")


def _animation(call: NodeCall, suffix: str) -> NodeOutcome:
    """One file; it is called animated only where something moves."""
    picture = call.picture("images").first()
    save = Save(picture, "output", _prefix(call), suffix, animated=True)
    return NodeOutcome(saves=(save,), ui=_ANIMATED if picture.count > 1 else None)


@rule("SaveWEBM")
def _save_webm(call: NodeCall) -> NodeOutcome:
    return _film(call.picture("images"), _prefix(call), ".webm")


@rule("SaveVideo")
def _save_video(call: NodeCall) -> NodeOutcome:
    video = call.inputs.get("video")
    frames = video.frames if isinstance(video, Video) else Picture(*call.size)
    return _film(frames, _prefix(call, "video/ComfyUI"), ".mp4")


@rule("SAM3_TrackPreview")
def _track_preview(call: NodeCall) -> NodeOutcome:
    return _film(first(call, Picture) or Picture(*call.size), None, ".mp4")


def _film(frames: Picture, prefix: str | None, suffix: str) -> NodeOutcome:
    """The page shows films as it shows moving pictures."""
    folder: Folder = "temp" if prefix is None else "output"
    return NodeOutcome(saves=(Save(frames.first(), folder, prefix, suffix, animated=True),), ui=_ANIMATED)


@rule("SaveImageWebsocket")
def _save_image_websocket(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(sends=call.picture("images"))


@rule("LossGraphNode")
def _loss_graph(_call: NodeCall) -> NodeOutcome:
    return NodeOutcome(saves=(Save(Picture(840, 520), "temp", None),))


class _Blind(NamedTuple):
    """How what is no picture is saved.

    :ivar input: which holds it.
    :ivar prefix: the usual one; empty for a preview.
    """

    input: str
    key: str
    suffix: str
    prefix: str


_BLIND = {
    "PreviewAudio": _Blind("audio", "audio", ".flac", ""),
    "SaveAudio": _Blind("audio", "audio", ".flac", "audio/ComfyUI"),
    "SaveAudioMP3": _Blind("audio", "audio", ".mp3", "audio/ComfyUI"),
    "SaveAudioOpus": _Blind("audio", "audio", ".opus", "audio/ComfyUI"),
    "SaveLatent": _Blind("samples", "latents", ".latent", "latents/ComfyUI"),
    "SaveSVGNode": _Blind("svg", "images", ".svg", "svg/ComfyUI"),
}


def _save_blind(way: _Blind, call: NodeCall) -> NodeOutcome:
    """One file for each of a batch; but a latent is saved whole."""
    value = call.inputs.get(way.input)
    count = value.count if isinstance(value, Audio) else 1
    return NodeOutcome(saves=(_blind(call, way, count, way.suffix),))


for _class_type, _way in _BLIND.items():
    rule(_class_type)(partial(_save_blind, _way))


@rule("SaveAudioAdvanced")
def _save_audio_advanced(call: NodeCall) -> NodeOutcome:
    kind = call.word("format", "flac")
    suffix = f".{kind}" if kind in ("flac", "mp3", "opus") else ".flac"
    return _save_blind(_BLIND["SaveAudio"]._replace(suffix=suffix), call)


@rule("SaveGLB")
def _save_body(call: NodeCall) -> NodeOutcome:
    body = call.inputs.get("mesh")
    known = body if isinstance(body, Model3D) else Model3D()
    return NodeOutcome(saves=(_blind(call, _Blind("mesh", "3d", ".glb", "3d/ComfyUI"), known.count, known.suffix),))


def _blind(call: NodeCall, way: _Blind, count: int, suffix: str) -> Save:
    prefix = _prefix(call, way.prefix) if way.prefix else None
    return Save(Picture(1, 1, count), "output" if way.prefix else "temp", prefix, suffix, key=way.key)


@rule("Preview3D", "Preview3DAdvanced", "PreviewGaussianSplat", "PreviewPointCloud")
def _preview_body(call: NodeCall) -> NodeOutcome:
    """Tells the page which file to show, and from where."""
    body = call.inputs.get("model_file", call.inputs.get("model_3d"))
    name = body.name if isinstance(body, Model3D) else body
    camera, known = call.inputs.get("camera_info"), {"width": call.integer("width", 1024)}
    known["height"] = call.integer("height", 1024)
    shown = [name if isinstance(name, str) else "", camera if isinstance(camera, dict) else None, None]
    values = (body, call.inputs.get("model_3d_info"), camera, *known.values())
    return NodeOutcome(values=values if call.outputs else (), ui={"result": shown})


@rule(
    "CLIPSave",
    "CheckpointSave",
    "ImageOnlyCheckpointSave",
    "LoraSave",
    "ModelSave",
    "SaveImageDataSetToFolder",
    "SaveImageTextDataSetToFolder",
    "SaveLoRA",
    "SaveTrainingDataset",
    "VAESave",
    takes_lists=True,
)
def _save_silently(_call: NodeCall) -> NodeOutcome:
    """They write what no client asks for by name (models, training data), show nothing, and so write nothing here."""
    return NodeOutcome()


@rule("PreviewAny")
def _preview_any(call: NodeCall) -> NodeOutcome:
    """Texts as they are, numbers as Python writes them, other values as indented JSON."""
    source = call.inputs.get("source")
    text = source if isinstance(source, str) else str(source) if _is_plain(source) else _as_json(source)
    return NodeOutcome(values=(text,), ui={"text": [text]})


@rule("GetImageSize")
def _image_size(call: NodeCall) -> NodeOutcome:
    """Tells every websocket, too."""
    picture = call.picture("image")
    text = f"width: {picture.width}, height: {picture.height}\n batch size: {picture.count}"
    return NodeOutcome(values=(picture.width, picture.height, picture.count), text=text)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, indent=4)
    except TypeError:
        return str(value)


def _prefix(call: NodeCall, default: str = "ComfyUI") -> str:
    return call.text("filename_prefix", default) or default
