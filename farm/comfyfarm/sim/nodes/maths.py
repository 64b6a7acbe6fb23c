"""Nodes that calculate."""

from __future__ import annotations

import math
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.nodes.expression import evaluate
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.table import rule

_MEGAPIXEL = 1024 * 1024


@rule("PrimitiveInt", "PrimitiveFloat")
def _primitive(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(call.inputs.get("value"),))


@rule("ComfyMathExpression")
def _expression(call: NodeCall) -> NodeOutcome:
    expression, values = call.text("expression", "a + b"), call.group("values")
    if expression is None or not all(isinstance(value, int | float) for value in values.values()):
        return NodeOutcome(values=(None, None, None))
    result = evaluate(expression, values)
    return NodeOutcome(values=(float(result), int(result), bool(result)))


@rule("ComfyNumberConvert")
def _number_convert(call: NodeCall) -> NodeOutcome:
    value: Any = call.inputs.get("value")
    if not isinstance(value, int | float | str):
        return NodeOutcome(values=(None, None))
    number = float(value)
    try:
        whole = int(value)      # exact, also where a float would not be
    except ValueError:
        whole = int(number)
    return NodeOutcome(values=(number, whole))


@rule("ResolutionSelector")
def _resolution_selector(call: NodeCall) -> NodeOutcome:
    """So many megapixels of a certain shape, each side rounded to a multiple."""
    sides = call.word("aspect_ratio", "1:1").split(" ")[0].split(":")
    across, down = (int(side) for side in sides) if len(sides) == 2 else (1, 1)
    multiple = call.amount("multiple", 8)
    unit = math.sqrt(call.number("megapixels", 1.0) * _MEGAPIXEL / (across * down))
    return NodeOutcome(values=tuple(max(1, round(side * unit / multiple)) * multiple for side in (across, down)))


@rule("ColorToRGBInt")
def _colour_to_int(call: NodeCall) -> NodeOutcome:
    colour = call.word("color", "#ffffff")
    if len(colour) != 7 or colour[0] != "#":
        raise NodeError("ValueError", "Color must be in format #RRGGBB")
    return NodeOutcome(values=(int(colour[1:], 16), colour))


@rule("PrimitiveBoundingBox")
def _bounding_box(call: NodeCall) -> NodeOutcome:
    names = {"x": 0, "y": 0, "width": 512, "height": 512}
    return NodeOutcome(values=({name: call.integer(name, default) for name, default in names.items()},))


@rule("CurveEditor")
def _curve(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(call.inputs.get("curve"),))


@rule("WanCameraEmbedding")
def _camera_embedding(call: NodeCall) -> NodeOutcome:
    sizes = call.integer("width", 832), call.integer("height", 480), call.integer("length", 81)
    return NodeOutcome(values=(None, *sizes))


@rule("GenerateTracks")
def _generate_tracks(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(None, call.integer("num_frames", 81)))
