"""Durations that are fixed or random."""

import math
from random import Random
from typing import Self

from comfyfarm.units import Duration

_FARTHEST = 3.0     # standard deviations, so that no test meets an extreme duration


class Distribution:
    """A duration, or a distribution of durations.

    Written ``"45ms"``, ``{ normal = "45ms", sd = "5ms" }``, ``{ lognormal = "45ms", sigma = 0.3 }`` (the median, and
    the standard deviation of the logarithm) or ``{ uniform = ["20ms", "80ms"] }``.  No draw is negative, and none is
    farther out than three standard deviations.

    :ivar kind: ``fixed``, ``normal``, ``lognormal`` or ``uniform``.
    :ivar first: the duration, mean, median or lower bound, in milliseconds.
    :ivar second: the standard deviation in milliseconds, sigma, or the upper bound in milliseconds; 0 for ``fixed``.
    """

    # No dataclass: msgspec would decode that as a table by itself, without parse().
    def __init__(self, kind: str, first: float, second: float = 0.0) -> None:
        self.kind = kind
        self.first = first
        self.second = second

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distribution) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.kind, self.first, self.second))

    @classmethod
    def fixed(cls, duration_ms: float) -> Self:
        return cls("fixed", duration_ms)

    @classmethod
    def parse(cls, value: object) -> Self:
        """Parse the value of a configuration.

        :raises ValueError: if it has none of the four forms.
        """
        if not isinstance(value, dict):
            return cls("fixed", Duration.parse(value))
        if value.keys() == {"normal", "sd"}:
            return cls("normal", Duration.parse(value["normal"]), Duration.parse(value["sd"]))
        if value.keys() == {"lognormal", "sigma"}:
            sigma = value["sigma"]
            if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 <= sigma <= 3:
                raise ValueError(f"expected a sigma from 0 to 3, got {sigma!r}")
            return cls("lognormal", Duration.parse(value["lognormal"]), float(sigma))
        if value.keys() == {"uniform"}:
            return cls("uniform", *_bounds(value["uniform"]))
        raise ValueError(
            'expected a duration such as "45ms", or { normal = "45ms", sd = "5ms" }, '
            f'{{ lognormal = "45ms", sigma = 0.3 }}, {{ uniform = ["20ms", "80ms"] }}; got {value!r}'
        )

    def draw_ms(self, chance: Random) -> float:
        """Draw a duration in milliseconds; a fixed one draws nothing from ``chance``."""
        if self.kind == "fixed":
            return self.first
        if self.kind == "uniform":
            return chance.uniform(self.first, self.second)
        deviation = max(-_FARTHEST, min(_FARTHEST, chance.gauss(0.0, 1.0)))
        if self.kind == "normal":
            return max(0.0, self.first + deviation * self.second)
        return self.first * math.exp(deviation * self.second)

    @property
    def mean_ms(self) -> float:
        """The mean of its draws, in milliseconds."""
        if self.kind == "fixed" or not self.second:
            return self.first
        if self.kind == "uniform":
            return (self.first + self.second) / 2
        if self.kind == "normal":
            return self.first + self.second * _mean_above(-self.first / self.second)
        return self.first * _mean_of_exp(self.second)

    def __str__(self) -> str:
        one = f'"{self.first:g}ms"'
        if self.kind == "fixed":
            return f"{self.first:g}ms"
        if self.kind == "uniform":
            return f'{{ uniform = [{one}, "{self.second:g}ms"] }}'
        if self.kind == "normal":
            return f'{{ normal = {one}, sd = "{self.second:g}ms" }}'
        return f"{{ lognormal = {one}, sigma = {self.second:g} }}"


# In the following a standard normal deviation is clamped to the range from -_FARTHEST to _FARTHEST.


def _mean_above(lowest: float) -> float:
    """Return its mean if it is clamped at ``lowest``, too."""
    low = max(-_FARTHEST, min(_FARTHEST, lowest))
    inside = _density(low) - _density(_FARTHEST)
    return low * _share_below(low) + inside + _FARTHEST * _share_below(-_FARTHEST)


def _mean_of_exp(sigma: float) -> float:
    """Return the mean of ``exp(sigma * deviation)``."""
    within = _share_below(_FARTHEST - sigma) - _share_below(-_FARTHEST - sigma)
    clamped = _share_below(-_FARTHEST) * (math.exp(_FARTHEST * sigma) + math.exp(-_FARTHEST * sigma))
    return math.exp(sigma * sigma / 2) * within + clamped


def _density(deviation: float) -> float:
    return math.exp(-deviation * deviation / 2) / math.sqrt(2 * math.pi)


def _share_below(deviation: float) -> float:
    return math.erfc(-deviation / math.sqrt(2)) / 2


def _bounds(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f'expected two bounds such as ["20ms", "80ms"], got {value!r}')
    low, high = (Duration.parse(bound) for bound in value)
    if low > high:
        raise ValueError(f"expected the lower bound first, got {value!r}")
    return low, high
