"""What several families do to sizes and batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.values import Appearance, Mask, Picture

Shape = TypeVar("Shape", Picture, Mask)

_OFTEN = 1000           # more often than a mixed batch can be repeated and still be told apart


def mask_of(picture: Picture, value: float | None = None) -> Mask:
    """A mask for each picture."""
    return Mask(picture.width, picture.height, picture.count, value)


def resized(shape: Shape, width: float, height: float) -> Shape:
    """In another size, to the nearest pixel."""
    return replace(shape, width=max(1, round(width)), height=max(1, round(height)))


def fitted(shape: Shape, width: int, height: int) -> Shape:
    """In another size; a side of 0 keeps the proportions, two of 0 keep the size."""
    if width == 0 and height == 0:
        return shape
    if width < 0 or height < 0:
        text = "Input and output sizes should be greater than 0, but got input"
        sizes = f"(H: {shape.height}, W: {shape.width}) output (H: {height}, W: {width})"
        raise NodeError("RuntimeError", f"{text} {sizes}")
    return resized(
        shape, width or shape.width * height / shape.height, height or shape.height * width / shape.width
    )


def window(side: int, start: int, length: int) -> int:
    """How much of a side is left when it is cut out from ``start`` on; what is outside is moved in."""
    return max(1, min(length, side - max(0, min(start, side - 1))))


def part(picture: Picture, start: int, length: int) -> Picture:
    """Some pictures of a batch, counted from its end where ``start`` is negative."""
    start = max(0, min(picture.count - 1, start + picture.count if start < 0 else start))
    end = min(picture.count, start + max(1, length))
    looks: list[Appearance] = []
    at = 0
    for look in picture.looks:
        inside = min(end, at + look.count) - max(start, at)
        if inside > 0:
            looks.append(replace(look, count=inside))
        at += look.count
    return picture.showing(looks)


def repeated(picture: Picture, times: int) -> Picture:
    """The batch, so many times over."""
    over = picture.showing(picture.mixed * min(times, _OFTEN)) if picture.mixed else picture
    return replace(over, count=picture.count * times)


def joined(call: NodeCall, pictures: Iterable[Any]) -> Picture:
    """One batch of several, all in the size of the first; what is no picture is left out."""
    known = [picture for picture in pictures if isinstance(picture, Picture)] or [Picture(*call.size)]
    return known[0].showing(look for picture in known for look in picture.looks)


def joined_masks(call: NodeCall, masks: Iterable[Any]) -> Mask:
    """One batch of several masks, all in the size of the first."""
    known = [mask for mask in masks if isinstance(mask, Mask)] or [Mask(*call.size)]
    alike = len({mask.value for mask in known}) == 1
    return replace(known[0], count=sum(mask.count for mask in known), value=known[0].value if alike else None)
