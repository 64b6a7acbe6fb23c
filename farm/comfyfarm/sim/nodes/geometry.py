"""Nodes that cut, pad, turn and join pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall
from comfyfarm.sim.nodes.images import image
from comfyfarm.sim.nodes.limits import allocate, several
from comfyfarm.sim.nodes.outcome import NodeOutcome, Save
from comfyfarm.sim.nodes.shapes import fitted, mask_of, resized, window
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Appearance, Mask, Picture

_REGION = {"x": 0, "y": 0, "width": 512, "height": 512}


@rule("ImageCrop")
def _crop(call: NodeCall) -> NodeOutcome:
    return image(_cut(call.picture("image"), {name: call.integer(name, default) for name, default in _REGION.items()}))


@rule("ImageCropV2")
def _crop_region(call: NodeCall) -> NodeOutcome:
    """Shows what it cut out."""
    cut = _cut(call.picture("image"), _region(call, "crop_region"))
    return NodeOutcome(values=(cut,), saves=(Save(cut, "temp", None),))


def _region(call: NodeCall, name: str) -> dict[str, int]:
    """A bounding box; where the input is a list of boxes, its first."""
    value: Any = call.inputs.get(name)
    given = value[0] if isinstance(value, list) and value else value
    sides = given if isinstance(given, dict) else {}
    return {side: int(found) if isinstance(found := sides.get(side), int | float) else default
            for side, default in _REGION.items()}


def cropped(shape: Any, x: int, y: int, width: int, height: int) -> Any:
    """What of a picture or mask lies in a window; never nothing."""
    return replace(shape, width=window(shape.width, x, width), height=window(shape.height, y, height))


def _cut(picture: Picture, box: dict[str, int]) -> Picture:
    cut: Picture = cropped(picture, **box)
    return cut


@rule("CenterCropImages", "RandomCropImages")
def _crop_inside(call: NodeCall) -> NodeOutcome:
    picture = call.picture("images")
    width, height = call.amount("width", 512), call.amount("height", 512)
    return image(replace(picture, width=min(width, picture.width), height=min(height, picture.height)))


@rule("CropByBBoxes")
def _crop_boxes(call: NodeCall) -> NodeOutcome:
    """One picture for each, as if one thing had been found on it."""
    picture = call.picture("image")
    return image(resized(picture, call.amount("output_width", 512), call.amount("output_height", 512)))


@rule("ImagePadForOutpaint")
def _pad(call: NodeCall) -> NodeOutcome:
    """What is added is grey, so that the picture is of one colour no more."""
    picture = call.picture("image")
    left, top, right, bottom = (call.integer(side, 0) for side in ("left", "top", "right", "bottom"))
    width, height = picture.width + left + right, picture.height + top + bottom
    allocate(picture.count, height, width, 3)
    return NodeOutcome(values=(_framed(picture, width, height, 0x7F7F7F), Mask(width, height)))


@rule("ResizeAndPadImage")
def _resize_and_pad(call: NodeCall) -> NodeOutcome:
    """Scaled to fit, and padded to the rest of its new size."""
    picture = call.picture("image")
    width, height = call.integer("target_width", 512), call.integer("target_height", 512)
    allocate(picture.count, height, width, 3)
    padding = 0xFFFFFF if call.word("padding_color", "black") == "white" else 0
    if width * picture.height == height * picture.width:
        return image(resized(picture, width, height))
    return image(_framed(picture, width, height, padding))


def _framed(picture: Picture, width: int, height: int, padding: int) -> Picture:
    """In a larger size; its colour stays only where the padding is of it, too."""
    if (width, height) == (picture.width, picture.height):
        return picture
    looks = [
        look if look.colour in (None, padding) else Appearance(look.count, None, look.source) for look in picture.looks
    ]
    return replace(picture, width=width, height=height).showing(looks)


@rule("ImageFlip")
def _flip(call: NodeCall) -> NodeOutcome:
    return image(call.picture("image"))


@rule("ImageRotate")
def _rotate(call: NodeCall) -> NodeOutcome:
    return image(turned(call.picture("image"), call.word("rotation")))


def turned(shape: Any, rotation: str) -> Any:
    """A quarter turn swaps the sides."""
    is_quarter = rotation.startswith(("90", "270"))
    return replace(shape, width=shape.height, height=shape.width) if is_quarter else shape


@rule("ImageStitch")
def _stitch(call: NodeCall) -> NodeOutcome:
    """Two pictures side by side, or one above the other; a shorter batch repeats its last picture."""
    one, two = call.picture("image1"), call.inputs.get("image2")
    if not isinstance(two, Picture):
        return image(one)
    beside = call.word("direction", "right") in ("right", "left")
    if call.flag("match_image_size", default=True):
        two = fitted(two, 0, one.height) if beside else fitted(two, one.width, 0)
    gap = (max(0, call.integer("spacing_width", 0)) + 1) & ~1
    width = one.width + gap + two.width if beside else max(one.width, two.width)
    height = max(one.height, two.height) if beside else one.height + gap + two.height
    plain = one.colour if one.colour == two.colour and not gap else None
    return image(Picture(width, height, max(one.count, two.count), plain, one.source))


@rule("ImageCompositeMasked")
def _composite(call: NodeCall) -> NodeOutcome:
    one, two = call.picture("destination"), call.picture("source")
    return image(one if one.colour == two.colour else replace(one, colour=None))


@rule("PorterDuffImageComposite")
def _porter_duff(call: NodeCall) -> NodeOutcome:
    """All of the size of the source, as many as there are of each."""
    one, two = call.picture("source"), call.picture("destination")
    drawn = Picture(one.width, one.height, min(one.count, two.count), source=one.source)
    return NodeOutcome(values=(drawn, mask_of(drawn)))


@rule("SplitImageToTileList")
def _split_to_tiles(call: NodeCall) -> NodeOutcome:
    """Equal tiles that overlap, row by row; the last ones overlap more."""
    picture = call.picture("image")
    width = min(picture.width, call.amount("tile_width", 1024))
    height = min(picture.height, call.amount("tile_height", 1024))
    overlap = max(0, call.integer("overlap", 128))
    tiles = _steps(picture.width, width, overlap) * _steps(picture.height, height, overlap)
    tile = replace(picture, width=width, height=height)
    return NodeOutcome(values=(several(tile for _ in range(tiles)),))


def _steps(side: int, tile: int, overlap: int) -> int:
    return 1 if side <= tile else -(-(side - tile) // max(1, tile - overlap)) + 1


@rule("ImageMergeTileList", takes_lists=True)
def _merge_tiles(call: NodeCall) -> NodeOutcome:
    tiles = [tile for tile in call.items("image_list") if isinstance(tile, Picture)] or [Picture(*call.size)]
    sides = (next(iter(call.items(name))) for name in ("final_width", "final_height"))
    width, height = (side if isinstance(side, int) else 1024 for side in sides)
    allocate(height, width)
    return image(replace(tiles[0], width=width, height=height))


@rule("ImageGrid", takes_lists=True)
def _grid(call: NodeCall) -> NodeOutcome:
    """All pictures in cells of one size."""
    cells = sum(each.count for each in call.items("images") if isinstance(each, Picture)) or 1
    columns, padding = call.amount("columns", 4), max(0, call.integer("padding", 4))
    rows = -(-cells // columns)
    width = columns * (call.amount("cell_width", 256) + padding) - padding
    height = rows * (call.amount("cell_height", 256) + padding) - padding
    return image(Picture(width, height))
