"""What becomes of a colour that fills a whole picture.

ComfyUI calculates in 32-bit floats from 0.0 to 1.0 and cuts the fraction off when it writes a file, so that some
colours come out one too low.  We do as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from struct import pack, unpack

from comfyfarm.sim.values import Appearance, Mask, Picture

Blend = Callable[[float, float], float]


def recoloured(picture: Picture, change: Callable[[float], float]) -> Picture:
    """The picture with every channel changed, where its colour is known."""
    return picture.showing(_changed(look, change) for look in picture.looks)


def blended(one: Picture, two: Picture, blend: Blend) -> Picture:
    """The first picture with the second blended in; where one is of a colour only, the other is what shows."""
    if one.colour is None:
        return one
    if two.colour is None:
        return Picture(one.width, one.height, one.count, source=two.source)
    pairs = zip(_channels(one.colour), _channels(two.colour), strict=True)
    return replace(one, colour=_colour(*(_single(blend(*pair)) for pair in pairs)))


def channel(picture: Picture, index: int) -> float | None:
    """A channel's value: 0 is red, 1 green, 2 blue."""
    return None if picture.colour is None or index > 2 else _channels(picture.colour)[index]


def grey(mask: Mask) -> int | None:
    """The colour of a mask as a picture."""
    return None if mask.value is None else _colour(*[mask.value] * 3)


def _changed(look: Appearance, change: Callable[[float], float]) -> Appearance:
    if look.colour is None:
        return look
    return replace(look, colour=_colour(*(_single(change(value)) for value in _channels(look.colour))))


def _channels(colour: int) -> tuple[float, ...]:
    return tuple(_single((colour >> shift & 0xFF) / 255) for shift in (16, 8, 0))


def _colour(*channels: float) -> int:
    red, green, blue = (_byte(value) for value in channels)
    return red << 16 | green << 8 | blue


def _byte(value: float) -> int:
    if not value > 0:       # NaN, too
        return 0
    return int(_single(min(1.0, value) * 255))


def _single(value: float) -> float:
    """Rounded to 32 bits."""
    return float(unpack("f", pack("f", max(-1e38, min(1e38, value))))[0])
