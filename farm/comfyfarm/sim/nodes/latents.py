"""Nodes that change latents: their size, their number, their length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from comfyfarm.sim.nodes.call import NodeCall, first
from comfyfarm.sim.nodes.geometry import turned
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.passing import like
from comfyfarm.sim.nodes.shapes import window
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, AVLatent, BlindLatent, Latent, Loaded

Dimension = Literal["x", "y", "t"]


def latent_outcome(latent: Any) -> NodeOutcome:
    """A node whose only output is a latent."""
    return NodeOutcome(values=(latent,))


def _of(latent: Latent, *, columns: int | None = None, rows: int | None = None, steps: int | None = None) -> Latent:
    """With another number of latent values."""
    sides = {}
    if columns is not None:
        sides["width"] = max(1, columns) * latent.block
    if rows is not None:
        sides["height"] = max(1, rows) * latent.block
    if steps is not None:
        sides["frames"] = (max(1, steps) - 1) * latent.stride + 1
    return replace(latent, **sides)


@rule("LatentUpscale", "HunyuanVideo15LatentUpscaleWithModel")
def _upscale(call: NodeCall) -> NodeOutcome:
    """To a size that is meant for blocks of 8 pixels (16 for the video model), whatever the latent's blocks are."""
    latent, unit = call.latent("samples"), 8 if call.class_type == "LatentUpscale" else 16
    width, height = call.integer("width", 0), call.integer("height", 0)
    if width == 0 and height == 0:
        return latent_outcome(latent)
    width = width or round(latent.columns * height / latent.rows)
    height = height or round(latent.rows * width / latent.columns)
    return latent_outcome(_of(latent, columns=max(64, width) // unit, rows=max(64, height) // unit))


@rule("LatentUpscaleBy")
def _upscale_by(call: NodeCall) -> NodeOutcome:
    latent, factor = call.latent("samples"), call.number("scale_by", 1.5)
    return latent_outcome(_of(latent, columns=round(latent.columns * factor), rows=round(latent.rows * factor)))


@rule("LTXVLatentUpsampler")
def _upsample(call: NodeCall) -> NodeOutcome:
    """Twice as large, or twice as long where the model's name says so."""
    latent, model = call.latent("samples"), call.inputs.get("upscale_model")
    if isinstance(model, Loaded) and "temporal" in model.name:
        return latent_outcome(_of(latent, steps=2 * latent.steps - 1))
    return latent_outcome(_of(latent, columns=2 * latent.columns, rows=2 * latent.rows))


@rule("LatentCrop")
def _crop(call: NodeCall) -> NodeOutcome:
    latent = call.latent("samples")
    x, y, width, height = (call.integer(name, 0) // 8 for name in ("x", "y", "width", "height"))
    # It leaves at least a strip of eight values where the corner lies too far out.
    columns = window(latent.columns, min(x, latent.columns - 8), max(1, width))
    rows = window(latent.rows, min(y, latent.rows - 8), max(1, height))
    return latent_outcome(_of(latent, columns=columns, rows=rows))


@rule("LatentRotate")
def _rotate(call: NodeCall) -> NodeOutcome:
    return latent_outcome(turned(call.latent("samples"), call.word("rotation")))


@rule("LatentBatch")
def _batch(call: NodeCall) -> NodeOutcome:
    return latent_outcome(_joined(call, (call.latent("samples1"), call.latent("samples2"))))


@rule("BatchLatentsNode")
def _batch_group(call: NodeCall) -> NodeOutcome:
    return latent_outcome(_joined(call, call.group("latents").values()))


def _joined(call: NodeCall, latents: Iterable[Any]) -> Latent:
    """One batch of several, all in the size of the first."""
    known = [latent for latent in latents if isinstance(latent, Latent)] or [Latent(*call.size)]
    return replace(known[0], count=sum(latent.count for latent in known))


@rule("RepeatLatentBatch")
def _repeat(call: NodeCall) -> NodeOutcome:
    latent = call.inputs.get("samples")
    known = latent if isinstance(latent, Latent | BlindLatent) else call.latent("samples")
    return latent_outcome(replace(known, count=known.count * call.amount("amount")))


@rule("LatentFromBatch")
def _from_batch(call: NodeCall) -> NodeOutcome:
    latent, index = call.latent("samples"), call.integer("batch_index", 0)
    return latent_outcome(replace(latent, count=_taken(latent.count, index, call.integer("length", 1))))


def _taken(size: int, index: int, amount: int) -> int:
    """How many are left of so many when some are taken; a negative index counts from the end."""
    start = max(0, min(size - 1, index + size if index < 0 else index))
    return max(1, min(amount, size - start))


@rule("LatentConcat")
def _concat(call: NodeCall) -> NodeOutcome:
    """Put together along one direction; a minus puts the second first."""
    one, two = call.latent("samples1"), call.latent("samples2")
    dimension = _dimension(call)
    return latent_outcome(_along(one, dimension, _length(one, dimension) + _length(two, dimension)))


@rule("LatentCut")
def _cut(call: NodeCall) -> NodeOutcome:
    latent, dimension = call.latent("samples"), _dimension(call)
    taken = _taken(_length(latent, dimension), call.integer("index", 0), call.integer("amount", 1))
    return latent_outcome(_along(latent, dimension, taken))


@rule("LatentCutToBatch")
def _cut_to_batch(call: NodeCall) -> NodeOutcome:
    """Slices of one length, each a latent of its own; a rest is dropped."""
    latent, dimension = call.latent("samples"), _dimension(call)
    length = _length(latent, dimension)
    size = min(length, call.amount("slice_size"))
    return latent_outcome(replace(_along(latent, dimension, size), count=latent.count * (length // size)))


def _dimension(call: NodeCall) -> Dimension:
    match call.word("dim", "x").removeprefix("-"):
        case "y":
            return "y"
        case "t":
            return "t"
        case _:
            return "x"


def _length(latent: Latent, dimension: Dimension) -> int:
    return {"x": latent.columns, "y": latent.rows, "t": latent.steps}[dimension]


def _along(latent: Latent, dimension: Dimension, length: int) -> Latent:
    match dimension:
        case "x":
            return _of(latent, columns=length)
        case "y":
            return _of(latent, rows=length)
        case "t":
            return _of(latent, steps=length)


@rule("TrimVideoLatent")
def _trim(call: NodeCall) -> NodeOutcome:
    latent = call.latent("samples")
    return latent_outcome(_of(latent, steps=latent.steps - max(0, call.integer("trim_amount", 0))))


@rule("LTXVAddGuide")
def _add_guide(call: NodeCall) -> NodeOutcome:
    """The guide's frames become latent steps at the end, until LTXVCropGuides takes them away."""
    latent, guide = call.latent("latent"), call.picture("image")
    steps = (guide.count - 1) // latent.stride + 1
    longer = _of(latent, steps=latent.steps + steps)
    return NodeOutcome(values=(None, None, replace(longer, guides=latent.guides + steps)))


@rule("LTXVCropGuides")
def _crop_guides(call: NodeCall) -> NodeOutcome:
    latent = call.latent("latent")
    return NodeOutcome(values=(None, None, replace(_of(latent, steps=latent.steps - latent.guides), guides=0)))


@rule("LTXVConcatAVLatent")
def _join_sound(call: NodeCall) -> NodeOutcome:
    video, sound = call.latent("video_latent"), call.inputs.get("audio_latent")
    return latent_outcome(AVLatent(video, sound if isinstance(sound, BlindLatent) else BlindLatent(video.count)))


@rule("LTXVSeparateAVLatent")
def _split_sound(call: NodeCall) -> NodeOutcome:
    both = call.inputs.get("av_latent")
    known = both if isinstance(both, AVLatent) else AVLatent(call.latent("av_latent"), BlindLatent())
    return NodeOutcome(values=(known.video, known.sound))


@rule(
    "AddNoise",
    "HunyuanVideo15SuperResolution",
    "HunyuanRefinerLatent",
    "LTXVImgToVideoInplace",
    "LatentAdd",
    "LatentApplyOperation",
    "LatentBatchSeedBehavior",
    "LatentBlend",
    "LatentComposite",
    "LatentCompositeMasked",
    "LatentFlip",
    "LatentInterpolate",
    "LatentMultiply",
    "LatentSubtract",
    "NormalizeVideoLatentStart",
    "ReplaceVideoLatentFrames",
    "SetLatentNoiseMask",
)
def _same_shape(call: NodeCall) -> NodeOutcome:
    """The first latent, in its shape; what else the node makes is not known."""
    latent = first(call, Latent, AVLatent, BlindLatent) or Latent(*call.size)
    return NodeOutcome(values=tuple(latent if kind == "LATENT" else like(call, kind) for kind in call.outputs))


@rule("VAEEncodeAudio", "LTXVAudioVAEEncode")
def _encode_sound(call: NodeCall) -> NodeOutcome:
    sound = call.inputs.get("audio")
    return latent_outcome(BlindLatent(sound.count, sound.seconds) if isinstance(sound, Audio) else BlindLatent())
