"""Nodes that crop, pad, rotate and join pictures."""

from typing import Any

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, outcome, previewed
from comfyfarm.sim.nodes.limits import allocate, list_value
from comfyfarm.sim.nodes.shapes import Shape, fitted, mask_of, resized, sliced, window
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Appearance, Mask, Picture

REGION = {"x": 0, "y": 0, "width": 512, "height": 512}


@rule("ImageCrop")
def _crop(call: NodeCall) -> NodeOutcome:
    box = {name: call.integer(name, default) for name, default in REGION.items()}
    return outcome(cropped(call.picture("image"), **box))


@rule("ImageCropV2")
def _crop_region(call: NodeCall) -> NodeOutcome:
    picture, region = call.picture("image"), _region(call, "crop_region")
    x, y = min(region["x"], picture.width - 1), min(region["y"], picture.height - 1)
    if not (sliced(picture.width, x, region["width"]) and sliced(picture.height, y, region["height"])):
        raise NodeError("ValueError", "cannot write empty image")      # Pillow, with the node's preview
    cut = replace(picture, width=sliced(picture.width, x, region["width"]),
                  height=sliced(picture.height, y, region["height"]))
    return previewed(cut, cut)


def _region(call: NodeCall, name: str) -> dict[str, int]:
    """Return a bounding box, or the first of a list of boxes.

    :raises NodeError: if one of its sides is no whole number.
    """
    value: Any = call.inputs.get(name)
    box = value[0] if isinstance(value, list) and value else value
    region = REGION | {key: side for key, side in box.items() if key in REGION} if isinstance(box, dict) else REGION
    for key, side in region.items():
        kind = type(side).__name__
        if isinstance(side, float):
            raise NodeError("TypeError", "slice indices must be integers or None or have an __index__ method")
        if not isinstance(side, int) and key in ("x", "y"):
            raise NodeError("TypeError", f"'<' not supported between instances of 'int' and '{kind}'")
        if isinstance(side, str):
            raise NodeError("TypeError", 'can only concatenate str (not "int") to str')
        if not isinstance(side, int):
            raise NodeError("TypeError", f"unsupported operand type(s) for +: '{kind}' and 'int'")
    return region


def cropped(shape: Shape, x: int, y: int, width: int, height: int) -> Shape:
    """Return the part of a picture or mask inside a window, at least one pixel."""
    return replace(shape, width=window(shape.width, x, width), height=window(shape.height, y, height))


@rule("CenterCropImages", "RandomCropImages")
def _crop_inside(call: NodeCall) -> NodeOutcome:
    picture = call.picture("images")
    width, height = call.amount("width", 512), call.amount("height", 512)
    return outcome(replace(picture, width=min(width, picture.width), height=min(height, picture.height)))


@rule("CropByBBoxes")
def _crop_boxes(call: NodeCall) -> NodeOutcome:
    # One cropped picture for each picture, as if one box had been found on it.
    return outcome(resized(call.picture("image"), call.amount("output_width", 512), call.amount("output_height", 512)))


@rule("ImagePadForOutpaint")
def _pad(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    left, top, right, bottom = (call.integer(side, 0) for side in ("left", "top", "right", "bottom"))
    width, height = picture.width + left + right, picture.height + top + bottom
    allocate(picture.count, height, width, 3)
    return outcome(_framed(picture, width, height, 0x7F7F7F), Mask(width, height))


@rule("ResizeAndPadImage")
def _resize_and_pad(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    width, height = call.integer("target_width", 512), call.integer("target_height", 512)
    allocate(picture.count, height, width, 3)
    padding = 0xFFFFFF if call.word("padding_color", "black") == "white" else 0
    if width * picture.height == height * picture.width:
        return outcome(resized(picture, width, height))
    return outcome(_framed(picture, width, height, padding))


def _framed(picture: Picture, width: int, height: int, padding: int) -> Picture:
    """Return a picture with padding around it; its colour stays known only if the padding has the same colour."""
    if (width, height) == (picture.width, picture.height):
        return picture
    looks = [
        look if look.colour in (None, padding) else Appearance(look.count, None, look.source) for look in picture.looks
    ]
    return replace(picture, width=width, height=height).showing(looks)


@rule("ImageFlip")
def _flip(call: NodeCall) -> NodeOutcome:
    return outcome(call.picture("image"))


@rule("ImageRotate")
def _rotate(call: NodeCall) -> NodeOutcome:
    return outcome(turned(call.picture("image"), call.word("rotation")))


def turned(shape: Any, rotation: str) -> Any:
    """Return a picture or latent after a rotation by this choice of the node."""
    swaps_sides = rotation.startswith(("90", "270"))
    return replace(shape, width=shape.height, height=shape.width) if swaps_sides else shape


@rule("ImageStitch")
def _stitch(call: NodeCall) -> NodeOutcome:
    """The shorter batch repeats its last picture."""
    one, two = call.picture("image1"), call.inputs.get("image2")
    if not isinstance(two, Picture):
        return outcome(one)
    is_row = call.word("direction", "right") in ("right", "left")
    if call.flag("match_image_size", default=True):
        two = fitted(two, 0, one.height) if is_row else fitted(two, one.width, 0)
    gap = (max(0, call.integer("spacing_width", 0)) + 1) & ~1
    width = one.width + gap + two.width if is_row else max(one.width, two.width)
    height = max(one.height, two.height) if is_row else one.height + gap + two.height
    colour = one.colour if one.colour == two.colour and not gap else None
    return outcome(Picture(width, height, max(one.count, two.count), colour, one.source))


@rule("ImageCompositeMasked")
def _composite(call: NodeCall) -> NodeOutcome:
    one, two = call.picture("destination"), call.picture("source")
    return outcome(one if one.colour == two.colour else replace(one, colour=None))


@rule("PorterDuffImageComposite")
def _porter_duff(call: NodeCall) -> NodeOutcome:
    one, two = call.picture("source"), call.picture("destination")
    drawn = Picture(one.width, one.height, min(one.count, two.count), source=one.source)
    return outcome(drawn, mask_of(drawn))


@rule("SplitImageToTileList")
def _split_to_tiles(call: NodeCall) -> NodeOutcome:
    """All tiles have the same size; the last of a row or column overlap more."""
    picture = call.picture("image")
    width = min(picture.width, call.amount("tile_width", 1024))
    height = min(picture.height, call.amount("tile_height", 1024))
    overlap = max(0, call.integer("overlap", 128))
    tiles = _steps(picture.width, width, overlap) * _steps(picture.height, height, overlap)
    tile = replace(picture, width=width, height=height)
    return outcome(list_value(tile for _ in range(tiles)))


def _steps(side: int, tile: int, overlap: int) -> int:
    return 1 if side <= tile else -(-(side - tile) // max(1, tile - overlap)) + 1


@rule("ImageMergeTileList", takes_lists=True)
def _merge_tiles(call: NodeCall) -> NodeOutcome:
    tiles = [tile for tile in call.items("image_list") if isinstance(tile, Picture)] or [Picture(*call.size)]
    sides = (next(iter(call.items(name))) for name in ("final_width", "final_height"))
    width, height = (side if isinstance(side, int) else 1024 for side in sides)
    allocate(height, width)
    return outcome(replace(tiles[0], width=width, height=height))


@rule("ImageGrid", takes_lists=True)
def _grid(call: NodeCall) -> NodeOutcome:
    cells = sum(item.count for item in call.items("images") if isinstance(item, Picture)) or 1
    columns, padding = call.amount("columns", 4), max(0, call.integer("padding", 4))
    rows = -(-cells // columns)
    width = columns * (call.amount("cell_width", 256) + padding) - padding
    height = rows * (call.amount("cell_height", 256) + padding) - padding
    return outcome(Picture(width, height))
