"""What is the picture drawn with?  Filled curves, lines and light, in pixels of the finished picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFilter, ImageOps

__all__ = ["HEIGHT", "INK", "WIDTH", "Canvas", "at", "box", "mirrored", "oval", "smooth", "spun"]

WIDTH, HEIGHT = 512, 768
SCALE = 4  # everything is drawn so many times as large and made small at the end, which gives smooth edges
INK = "#5a3410"
Points = Sequence[tuple[float, float]]


class Canvas:
    """A large picture to draw curves on."""

    def __init__(self) -> None:
        self.size = WIDTH * SCALE, HEIGHT * SCALE
        self.image = Image.new("RGB", self.size)

    def finished(self) -> Image.Image:
        """The picture in its true size."""
        return self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)

    def fill(
        self, points: Points, paint: str | Image.Image, *, edge: float = 0, blur: float = 0, alpha: int = 255
    ) -> None:
        """Fill an area with a colour or a gradient; ``edge`` is the width of its outline."""
        large = [(x * SCALE, y * SCALE) for x, y in points]
        room = math.ceil(blur * SCALE * 3)
        left, top = (max(0, math.floor(min(axis)) - room) for axis in zip(*large, strict=True))
        right, bottom = (math.ceil(max(axis)) + room for axis in zip(*large, strict=True))
        area = left, top, min(right, self.size[0]), min(bottom, self.size[1])
        mask = Image.new("L", (area[2] - left, area[3] - top))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in large], fill=alpha)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * SCALE))
        self.image.paste(paint if isinstance(paint, str) else paint.crop(area), area, mask)
        if edge:
            self.line([*points, points[0], points[1]], INK, edge)

    def line(self, points: Points, colour: str, width: float) -> None:
        """A line with round joints and ends, ``width`` thick."""
        pen, radius = ImageDraw.Draw(self.image), width * SCALE / 2 - 0.5
        large = [(x * SCALE, y * SCALE) for x, y in points]
        pen.line(large, fill=colour, width=round(width * SCALE))
        for x, y in large:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def glow(self, x: float, y: float, radius: float, colour: str, strength: float = 1) -> None:
        """Light that fades from its middle."""
        side = round(2 * radius * SCALE)
        mask = ImageOps.invert(Image.radial_gradient("L")).resize((side, side))
        # Pillow's radial gradient reaches its end in the corners; ours shall in the middle of the sides.
        mask = mask.point([round(255 * (max(0, value - 75) / 180) ** 1.5 * strength) for value in range(256)])
        self.image.paste(colour, (round((x - radius) * SCALE), round((y - radius) * SCALE)), mask)

    def gradient(self, top: float, bottom: float, first: str, last: str) -> Image.Image:
        """A paint that goes from ``first`` to ``last`` on its way down."""
        ramp = Image.linear_gradient("L").resize((self.size[0], round((bottom - top) * SCALE)))
        grey = Image.new("L", self.size)
        grey.paste(255, (0, round(bottom * SCALE), *self.size))
        grey.paste(ramp, (0, round(top * SCALE)))
        return ImageOps.colorize(grey, first, last)


def at(text: str) -> list[tuple[float, float]]:
    """Points from a short text: ``"10,20 30,40"``."""
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def smooth(points: Points, *, closed: bool = True, steps: int = 16) -> list[tuple[float, float]]:
    """A curve through all points (Catmull-Rom)."""
    ring = [points[-1], *points, points[0], points[1]] if closed else [points[0], *points, points[-1]]
    curve = []
    for a, b, c, d in zip(ring, ring[1:], ring[2:], ring[3:], strict=False):
        curve += [
            tuple(_between(*axis, step / steps) for axis in zip(a, b, c, d, strict=True)) for step in range(steps)
        ]
    return [(x, y) for x, y in curve] + ([] if closed else [points[-1]])


def _between(a: float, b: float, c: float, d: float, t: float) -> float:
    return b + t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * (b - c) + d - a))) / 2


def oval(x: float, y: float, across: float, down: float, tilt: float = 0) -> list[tuple[float, float]]:
    """An ellipse around a point; ``tilt`` in degrees."""
    turn, around = math.radians(tilt), [math.tau * step / 72 for step in range(72)]
    dots = [(across * math.cos(angle), down * math.sin(angle)) for angle in around]
    return [(x + u * math.cos(turn) - v * math.sin(turn), y + u * math.sin(turn) + v * math.cos(turn)) for u, v in dots]


def box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    """An upright rectangle by its top left corner."""
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def mirrored(points: Iterable[tuple[float, float]], axis: float) -> list[tuple[float, float]]:
    """The same on the other side of an upright axis."""
    return [(2 * axis - x, y) for x, y in points]


def spun(x: float, y: float, radius: float, degrees: float) -> tuple[float, float]:
    """A point at some distance from another, in a direction."""
    return x + radius * math.cos(math.radians(degrees)), y + radius * math.sin(math.radians(degrees))
