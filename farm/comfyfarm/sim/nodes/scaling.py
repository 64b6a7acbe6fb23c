"""Nodes that scale pictures and masks."""

import math
from collections.abc import Callable
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, NodeOutcome, outcome
from comfyfarm.sim.nodes.shapes import Shape, fitted, resized
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Mask, Picture

_MEGAPIXEL = 1024 * 1024

# Width and height of the pictures that the model Kontext was trained on, as published.
_KONTEXT_SIZES = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104)),
    (1024, 1024),
    *((1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672)),
)


@rule("ImageScale")
def _scale(call: NodeCall) -> NodeOutcome:
    return outcome(fitted(call.picture("image"), call.integer("width", 0), call.integer("height", 0)))


@rule("ImageScaleBy")
def _scale_by(call: NodeCall) -> NodeOutcome:
    return outcome(_by(call.picture("image"), call.number("scale_by", 1.0)))


@rule("ImageScaleToTotalPixels")
def _scale_to_total(call: NodeCall) -> NodeOutcome:
    steps = call.amount("resolution_steps", 1)
    return outcome(_to_total(call.picture("image"), call.number("megapixels", 1.0), steps))


@rule("ImageScaleToMaxDimension")
def _scale_to_max(call: NodeCall) -> NodeOutcome:
    return outcome(_longer(call.picture("image"), call.integer("largest_size", 512)))


@rule("ResizeImagesByLongerEdge")
def _longer_edge(call: NodeCall) -> NodeOutcome:
    return outcome(_longer(call.picture("images"), call.integer("longer_edge", 1024)))


@rule("ResizeImagesByShorterEdge")
def _shorter_edge(call: NodeCall) -> NodeOutcome:
    return outcome(_shorter(call.picture("images"), call.integer("shorter_edge", 512)))


@rule("FluxKontextImageScale")
def _kontext_scale(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    ratio = picture.width / picture.height
    return outcome(resized(picture, *min(_KONTEXT_SIZES, key=lambda size: abs(size[0] / size[1] - ratio))))


@rule("ResizeImageMaskNode")
def _resize(call: NodeCall) -> NodeOutcome:
    value = call.inputs.get("input")
    return outcome(_resized(call, value) if isinstance(value, Mask) else _resized(call, call.picture("input")))


def _resized(call: NodeCall, shape: Shape) -> Shape:
    """Return a picture or mask resized by the method that ``resize_type`` names, with that method's own inputs."""

    def integer(name: str, default: int = 512) -> int:
        return call.integer(f"resize_type.{name}", default)

    def number(name: str) -> float:
        return call.number(f"resize_type.{name}", 1.0)

    methods: dict[str, Callable[[], Shape]] = {
        "match size": lambda: _matched(shape, call.inputs.get("resize_type.match")),
        "scale by multiplier": lambda: _by(shape, number("multiplier")),
        "scale dimensions": lambda: fitted(shape, integer("width"), integer("height")),
        "scale height": lambda: fitted(shape, 0, integer("height")),
        "scale longer dimension": lambda: _longer(shape, integer("longer_size")),
        "scale shorter dimension": lambda: _shorter(shape, integer("shorter_size")),
        "scale to multiple": lambda: _to_multiple(shape, max(1, integer("multiple", 8))),
        "scale total pixels": lambda: _to_total(shape, number("megapixels"), 1),
        "scale width": lambda: fitted(shape, integer("width"), 0),
    }
    return methods.get(call.word("resize_type"), lambda: shape)()


def _by(shape: Shape, factor: float) -> Shape:
    return resized(shape, shape.width * factor, shape.height * factor)


def _longer(shape: Shape, size: int) -> Shape:
    return fitted(shape, size, 0) if shape.width >= shape.height else fitted(shape, 0, size)


def _shorter(shape: Shape, size: int) -> Shape:
    return fitted(shape, size, 0) if shape.width <= shape.height else fitted(shape, 0, size)


def _to_total(shape: Shape, megapixels: float, steps: int) -> Shape:
    factor = math.sqrt(megapixels * _MEGAPIXEL / (shape.width * shape.height))
    sides = (max(1, round(side * factor / steps)) * steps for side in (shape.width, shape.height))
    return resized(shape, *sides)


def _matched(shape: Shape, other: Any) -> Shape:
    return resized(shape, other.width, other.height) if isinstance(other, Picture | Mask) else shape


def _to_multiple(shape: Shape, multiple: int) -> Shape:
    """Round the sides down to multiples; if one is shorter than ``multiple``, both stay."""
    width, height = shape.width // multiple * multiple, shape.height // multiple * multiple
    return resized(shape, width, height) if width and height else shape
