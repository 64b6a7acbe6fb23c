"""The thresholds of the verdict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import ValidationError, convert
from msgspec.structs import asdict

from comfyfarm.analysis.thresholds import Thresholds
from comfyfarm.units import Duration

PAGE = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text(encoding="utf-8")


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="retries"):
        convert({"retries": -1}, Thresholds)
    with pytest.raises(ValidationError, match="unknown field `retry`"):
        convert({"retry": 3}, Thresholds)


def test_the_page_names_every_bound_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    written = {name: int(Duration.parse(text)) if text.endswith("s") else int(text) for name, text in rows.items()}
    assert written == asdict(Thresholds())
