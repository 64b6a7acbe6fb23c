"""Operations on the sizes and batches of pictures and masks, shared by several families."""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.values import Appearance, Mask, Picture

Shape = TypeVar("Shape", Picture, Mask)

_MAX_REPEATS = 1000     # a mixed batch repeated more often than this has too many looks to be remembered


def mask_of(picture: Picture, value: float | None = None) -> Mask:
    return Mask(picture.width, picture.height, picture.count, value)


def resized(shape: Shape, width: float, height: float) -> Shape:
    """Return a picture or mask in another size, rounded to pixels."""
    return replace(shape, width=max(1, round(width)), height=max(1, round(height)))


def fitted(shape: Shape, width: int, height: int) -> Shape:
    """Return a picture or mask in another size; one side of 0 keeps the proportions, two keep the size.

    :raises NodeError: if a side is negative.
    """
    if width == 0 and height == 0:
        return shape
    if width < 0 or height < 0:
        text = "Input and output sizes should be greater than 0, but got input"
        sizes = f"(H: {shape.height}, W: {shape.width}) output (H: {height}, W: {width})"
        raise NodeError("RuntimeError", f"{text} {sizes}")
    return resized(shape, width or shape.width * height / shape.height, height or shape.height * width / shape.width)


def window(side: int, start: int, length: int) -> int:
    """Return the length of a cut from a side, at least 1; a ``start`` outside is moved to the nearest pixel inside."""
    return max(1, min(length, side - max(0, min(start, side - 1))))


def sliced(side: int, start: int, length: int) -> int:
    """Return the length of Python's ``[start:start + length]`` of a side, which may be 0."""
    return len(range(*slice(start, start + length).indices(side)))


def part(picture: Picture, start: int, length: int) -> Picture:
    """Return part of a batch, at least one picture; a negative ``start`` counts from the end."""
    start = max(0, min(picture.count - 1, start + picture.count if start < 0 else start))
    end = min(picture.count, start + max(1, length))
    looks: list[Appearance] = []
    offset = 0
    for look in picture.looks:
        inside = min(end, offset + look.count) - max(start, offset)
        if inside > 0:
            looks.append(replace(look, count=inside))
        offset += look.count
    return picture.showing(looks)


def repeated(picture: Picture, times: int) -> Picture:
    batch = picture.showing(picture.mixed * min(times, _MAX_REPEATS)) if picture.mixed else picture
    return replace(batch, count=picture.count * times)


def joined(call: NodeCall, values: Iterable[Any]) -> Picture:
    """Return one batch of all pictures, in the size of the first; other values are ignored."""
    pictures = [value for value in values if isinstance(value, Picture)] or [Picture(*call.size)]
    return pictures[0].showing(look for picture in pictures for look in picture.looks)


def joined_masks(call: NodeCall, values: Iterable[Any]) -> Mask:
    """Return one batch of all masks, in the size of the first; other values are ignored."""
    masks = [value for value in values if isinstance(value, Mask)] or [Mask(*call.size)]
    is_uniform = len({mask.value for mask in masks}) == 1
    count = sum(mask.count for mask in masks)
    return replace(masks[0], count=count, value=masks[0].value if is_uniform else None)
