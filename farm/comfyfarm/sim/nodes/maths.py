"""Nodes that calculate, decide and choose."""

import math
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, outcome
from comfyfarm.sim.nodes.expression import evaluate
from comfyfarm.sim.nodes.limits import list_value
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Mask, Picture

_MEGAPIXEL = 1024 * 1024


@rule("CurveEditor", "PrimitiveBoolean", "PrimitiveFloat", "PrimitiveInt", "PrimitiveString",
      "PrimitiveStringMultiline")
def _primitive(call: NodeCall) -> NodeOutcome:
    return outcome(call.inputs.get("curve" if call.class_type == "CurveEditor" else "value"))


@rule("ComfyMathExpression")
def _expression(call: NodeCall) -> NodeOutcome:
    expression, values = call.text("expression", "a + b"), call.group("values")
    if expression is None or not all(isinstance(value, int | float) for value in values.values()):
        return outcome(None, None, None)
    result = evaluate(expression, values)
    return outcome(float(result), int(result), bool(result))


@rule("ComfyNumberConvert")
def _number_convert(call: NodeCall) -> NodeOutcome:
    value: Any = call.inputs.get("value")
    if not isinstance(value, int | float | str):
        return outcome(None, None)
    number = float(value)
    try:
        whole = int(value)      # exact, even beyond the precision of a float
    except ValueError:
        whole = int(number)
    return outcome(number, whole)


@rule("ResolutionSelector")
def _resolution_selector(call: NodeCall) -> NodeOutcome:
    sides = call.word("aspect_ratio", "1:1").split(" ")[0].split(":")
    across, down = (int(side) for side in sides) if len(sides) == 2 else (1, 1)
    multiple = call.amount("multiple", 8)
    unit = math.sqrt(call.number("megapixels", 1.0) * _MEGAPIXEL / (across * down))
    return outcome(*(max(1, round(side * unit / multiple)) * multiple for side in (across, down)))


@rule("ColorToRGBInt")
def _colour_to_int(call: NodeCall) -> NodeOutcome:
    colour = call.word("color", "#ffffff")
    if len(colour) != 7 or colour[0] != "#":
        raise NodeError("ValueError", "Color must be in format #RRGGBB")
    return outcome(int(colour[1:], 16), colour)


@rule("PrimitiveBoundingBox")
def _bounding_box(call: NodeCall) -> NodeOutcome:
    names = {"x": 0, "y": 0, "width": 512, "height": 512}
    return outcome({name: call.integer(name, default) for name, default in names.items()})


@rule("WanCameraEmbedding")
def _camera_embedding(call: NodeCall) -> NodeOutcome:
    sizes = call.integer("width", 832), call.integer("height", 480), call.integer("length", 81)
    return outcome(None, *sizes)


@rule("GenerateTracks")
def _generate_tracks(call: NodeCall) -> NodeOutcome:
    return outcome(None, call.integer("num_frames", 81))


def _chosen(call: NodeCall) -> str:
    return "on_true" if call.flag("switch", default=False) else "on_false"


@rule("ComfySwitchNode", lazy=_chosen)
def _switch(call: NodeCall) -> NodeOutcome:
    return outcome(call.inputs.get(_chosen(call)))


@rule("ComfyNotNode")
def _not(call: NodeCall) -> NodeOutcome:
    return outcome(not _truth(call.inputs.get("value")))


@rule("ComfyAndNode", "ComfyOrNode")
def _and_or(call: NodeCall) -> NodeOutcome:
    combine = all if call.class_type == "ComfyAndNode" else any
    return outcome(combine(_truth(value) for value in call.group("values").values()))


@rule("CreateList", takes_lists=True)
def _create_list(call: NodeCall) -> NodeOutcome:
    return outcome(list_value(call.group("inputs").values()))


@rule("CustomCombo")
def _custom_combo(call: NodeCall) -> NodeOutcome:
    choice = call.inputs.get("choice")
    options = [value for name, value in call.inputs.items() if name.startswith("option")]
    index = options.index(choice) if choice in options else 0
    return outcome(choice, call.integer("index", index))


def _truth(value: Any) -> bool:
    if isinstance(value, Picture | Mask):
        raise NodeError("RuntimeError", "Boolean value of Tensor with more than one value is ambiguous")
    return value is None or bool(value)      # None is an unknown model or conditioning
