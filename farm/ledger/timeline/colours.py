"""What colour a job has."""

from __future__ import annotations

from math import cos, radians, sin

__all__ = ["colour"]

_GOLDEN = 0.6180339887      # of jobs that follow each other none looks like another
_FIRST, _REACH = 115, 235       # green to pink; red is left to what goes wrong, and what is brown looks like dirt
_LIGHT = 0.60, 0.48, 0.54       # the hues of one are as bright as each other, and dark enough for white letters
_CHROMA = 0.13


def colour(index: int) -> str:
    """The colour of the n-th logical job, as ``#rrggbb``.

    Hues of OKLCH, for those of ``hsl`` are not as bright as each other to the eye.
    """
    hue = _FIRST + index * _GOLDEN % 1 * _REACH
    return _srgb(_LIGHT[index % len(_LIGHT)], _CHROMA * cos(radians(hue)), _CHROMA * sin(radians(hue)))


def _srgb(light: float, a: float, b: float) -> str:
    """OKLab, as Björn Ottosson defines it, in the colours of a screen."""
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(1.0, max(0.0, each)))):02x}" for each in linear)


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
