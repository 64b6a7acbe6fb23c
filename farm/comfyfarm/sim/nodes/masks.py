"""Nodes that make and change masks, and convert between masks and pictures."""

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, first, outcome
from comfyfarm.sim.nodes.colours import Blend, channel, grey
from comfyfarm.sim.nodes.geometry import REGION
from comfyfarm.sim.nodes.limits import allocate
from comfyfarm.sim.nodes.shapes import joined_masks, mask_of, sliced
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Mask, Picture

_CHANNELS = ("red", "green", "blue", "alpha")


@rule("SolidMask")
def _solid(call: NodeCall) -> NodeOutcome:
    width, height = call.integer("width", 512), call.integer("height", 512)
    allocate(1, height, width)
    return outcome(Mask(width, height, value=call.number("value", 1.0)))


@rule("InvertMask")
def _invert(call: NodeCall) -> NodeOutcome:
    mask = call.mask("mask")
    return outcome(replace(mask, value=None if mask.value is None else 1.0 - mask.value))


@rule("CropMask")
def _crop(call: NodeCall) -> NodeOutcome:
    x, y, width, height = (call.integer(name, default) for name, default in REGION.items())
    mask = call.mask("mask")
    # Unlike a picture, a mask that is cropped outside is empty; the next node fails.
    return outcome(replace(mask, width=sliced(mask.width, x, width), height=sliced(mask.height, y, height)))


@rule("ThresholdMask")
def _threshold(call: NodeCall) -> NodeOutcome:
    mask, limit = call.mask("mask"), call.number("value", 0.5)
    return outcome(replace(mask, value=None if mask.value is None else float(mask.value > limit)))


@rule("GrowMask", "FeatherMask", "VOIDQuadmaskPreprocess")
def _edge(call: NodeCall) -> NodeOutcome:
    # A mask of one value has no edges inside, but feathering fades its border.
    mask = call.mask("mask")
    fades = call.class_type == "FeatherMask" and mask.value != 0
    return outcome(replace(mask, value=None) if fades else mask)


@rule("MaskComposite")
def _composite(call: NodeCall) -> NodeOutcome:
    """The result has the size of the destination; its value is known only if the source covers all of it."""
    mask, source = call.mask("destination"), call.mask("source")
    covers = source.width >= mask.width and source.height >= mask.height and not call.number("x", 0)
    value = _combined(call.word("operation"), mask.value, source.value)
    return outcome(replace(mask, value=value if covers and not call.number("y", 0) else None))


def _combined(operation: str, one: float | None, two: float | None) -> float | None:
    if one is None or two is None or operation not in _OPERATIONS:
        return None
    return float(max(0.0, min(1.0, _OPERATIONS[operation](one, two))))


_OPERATIONS: dict[str, Blend] = {
    "multiply": lambda one, two: one * two,
    "add": lambda one, two: one + two,
    "subtract": lambda one, two: one - two,
    "and": lambda one, two: bool(round(one)) and bool(round(two)),
    "or": lambda one, two: bool(round(one)) or bool(round(two)),
    "xor": lambda one, two: bool(round(one)) is not bool(round(two)),
}


@rule("BatchMasksNode")
def _batch(call: NodeCall) -> NodeOutcome:
    return outcome(joined_masks(call, call.group("masks").values()))


@rule("MaskToImage")
def _to_image(call: NodeCall) -> NodeOutcome:
    mask = call.mask("mask", as_picture=True)
    return outcome(Picture(mask.width, mask.height, mask.count, colour=grey(mask)))


@rule("ImageToMask")
def _from_image(call: NodeCall) -> NodeOutcome:
    picture, name = call.picture("image"), call.word("channel", "red")
    if name == "alpha" and isinstance(call.inputs.get("image"), Picture) and picture.channels == 3:
        raise NodeError("IndexError", "index 3 is out of bounds for dimension 3 with size 3")
    value = channel(picture, _CHANNELS.index(name)) if name in _CHANNELS else None
    return outcome(mask_of(picture, value))


@rule("ImageColorToMask")
def _from_colour(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    value = None if picture.colour is None else float(picture.colour == call.number("color", 0))
    return outcome(mask_of(picture, value))


@rule("SplitImageWithAlpha")
def _split_alpha(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    alpha = mask_of(picture, 0.0 if picture.channels == 3 else None)
    return outcome(replace(picture, channels=3), alpha)


@rule("JoinImageWithAlpha")
def _join_alpha(call: NodeCall) -> NodeOutcome:
    picture, alpha = call.picture("image"), call.mask("alpha")
    count = max(picture.count, alpha.count)
    joined = picture if count == picture.count else replace(picture.first(), count=count)
    return outcome(replace(joined, channels=4))


@rule("RemoveBackground", "SAM3_Detect", "SAM3_TrackToMask", "MediaPipeFaceMask")
def _found(call: NodeCall) -> NodeOutcome:
    # What the model finds is unknown, but the mask has the size of the picture.
    return outcome(mask_of(first(call, Picture) or Picture(*call.size)))
