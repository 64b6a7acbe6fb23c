"""Nodes that make pictures or change their content."""

import math
import re

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, first, outcome, previewed
from comfyfarm.sim.nodes.colours import Blend, blended, recoloured
from comfyfarm.sim.nodes.limits import allocate
from comfyfarm.sim.nodes.shapes import mask_of
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Appearance, Loaded, Picture


@rule("EmptyImage")
def _empty(call: NodeCall) -> NodeOutcome:
    width, height, count = call.integer("width", 512), call.integer("height", 512), call.integer("batch_size", 1)
    allocate(count, height, width, 1)
    return outcome(Picture(width, height, count, colour=call.integer("color", 0) & 0xFFFFFF))


@rule("ImageInvert")
def _invert(call: NodeCall) -> NodeOutcome:
    return outcome(recoloured(call.picture("image"), lambda value: 1.0 - value))


@rule("AdjustBrightness")
def _brightness(call: NodeCall) -> NodeOutcome:
    factor = call.number("factor", 1.0)
    return outcome(recoloured(call.picture("images"), lambda value: value * factor))


@rule("AdjustContrast")
def _contrast(call: NodeCall) -> NodeOutcome:
    factor = call.number("factor", 1.0)
    return outcome(recoloured(call.picture("images"), lambda value: (value - 0.5) * factor + 0.5))


@rule("NormalizeImages")
def _normalize(call: NodeCall) -> NodeOutcome:
    mean, std = call.number("mean", 0.5), call.number("std", 0.5) or 1.0
    return outcome(recoloured(call.picture("images"), lambda value: (value - mean) / std))


@rule("ImageBlend")
def _blend(call: NodeCall) -> NodeOutcome:
    factor = call.number("blend_factor", 0.5)
    mode = _BLENDS.get(call.word("blend_mode", "normal"), _BLENDS["normal"])

    def blend(one: float, two: float) -> float:
        return one * (1 - factor) + mode(one, two) * factor

    return outcome(blended(call.picture("image1"), call.picture("image2"), blend))


def _overlay(one: float, two: float) -> float:
    return 2 * one * two if one <= 0.5 else 1 - 2 * (1 - one) * (1 - two)


def _soft_light(one: float, two: float) -> float:
    if two <= 0.5:
        return one - (1 - 2 * two) * one * (1 - one)
    soft = ((16 * one - 12) * one + 4) * one if one <= 0.25 else math.sqrt(one)
    return one + (2 * two - 1) * (soft - one)


_BLENDS: dict[str, Blend] = {
    "normal": lambda _one, two: two,
    "multiply": lambda one, two: one * two,
    "screen": lambda one, two: 1 - (1 - one) * (1 - two),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda one, two: one - two,
}


@rule("ImageBlur", "ImageSharpen")
def _kernel(call: NodeCall) -> NodeOutcome:
    """The picture is padded by reflection, which needs a picture larger than the radius."""
    picture = call.picture("image")
    radius = call.integer("blur_radius" if call.class_type == "ImageBlur" else "sharpen_radius", 1)
    size = [picture.count, picture.channels, picture.height, picture.width]
    for argument, dimension in ((4, 3), (6, 2)):
        if radius >= size[dimension]:
            reason = "Padding size should be less than the corresponding input dimension, but got: padding"
            where = f"({radius}, {radius}) at dimension {dimension} of input {size}"
            raise NodeError("RuntimeError", f"Argument #{argument}: {reason} {where}")
    return outcome(picture)


@rule("ImageQuantize", "ImageAddNoise", "ColorTransfer", "DrawBBoxes")
def _filter(call: NodeCall) -> NodeOutcome:
    # A filter does not change a picture of one colour, and its effect on other pictures is unknown.
    return outcome(first(call, Picture) or Picture(*call.size))


@rule("Canny")
def _canny(call: NodeCall) -> NodeOutcome:
    return outcome(_black_if_known(call.picture("image")))      # one colour has no edges


@rule("Morphology")
def _morphology(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    is_difference = call.word("operation") in ("gradient", "bottom_hat", "top_hat")
    return outcome(_black_if_known(picture) if is_difference else picture)


def _black_if_known(picture: Picture) -> Picture:
    return recoloured(picture, lambda _: 0.0)


@rule("ImageRGBToYUV")
def _to_yuv(call: NodeCall) -> NodeOutcome:
    return NodeOutcome((_without_colour(call.picture("image")),) * 3)


@rule("ImageYUVToRGB")
def _from_yuv(call: NodeCall) -> NodeOutcome:
    return outcome(_without_colour(call.picture("Y")))


@rule("LTXVPreprocess")
def _compress(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")     # the sides of a video frame are even
    return outcome(replace(picture, width=max(1, picture.width & ~1), height=max(1, picture.height & ~1)))


def _without_colour(picture: Picture) -> Picture:
    return picture.showing(Appearance(look.count, None, look.source) for look in picture.looks)


@rule("ImageUpscaleWithModel")
def _upscale_with_model(call: NodeCall) -> NodeOutcome:
    """Reports one step of progress per tile."""
    picture, model = call.picture("image"), call.inputs.get("upscale_model")
    times = _scale_factor(model.name) if isinstance(model, Loaded) else 4
    tiles = _tiles(picture.width) * _tiles(picture.height)
    larger = replace(picture, width=picture.width * times, height=picture.height * times)
    return NodeOutcome((larger,), steps=picture.count * tiles)


def _scale_factor(name: str) -> int:
    """Return the factor in a model's name such as ``4x-UltraSharp.pth`` or ``RealESRGAN_x2plus.pth``; 4 without one."""
    match = re.search(r"(?<![0-9a-z])([1-9])x|x([1-9])(?![0-9])", name.lower())
    return int(match[1] or match[2]) if match else 4


def _tiles(side: int, tile: int = 512, overlap: int = 32) -> int:
    return 1 if side <= tile else -(-(side - overlap) // (tile - overlap))


@rule("GLSLShader")
def _shader(call: NodeCall) -> NodeOutcome:
    pictures = [value for value in call.group("images").values() if isinstance(value, Picture)]
    drawn = pictures[0] if pictures else Picture(*call.size)
    if call.word("size_mode") == "custom":
        width, height = call.amount("size_mode.width", 512), call.amount("size_mode.height", 512)
        drawn = replace(drawn, width=width, height=height)
    drawn = _without_colour(drawn)
    return previewed(drawn, *(drawn,) * 4)


@rule("Painter")
def _painter(call: NodeCall) -> NodeOutcome:
    """Paints on its input picture, or else on a blank one."""
    picture, background = call.inputs.get("image"), call.word("bg_color", "#000000")
    is_plain = re.fullmatch("#[0-9a-fA-F]{6}", background) and not call.word("mask")
    colour = int(background[1:], 16) if is_plain else None
    blank = Picture(call.amount("width", 512), call.amount("height", 512), colour=colour)
    painted = picture if isinstance(picture, Picture) else blank
    return previewed(painted, painted, mask_of(painted))
