"""The page of a run, and ``comfyfarm report``, which writes it."""

from __future__ import annotations

import io
import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.analysis.report.measures import NONE
from comfyfarm.analysis.report.page import RunReport, page
from comfyfarm.cli.main import main
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_line
from tests.support.logs import Piece, armed, crashed, delivered, farm, fired, healed, log, ran, ready
from tests.support.timelines import HOSTILE, told

LOST: list[Piece] = [
    *(farm("gpu-1", "gpu-2"), armed("crash-1", on=["gpu-1"]), armed("idle-1", on=["gpu-2"], do="delay")),
    *(ran("red", on="gpu-1", at=0, until=500), ran("blue", on="gpu-2", at=0, until=800)),
    *(ran("green", on="gpu-1", at=100, begins=500, until=900)[:3], fired("crash-1", on="gpu-1", at=700, job="green")),
    *(crashed("gpu-1", at=700, lost=["green"]), ready("gpu-1", at=1000, epoch=2), healed(at=60_000)),
]
WELL: list[Piece] = [farm("gpu-1"), ran("red", on="gpu-1", at=0, until=500)]
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
    """The page of a log."""
    reader = Reader()
    reader.feed(page(RunReport.of(told(*pieces))))
    reader.close()
    assert reader.open == []
    return reader


# The page.


def test_the_page_says_verdict_findings_and_faults() -> None:
    """What happened, in the findings' own sentences, and which fault was never met."""
    reader = read(*LOST)
    assert "fail The log proves that something went wrong." in reader.text
    assert "3 logical jobs in 3 attempts · 2 succeeded · 2 instances · 1:00 min of simulated" in reader.text
    assert "seed 1" in reader.text
    (finding,) = [row for row in reader.rows if row[:2] == ["error", "lost"]]
    assert finding[2].startswith("green was taken on by gpu-1")
    assert ["crash-1", "crash", "", "gpu-1", "1", "700 ms", "armed"] in reader.rows
    assert ["idle-1", "delay", "", "gpu-2", "never", NONE, "armed"] in reader.rows


def test_a_finding_finds_its_job_in_the_picture() -> None:
    """A click lights all that bears the same number."""
    reader = read(*LOST)
    (number,) = [attrs["data-job"] for tag, attrs in reader.tags if tag == "span" and "data-job" in attrs]
    bars = [attrs for tag, attrs in reader.tags if tag == "rect" and attrs.get("data-job") == number]
    assert {str(attrs["class"]) for attrs in bars} == {"wait", "run"}


def test_a_run_without_anything_wrong_says_so() -> None:
    """No empty tables."""
    reader = read(*WELL)
    assert "pass Nothing was lost, done twice or mixed up." in reader.text
    assert "1 logical job in 1 attempt · 1 succeeded · 1 instance ·" in reader.text
    assert "FindingsNone." in reader.text
    assert "Faults" not in reader.text


def test_every_measure_of_the_placement_has_its_card() -> None:
    """In words, with a sign where it has no meaning."""
    reader = read(*LOST)
    for name in ("fairness", "utilisation", "idle while waiting", "depth error", "herding", "affinity", "regret"):
        assert f"{name}small sample" in reader.text.replace(" small", "small")
    policies = [row[0] for row in reader.rows if len(row) == 3 and row[1].endswith(" ms")]
    assert policies == ["round_robin", "shortest_queue", "least_work_left", "model_affine"]


def test_values_of_many_instances_are_folded_away() -> None:
    """Sixty lines would hide the rest; names of instances stay as they are."""
    names = [f"gpu_{n}_ms" for n in range(60)]
    many = read(farm(*names), [ran(f"j{name}", on=name, at=0, until=100) for name in names])
    few = read(farm(*names[:3]), [ran(f"j{name}", on=name, at=0, until=100) for name in names[:3]])
    assert "60 values: 1 to 1" in many.text
    assert "details" in {tag for tag, _ in many.tags}
    assert "details" not in {tag for tag, _ in few.tags}
    assert "gpu_1_ms1" in few.text


def test_a_thousand_findings_are_told_in_part() -> None:
    """And how many there are besides."""
    jobs = [f"j{n}" for n in range(500)]
    taken_on = [ran(job, on="a", at=0, until=900)[:2] for job in jobs]
    crash = crashed("a", at=500, lost=jobs)
    whole: list[Piece] = [farm("a"), taken_on, crash, ready("a", at=600, epoch=2), healed(at=100_000)]
    reader = read(*whole)
    assert len([row for row in reader.rows if row[:2] == ["error", "lost"]]) == 200
    assert f"and {len(told(*whole).verdict().findings) - 200} more" in reader.text


def test_nothing_comes_from_elsewhere() -> None:
    """The page opens on a plane."""
    reader = read(*LOST)
    asked = [attrs[key] for _, attrs in reader.tags for key in ("src", "href", "data", "action") if attrs.get(key)]
    assert asked == ["data:,"]
    assert "url(" not in page(RunReport.of(told(*LOST))).replace("url(#", "")
    assert "@import" not in page(RunReport.of(told(*LOST)))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_as_text(name: str) -> None:
    """It makes no element, no attribute and no page that cannot be written."""

    def run(name: str) -> list[Piece]:
        on, job = f"a{name}", f"j{name}"
        return [
            *(farm(on, "b"), armed(f"f{name}", on=[on, "b"], do=f"d{name}"), ran(job, on=on, at=0, until=500)),
            *(ran(job, on="b", at=600, until=900), delivered(job, at=950), delivered(job, at=960)),
            *(fired(f"f{name}", on=on, at=100, job=job), ran("lost", on=on, at=1000, until=2000)[:3]),
            *(crashed(on, at=1100, lost=["lost"]), healed(at=90_000)),
        ]

    assert page(RunReport.of(told(*run(name)))).encode()
    hostile, plain = read(*run(name)), read(*run(""))
    assert [tag for tag, _ in hostile.tags if tag != "line"] == [tag for tag, _ in plain.tags if tag != "line"]
    assert {key for _, attrs in hostile.tags for key in attrs} == {key for _, attrs in plain.tags for key in attrs}
    assert len(hostile.text) < 50_000


@pytest.mark.parametrize("pieces", [[], [farm("a")], [ran("j", on="a", at=0, until=0)], [healed(at=5)]])
def test_a_page_is_made_of_any_log(pieces: list[Piece]) -> None:
    """Of an empty one, of a farm without work, of a run of no length, of one without a beginning."""
    assert "Timeline" in read(*pieces).text


# The command.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def save(path: Path, *pieces: Piece) -> str:
    events: list[Event] = log(*pieces)
    path.write_bytes(b"".join(as_line(event) + b"\n" for event in events))
    return str(path)


def test_the_page_is_written_beside_the_log(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under its name; the command says where, and that it is done, whatever the verdict."""
    assert main(["report", save(path, *LOST)]) == 0
    assert capsys.readouterr().out == f"{path.with_suffix('.html')}\n"
    assert path.with_suffix(".html").read_text("utf-8") == page(RunReport.of(told(*LOST)))


def test_each_form_is_written_where_it_is_wanted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing that was not asked for."""
    out = path.parent
    asked = ["-o", str(out / "a.html"), "--trace", str(out / "a.json"), "--svg", str(out / "a.svg")]
    assert main(["report", save(path, *LOST), *asked]) == 0
    assert {each.name for each in out.iterdir()} == {"run.jsonl", "a.html", "a.json", "a.svg"}
    assert (out / "a.html").read_bytes().startswith(b"<!doctype html>")
    assert json.loads((out / "a.json").read_bytes())["traceEvents"]
    assert (out / "a.svg").read_bytes().startswith(b"<svg ")
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in ("a.html", "a.json", "a.svg")]
    assert main(["report", str(path), "--trace", str(out / "b.json")]) == 0
    assert not (out / "run.html").exists()


def test_the_text_is_printed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no file is written."""
    assert main(["report", save(path, *LOST), "--text"]) == 0
    assert "gpu-2 BB" in capsys.readouterr().out
    assert [each.name for each in path.parent.iterdir()] == ["run.jsonl"]


def test_a_terminal_without_the_letters_gets_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latin ones do not end the command."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["report", save(path, farm("日本"), ran("j", on="日本", at=0, until=9)), "--text"]) == 0
    assert b"?? A" in out.buffer.getvalue()


def test_a_log_may_come_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` reads it; the page goes into the present folder."""
    save(path, *LOST)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert main(["report", "-"]) == 0
    assert (path.parent / "run.html").exists()


def test_a_torn_log_is_shown_as_far_as_it_goes(path: Path) -> None:
    """And the page says that it is not whole."""
    save(path, *LOST)
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["report", str(path)]) == 0
    assert "log incomplete" in path.with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}\n", b"no json at all", b"\x00\xff" * 1000])
def test_what_is_no_log_is_refused(path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line; nothing is written."""
    path.write_bytes(content)
    assert main(["report", str(path)]) == 1
    assert capsys.readouterr().err == f"comfyfarm report: {path}: there is no event in it\n"
    assert [each.name for each in path.parent.iterdir()] == ["run.jsonl"]


def test_files_that_fail_are_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log that is not there, the folder that is none, the page that would be the log itself."""
    missing, away = path.parent / "missing.jsonl", path.parent / "nowhere" / "a.html"
    tries: list[tuple[list[str], Any]] = [
        (["report", str(missing)], f"{missing}: No such file or directory"),
        (["report", str(path.parent)], f"{path.parent}: Is a directory"),
        (["report", save(path, *LOST), "-o", str(away)], f"{away}: No such file or directory"),
        (["report", str(path), "-o", str(path)], f"{path}: that is the log itself; name another file with -o"),
    ]
    for asked, said in tries:
        assert main(asked) == 1
        assert capsys.readouterr().err == f"comfyfarm report: {said}\n"
    assert path.read_bytes().startswith(b'{"kind":"configured"')
