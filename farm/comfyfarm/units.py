"""Quantities that people write with their unit."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|h)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB)")
_BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}


class Duration(int):
    """A span of simulated time, in whole milliseconds; written ``"45ms"``, ``"1.5s"``, ``"2min"``, ``"1h"``."""

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read a duration.

        :raises ValueError: where it is no string of a number and a unit.
        """
        match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'expected a duration such as "45ms", "1.5s", "2min" or "1h", got {text!r}')
        return cls(round(float(match[1]) * _MS[match[2]]))

    def __str__(self) -> str:
        """As it is written in a configuration."""
        return f"{int(self)}ms"


class Size(int):
    """A number of bytes; written ``"100MB"``, ``"6.9GB"``; as ComfyUI counts, a kilobyte has 1024."""

    @classmethod
    def parse(cls, text: object) -> Size:
        """Read a size.

        :raises ValueError: where it is no string of a number and a unit.
        """
        match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'expected a size such as "512MB" or "6.9GB", got {text!r}')
        return cls(round(float(match[1]) * _BYTES[match[2]]))

    def __str__(self) -> str:
        """As it is written in a configuration."""
        return f"{int(self)}B"
