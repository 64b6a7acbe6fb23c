"""The table and the pictures of docs/performance.md."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import page
from benchmarks.rows import Result

RESULTS = [
    Result(name="get/queue/1", unit="us", ours=30, other=60, ratio=0.5, goal=0.6),
    Result(name="core/events", unit="events/s", ours=2e5, goal=3e5, bounds="ours", at_least=True),
    Result(name="start/100", unit="s more", ours=2, goal=0.5, bounds="ours"),
    Result(name="analysis/log", unit="B/job", ours=3000, other=12000, ratio=0.25, peer="whole lines"),
]


def test_the_table_stands_between_its_marks_and_the_rest_of_the_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written twice, it is there once."""
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "performance.md").write_text(f"# Before\n\n{page.BEGIN}\n\nold\n\n{page.END}\n\nAfter.\n")
    page.write(RESULTS)
    page.write(RESULTS)
    text = (tmp_path / "performance.md").read_text()
    assert text.startswith(f"# Before\n\n{page.BEGIN}\n\n")
    assert text.endswith(f"\n\n{page.END}\n\nAfter.\n")
    assert "old" not in text
    assert [line for line in text.splitlines() if line.startswith("| ")][1:] == [
        "| get/queue/1 | 30 us | 60 (aiohttp) | 0.50 | at most 0.6 x | met |",
        "| core/events | 200,000 events/s |  |  | at least 300,000 events/s | MISSED |",
        "| start/100 | 2 s more |  |  | at most 0.5 s more | WORSE |",
        "| analysis/log | 3,000 B/job | 12,000 (whole lines) | 0.25 |  |  |",
    ]


def test_a_bar_shows_how_far_a_goal_is() -> None:
    """A bar is longer than the line's place if the goal is missed."""
    picture = ET.fromstring(page.draw("goals", [("good", 0.5), ("bad", 3.0)]))  # noqa: S314 (our own)
    space = "{http://www.w3.org/2000/svg}"
    line, bars = picture.find(f"{space}line"), picture.findall(f"{space}rect")
    assert line is not None
    ends = [float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in bars]
    assert [bar.attrib["class"] for bar in bars] == ["good", "bad"]
    assert ends[0] < float(line.attrib["x1"]) < ends[1]
