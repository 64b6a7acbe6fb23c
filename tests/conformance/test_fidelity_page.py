"""docs/fidelity.md has the sections that the code names, and the right numbers of scenarios."""

import re
from dataclasses import fields
from pathlib import Path

from comfyfarm.conformance.families import FAMILIES
from comfyfarm.conformance.suite import chosen
from comfyfarm.versions import Behaviour

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "fidelity.md").read_text("utf-8")


def test_every_section_that_the_code_names_is_there() -> None:
    """Comments name them like this: docs/fidelity.md, "Queue"."""
    headings = set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
    code = "".join(file.read_text("utf-8") for file in (ROOT / "farm").rglob("*.py"))
    named = set(re.findall(r'fidelity\.md, "([^"]+)"', code))
    assert len(named) > 10
    assert named <= headings


def test_the_page_names_every_version_that_changed_something() -> None:
    """In its table, beside what changed."""
    section = PAGE.partition("## Versions")[2].partition("\n## ")[0]
    named = set(re.findall(r"0\.\d+\.\d+", " ".join(re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE))))
    changed = {change.metadata["since"] for change in fields(Behaviour)} - {"0"}
    assert changed <= named


def test_the_page_counts_the_scenarios() -> None:
    """In all, without output files, and by family."""
    sampling = len(chosen(family="sampling"))
    assert f"| a dynamic instance | {len(chosen()) - sampling} recorded" in PAGE
    assert f"| a static instance | {len(chosen(files=False)) - sampling} recorded" in PAGE
    for family in FAMILIES:
        assert f"| {family.name} | {len(family.scenarios)} |" in PAGE
