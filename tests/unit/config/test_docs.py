"""docs/config.md and docs/control-api.md: every setting has its row, and every setting that may change is listed."""

import re
from pathlib import Path

import msgspec
import pytest

from comfyfarm.config.live_changes import live_type
from comfyfarm.config.values import FarmSettings, InstanceConfig
from comfyfarm.sim.settings import Timing

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("heading", "kind"),
    [("`[farm]`", FarmSettings), ("`[[instance]]` and `[profile.NAME]`", InstanceConfig)],
)
def test_every_setting_has_its_row(heading: str, kind: type[msgspec.Struct]) -> None:
    """And no row is left of a setting that is gone; ``count`` and ``profile`` are read before there is an instance."""
    section = (DOCS / "config.md").read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = {key.partition(".")[0] for key in re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE)}
    assert rows - {"count", "profile"} == {field.name for field in msgspec.structs.fields(kind)}


def test_every_part_of_timing_is_described() -> None:
    page = (DOCS / "timing.md").read_text("utf-8")
    assert [field.name for field in msgspec.structs.fields(Timing) if not re.search(rf"`{field.name}\b", page)] == []


def test_every_setting_that_may_change_is_listed() -> None:
    page = (DOCS / "control-api.md").read_text("utf-8")
    paragraph = page.partition("(the answer's `live` lists them)")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", paragraph)) >= set(live_type().__struct_fields__)
