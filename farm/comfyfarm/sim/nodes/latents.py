"""Nodes that change the size, number or length of latents."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, by_type, first, outcome
from comfyfarm.sim.nodes.geometry import turned
from comfyfarm.sim.nodes.shapes import window
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import AVLatent, BlindLatent, Latent, Loaded

_DIMENSIONS = {"x": "columns", "y": "rows", "t": "steps"}


def _resized(
    latent: Latent, *, columns: int | None = None, rows: int | None = None, steps: int | None = None
) -> Latent:
    """Return a latent with another number of latent values."""
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
    # ComfyUI divides the size by 8 (16 for the video model), whatever the block size of the latent.
    latent, unit = call.latent("samples"), 8 if call.class_type == "LatentUpscale" else 16
    width, height = call.integer("width", 0), call.integer("height", 0)
    if width == 0 and height == 0:
        return outcome(latent)
    width = width or round(latent.columns * height / latent.rows)
    height = height or round(latent.rows * width / latent.columns)
    return outcome(_resized(latent, columns=max(64, width) // unit, rows=max(64, height) // unit))


@rule("LatentUpscaleBy")
def _upscale_by(call: NodeCall) -> NodeOutcome:
    latent, factor = call.latent("samples"), call.number("scale_by", 1.5)
    return outcome(_resized(latent, columns=round(latent.columns * factor), rows=round(latent.rows * factor)))


@rule("LTXVLatentUpsampler")
def _upsample(call: NodeCall) -> NodeOutcome:
    """Doubles the size, or the length if the model's name contains ``temporal``."""
    latent, model = call.latent("samples"), call.inputs.get("upscale_model")
    if isinstance(model, Loaded) and "temporal" in model.name:
        return outcome(_resized(latent, steps=2 * latent.steps - 1))
    return outcome(_resized(latent, columns=2 * latent.columns, rows=2 * latent.rows))


@rule("LatentCrop")
def _crop(call: NodeCall) -> NodeOutcome:
    latent = call.latent("samples")
    x, y, width, height = (call.integer(name, 0) // 8 for name in ("x", "y", "width", "height"))
    # ComfyUI moves a corner that lies outside to 8 latent values before the edge.
    columns = window(latent.columns, min(x, latent.columns - 8), max(1, width))
    rows = window(latent.rows, min(y, latent.rows - 8), max(1, height))
    return outcome(_resized(latent, columns=columns, rows=rows))


@rule("LatentRotate")
def _rotate(call: NodeCall) -> NodeOutcome:
    return outcome(turned(call.latent("samples"), call.word("rotation")))


@rule("LatentBatch")
def _batch(call: NodeCall) -> NodeOutcome:
    return outcome(_joined(call, (call.latent("samples1"), call.latent("samples2"))))


@rule("BatchLatentsNode")
def _batch_group(call: NodeCall) -> NodeOutcome:
    return outcome(_joined(call, call.group("latents").values()))


def _joined(call: NodeCall, values: Iterable[Any]) -> Latent:
    """Return one batch of the latents, in the size of the first; other values are ignored."""
    latents = [value for value in values if isinstance(value, Latent)] or [Latent(*call.size)]
    return replace(latents[0], count=sum(latent.count for latent in latents))


@rule("RepeatLatentBatch")
def _repeat(call: NodeCall) -> NodeOutcome:
    value = call.inputs.get("samples")
    latent = value if isinstance(value, Latent | BlindLatent) else call.latent("samples")
    return outcome(replace(latent, count=latent.count * call.amount("amount")))


@rule("LatentFromBatch")
def _from_batch(call: NodeCall) -> NodeOutcome:
    latent, index = call.latent("samples"), call.integer("batch_index", 0)
    return outcome(replace(latent, count=_slice_length(latent.count, index, call.integer("length", 1))))


def _slice_length(size: int, index: int, amount: int) -> int:
    """Return the length of a slice, at least 1; a negative index counts from the end."""
    return window(size, index + size if index < 0 else index, amount)


@rule("LatentConcat")
def _concat(call: NodeCall) -> NodeOutcome:
    one, two = call.latent("samples1"), call.latent("samples2")
    dimension = _dimension(call)
    pair = (two, one) if call.word("dim").startswith("-") else (one, two)
    for side in ("rows", "columns"):
        expected, size = (getattr(latent, side) for latent in pair)
        if side != dimension and expected != size:
            dimensions = 4 if one.frames == 1 else 5
            along = dimensions + {"columns": -1, "rows": -2, "steps": -3}[dimension]
            reason = f"Sizes of tensors must match except in dimension {along}. Expected size {expected} but got size"
            raise NodeError("RuntimeError", f"{reason} {size} for tensor number 1 in the list.")
    return outcome(_resized(one, **{dimension: getattr(one, dimension) + getattr(two, dimension)}))


@rule("LatentCut")
def _cut(call: NodeCall) -> NodeOutcome:
    latent, dimension = call.latent("samples"), _dimension(call)
    length = _slice_length(getattr(latent, dimension), call.integer("index", 0), call.integer("amount", 1))
    return outcome(_resized(latent, **{dimension: length}))


@rule("LatentCutToBatch")
def _cut_to_batch(call: NodeCall) -> NodeOutcome:
    """The batch becomes one of slices of equal length; a shorter rest is dropped."""
    latent, dimension = call.latent("samples"), _dimension(call)
    length = getattr(latent, dimension)
    size = min(length, call.amount("slice_size"))
    return outcome(replace(_resized(latent, **{dimension: size}), count=latent.count * (length // size)))


def _dimension(call: NodeCall) -> str:
    return _DIMENSIONS.get(call.word("dim").removeprefix("-"), "columns")


@rule("TrimVideoLatent")
def _trim(call: NodeCall) -> NodeOutcome:
    latent = call.latent("samples")
    return outcome(_resized(latent, steps=latent.steps - max(0, call.integer("trim_amount", 0))))


@rule("LTXVAddGuide")
def _add_guide(call: NodeCall) -> NodeOutcome:
    """The guide's frames are appended as latent steps, until LTXVCropGuides removes them."""
    latent, guide = call.latent("latent"), call.picture("image")
    steps = (guide.count - 1) // latent.stride + 1
    longer = _resized(latent, steps=latent.steps + steps)
    return outcome(None, None, replace(longer, guides=latent.guides + steps))


@rule("LTXVCropGuides")
def _crop_guides(call: NodeCall) -> NodeOutcome:
    latent = call.latent("latent")
    return outcome(None, None, replace(_resized(latent, steps=latent.steps - latent.guides), guides=0))


@rule("LTXVConcatAVLatent")
def _join_sound(call: NodeCall) -> NodeOutcome:
    video, sound = call.latent("video_latent"), call.inputs.get("audio_latent")
    return outcome(AVLatent(video, sound if isinstance(sound, BlindLatent) else BlindLatent(video.count)))


@rule("LTXVSeparateAVLatent")
def _split_sound(call: NodeCall) -> NodeOutcome:
    value = call.inputs.get("av_latent")
    if isinstance(value, Latent) and value.count == 1:
        raise NodeError("IndexError", "tuple index out of range")       # the batch is taken for video and sound
    both = value if isinstance(value, AVLatent) else AVLatent(call.latent("av_latent"), BlindLatent())
    return outcome(both.video, both.sound)


@rule("AddNoise", "HunyuanVideo15SuperResolution", "HunyuanRefinerLatent", "LTXVImgToVideoInplace", "LatentAdd",
      "LatentApplyOperation", "LatentBatchSeedBehavior", "LatentBlend", "LatentComposite", "LatentCompositeMasked",
      "LatentFlip", "LatentInterpolate", "LatentMultiply", "LatentSubtract", "NormalizeVideoLatentStart",
      "ReplaceVideoLatentFrames", "SetLatentNoiseMask")
def _same_shape(call: NodeCall) -> NodeOutcome:
    """The first latent keeps its shape; other outputs pass through."""
    return NodeOutcome(by_type(call, LATENT=first(call, Latent, AVLatent, BlindLatent) or Latent(*call.size)))
