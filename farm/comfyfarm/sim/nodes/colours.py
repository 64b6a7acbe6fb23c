"""Arithmetic on the colour of pictures that have only one.

As in ComfyUI, channels are 32-bit floats from 0.0 to 1.0 and are truncated to bytes, so that some results are one too
low.
"""

from collections.abc import Callable
from struct import pack, unpack

from msgspec.structs import replace

from comfyfarm.sim.values import Appearance, Mask, Picture

Blend = Callable[[float, float], float]


def recoloured(picture: Picture, change: Callable[[float], float]) -> Picture:
    """Return a picture with every channel changed; unknown colours stay unknown."""
    return picture.showing(_changed(look, change) for look in picture.looks)


def blended(one: Picture, two: Picture, blend: Blend) -> Picture:
    """Return the first picture with the second blended in.

    If one of the colours is unknown, the result shows the picture with the unknown colour.
    """
    if one.colour is None:
        return one
    if two.colour is None:
        return Picture(one.width, one.height, one.count, source=two.source)
    pairs = zip(_channels(one.colour), _channels(two.colour), strict=True)
    return replace(one, colour=_colour(*(_float32(blend(*pair)) for pair in pairs)))


def channel(picture: Picture, index: int) -> float | None:
    """Return the value of channel 0 (red), 1 (green) or 2 (blue); ``None`` if unknown."""
    return None if picture.colour is None or index > 2 else _channels(picture.colour)[index]


def grey(mask: Mask) -> int | None:
    """Return the colour of a mask shown as a picture; ``None`` if unknown."""
    return None if mask.value is None else _colour(*[mask.value] * 3)


def _changed(look: Appearance, change: Callable[[float], float]) -> Appearance:
    if look.colour is None:
        return look
    return replace(look, colour=_colour(*(_float32(change(value)) for value in _channels(look.colour))))


def _channels(colour: int) -> tuple[float, ...]:
    return tuple(_float32((colour >> shift & 0xFF) / 255) for shift in (16, 8, 0))


def _colour(*channels: float) -> int:
    red, green, blue = (_byte(value) for value in channels)
    return red << 16 | green << 8 | blue


def _byte(value: float) -> int:
    if not value > 0:       # also NaN
        return 0
    return int(_float32(min(1.0, value) * 255))


def _float32(value: float) -> float:
    return float(unpack("f", pack("f", max(-1e38, min(1e38, value))))[0])
