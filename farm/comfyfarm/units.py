"""Durations and sizes, written with their unit."""

import re
from collections.abc import Mapping
from typing import ClassVar, Self


def shortened(text: str) -> str:
    """Return a text for an error message, of 100 characters at most."""
    return text if len(text) <= 100 else f"{text[:97]}..."


class _Quantity(int):
    """A whole number of the first unit."""

    _pattern: ClassVar[re.Pattern[str]]
    _factors: ClassVar[Mapping[str, int]]
    _expected: ClassVar[str]
    _most: ClassVar[str]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse a number and its unit.

        :raises ValueError: if it is no string of that form, or too much.
        """
        match = cls._pattern.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"expected {cls._expected}, got {shortened(repr(text))}")
        value = float(match[1]) * cls._factors[match[2]]
        if text != cls._most and value > cls.parse(cls._most):
            raise ValueError(f"expected at most {cls._most}, got {shortened(repr(text))}")
        return cls(round(value))

    def __str__(self) -> str:
        return f"{int(self)}{next(iter(self._factors))}"


class Duration(_Quantity):
    """A duration in simulated time, in whole milliseconds; written ``"45ms"``, ``"1.5s"``, ``"2min"``, ``"1h"``."""

    _pattern = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|h)")
    _factors: ClassVar = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
    _expected = 'a duration such as "45ms", "1.5s", "2min" or "1h"'
    _most = "8766000h"      # a thousand years


class Size(_Quantity):
    """A number of bytes; written ``"100MB"``, ``"6.9GB"``; a kilobyte has 1024, as in ComfyUI."""

    _pattern = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB)")
    _factors: ClassVar = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
    _expected = 'a size such as "512MB" or "6.9GB"'
    _most = "1048576TB"
