"""The colours of jobs."""

from __future__ import annotations

from comfyfarm.analysis.timeline.svg_symbols import colour


def test_no_two_jobs_in_a_row_look_alike() -> None:
    """Nor any two of twelve; white letters are readable on each (WCAG: 3 to 1 for letters this bold)."""
    colours = [colour(index) for index in range(100)]
    assert all(len(set(colours[index : index + 12])) == 12 for index in range(88))
    assert min(map(contrast_with_white, colours)) > 3.0


def contrast_with_white(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
