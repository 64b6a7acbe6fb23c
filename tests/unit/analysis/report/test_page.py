"""The report page of a run."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from comfyfarm.analysis.report.measures import NONE
from comfyfarm.analysis.report.page import page
from tests.support.logs import Piece, armed, crashed, delivered, farm, fired, healed, ran, ready
from tests.support.timelines import HOSTILE, LOST, analysis_of

WELL: list[Piece] = [farm("gpu-1", delivery="none"), ran("red", on="gpu-1", at=0, until=500)]
VOID = {"meta", "link", "br", "img", "input"}


class Reader(HTMLParser):
    """Reads a page as a browser does: what is in it, and whether everything that opens is closed.

    :ivar tags: every element, with its attributes.
    :ivar rows: the cells of each row of a table.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"style", "script"}:
            return
        self.text += data
        if "td" in self.open:
            self.rows[-1][-1] += data


def read(*pieces: Piece) -> Reader:
    reader = Reader()
    reader.feed(page(analysis_of(*pieces)))
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_says_verdict_findings_and_faults() -> None:
    """It has the findings' sentences, and the faults that never fired."""
    reader = read(*LOST)
    assert "fail The log proves that something went wrong." in reader.text
    assert "3 orders by what was sent: 2 delivered; 3 attempts, 2 jobs succeeded" in reader.text
    assert " · 2 instances · 1:00 min of simulated" in reader.text
    assert "seed 1" in reader.text
    (finding,) = [row for row in reader.rows if row[:2] == ["error", "lost"]]
    assert finding[2].startswith("green was accepted by gpu-1")
    assert ["crash-1", "crash", "", "gpu-1", "1", "700 ms", "armed"] in reader.rows
    assert ["idle-1", "delay", "", "gpu-2", "never", NONE, "armed"] in reader.rows


def test_a_finding_finds_its_job_in_the_picture() -> None:
    """A click highlights all elements with the same index."""
    reader = read(*LOST)
    (number,) = [attrs["data-job"] for tag, attrs in reader.tags if tag == "span" and "data-job" in attrs]
    bars = [attrs for tag, attrs in reader.tags if tag == "rect" and attrs.get("data-job") == number]
    assert {str(attrs["class"]) for attrs in bars} == {"wait", "run"}


def test_a_run_without_anything_wrong_says_so() -> None:
    reader = read(*WELL)
    assert "pass Nothing was lost, done twice or mixed up." in reader.text
    assert "1 order by what was sent: 1 delivered; 1 attempt, 1 job succeeded · 1 instance ·" in reader.text
    assert "FindingsNone." in reader.text
    assert "Faults" not in reader.text


def test_every_measure_of_the_placement_has_its_card() -> None:
    """In words; a dash if it has no value."""
    reader = read(*LOST)
    for name in ("fairness", "utilisation", "idle while waiting", "depth error", "herding", "affinity", "regret"):
        assert f"{name}small sample" in reader.text.replace(" small", "small")
    policies = [row[0] for row in reader.rows if len(row) == 4 and row[1].endswith(" ms")]
    assert "No order was reported (POST /api/orders): a queue in the system under test is invisible" in reader.text
    assert policies == ["round_robin", "shortest_queue", "least_work_left", "finish_soonest", "model_affine"]


def test_values_of_many_instances_are_folded_away() -> None:
    """Sixty lines would hide the rest; names of instances are not changed."""
    names = [f"gpu_{n}_ms" for n in range(60)]
    many = read(farm(*names), [ran(f"j{name}", on=name, at=0, until=100) for name in names])
    few = read(farm(*names[:3]), [ran(f"j{name}", on=name, at=0, until=100) for name in names[:3]])
    assert "60 values: 1 to 1" in many.text
    assert "details" in {tag for tag, _ in many.tags}
    assert "details" not in {tag for tag, _ in few.tags}
    assert "gpu_1_ms1" in few.text


def test_a_thousand_findings_are_told_in_part() -> None:
    jobs = [f"j{n}" for n in range(500)]
    taken_on = [ran(job, on="a", at=0, until=900)[:2] for job in jobs]
    crash = crashed("a", at=500, lost=jobs)
    whole: list[Piece] = [farm("a"), taken_on, crash, ready("a", at=600, epoch=2), healed(at=100_000)]
    reader = read(*whole)
    assert len([row for row in reader.rows if row[:2] == ["error", "lost"]]) == 200
    assert f"and {len(analysis_of(*whole).verdict().findings) - 200} more" in reader.text


def test_nothing_comes_from_elsewhere() -> None:
    reader = read(*LOST)
    asked = [attrs[key] for _, attrs in reader.tags for key in ("src", "href", "data", "action") if attrs.get(key)]
    assert asked == ["data:,"]
    assert "url(" not in page(analysis_of(*LOST)).replace("url(#", "")
    assert "@import" not in page(analysis_of(*LOST))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_as_text(name: str) -> None:
    """It adds no element and no attribute, and the page can be encoded."""

    def run(name: str) -> list[Piece]:
        on, job = f"a{name}", f"j{name}"
        return [
            *(farm(on, "b"), armed(f"f{name}", on=[on, "b"], do=f"d{name}"), ran(job, on=on, at=0, until=500)),
            *(ran(job, on="b", at=600, until=900), delivered(job, at=950), delivered(job, at=960)),
            *(fired(f"f{name}", on=on, at=100, job=job), ran("lost", on=on, at=1000, until=2000)[:3]),
            *(crashed(on, at=1100, lost=["lost"]), healed(at=90_000)),
        ]

    assert page(analysis_of(*run(name))).encode()
    hostile, plain = read(*run(name)), read(*run(""))
    assert [tag for tag, _ in hostile.tags if tag != "line"] == [tag for tag, _ in plain.tags if tag != "line"]
    assert {key for _, attrs in hostile.tags for key in attrs} == {key for _, attrs in plain.tags for key in attrs}
    assert len(hostile.text) < 50_000


@pytest.mark.parametrize("pieces", [[], [farm("a")], [ran("j", on="a", at=0, until=0)], [healed(at=5)]])
def test_a_page_is_made_of_any_log(pieces: list[Piece]) -> None:
    """An empty log, a farm without work, an empty run, a log without beginning."""
    assert "Timeline" in read(*pieces).text
