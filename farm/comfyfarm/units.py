"""Durations and sizes, written with their unit."""

import re
from collections.abc import Mapping
from typing import ClassVar, Self


class _Quantity(int):
    """A whole number of the first unit."""

    _pattern: ClassVar[re.Pattern[str]]
    _factors: ClassVar[Mapping[str, int]]
    _expected: ClassVar[str]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse a number and its unit.

        :raises ValueError: if it is no string of that form.
        """
        match = cls._pattern.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"expected {cls._expected}, got {text!r}")
        return cls(round(float(match[1]) * cls._factors[match[2]]))

    def __str__(self) -> str:
        return f"{int(self)}{next(iter(self._factors))}"


class Duration(_Quantity):
    """A duration in simulated time, in whole milliseconds; written ``"45ms"``, ``"1.5s"``, ``"2min"``, ``"1h"``."""

    _pattern = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|h)")
    _factors: ClassVar = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
    _expected = 'a duration such as "45ms", "1.5s", "2min" or "1h"'


class Size(_Quantity):
    """A number of bytes; written ``"100MB"``, ``"6.9GB"``; a kilobyte has 1024, as in ComfyUI."""

    _pattern = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB)")
    _factors: ClassVar = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
    _expected = 'a size such as "512MB" or "6.9GB"'
