"""Does the page of a run work in a real browser, and run nothing that a name holds?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import pytest

from comfyfarm.analysis.report.page import page
from tests.support.logs import Piece, armed, crashed, farm, fired, healed, ran, ready
from tests.support.timelines import HOSTILE, analysis_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright here: pip install 'comfyfarm[dev]'"),
]

RETRIED: list[Piece] = [
    *(farm("gpu-1", "gpu-2", "gpu-3"), armed("crash-1", on=["gpu-1"])),
    *(ran("red", on="gpu-1", at=0, until=4000)[:4], fired("crash-1", on="gpu-1", at=2000, job="red")),
    *(crashed("gpu-1", at=2000, lost=["red"]), ready("gpu-1", at=5000, epoch=2)),
    ran("red", on="gpu-2", at=2500, until=6000),
    *(ran("blue", on="gpu-3", at=100, begins=500, until=3000), ran("lost", on="gpu-3", at=6000, until=9000)[:4]),
    *(crashed("gpu-3", at=7000, lost=["lost"]), ready("gpu-3", at=8000, epoch=2), healed(at=60_000)),
]
Scheme = Literal["light", "dark"]
LIT = "() => Array.from(document.querySelectorAll('rect.lit')).map(bar => bar.querySelector('title').textContent)"
FAINT = """() => Array.from(document.querySelectorAll('rect[data-job]'))
    .filter(bar => getComputedStyle(bar).opacity == 0.12).length"""
COLOURS = """() => [document.body, ...document.querySelectorAll('.timeline text:not(.faint, .name), h1, h2, dd')]
    .map((each, index) => getComputedStyle(each)[index ? each.closest('svg') ? 'fill' : 'color' : 'backgroundColor'])"""


@dataclass
class Sight:
    """A page that was opened.

    :ivar complaints: what the console says, and every error.
    :ivar asked: each address that the page wanted.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(path.as_uri())

    def lit(self) -> list[str]:
        """What the bars say that stand out."""
        found: list[str] = self.page.evaluate(LIT)
        return found


class Look(Protocol):
    """Shows the page of a log, and does something with it."""

    def __call__(self, pieces: list[Piece], work: Callable[[Sight], None], scheme: Scheme = "light") -> None: ...


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Open the page of a log, and do something with it; nothing may be complained of, and nothing asked for.

    In a thread, for playwright's loop does not share one with Twisted's reactor.
    """
    path = tmp_path / "run.html"

    def opened(work: Callable[[Sight], None], scheme: Scheme) -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            sight = Sight(browser.new_page(color_scheme=scheme))
            sight.open(path)
            work(sight)
            browser.close()
        assert sight.complaints == []
        assert sight.asked == [path.as_uri()]

    def look(pieces: list[Piece], work: Callable[[Sight], None], scheme: Scheme = "light") -> None:
        path.write_text(page(analysis_of(*pieces)), "utf-8")
        with ThreadPoolExecutor(1) as thread:
            thread.submit(opened, work, scheme).result()

    return look


def test_a_click_shows_a_job_wherever_it_was(look: Look) -> None:
    """All its attempts stand out, and the rest steps back; a click elsewhere ends that."""

    def work(here: Sight) -> None:
        here.page.locator("rect.run[data-job]").first.click()
        assert here.lit() == [
            "red on gpu-1: ran 2 s from 0 ms; lost with its process",
            "red, attempt 2 on gpu-2: ran 3.5 s from 2.5 s; done",
        ]
        assert here.page.evaluate(FAINT) == 3
        here.page.get_by_role("heading", name="Placement", exact=True).click()
        assert (here.lit(), here.page.evaluate(FAINT)) == ([], 0)
        here.page.get_by_text("lost was accepted by gpu-3").click()
        assert here.lit() == ["lost on gpu-3: ran 1 s from 6 s; lost with its process"]

    look(RETRIED, work)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_can_be_read_by_light_and_by_dark(look: Look, scheme: Scheme) -> None:
    """They are not of the colour that they stand on."""

    def work(here: Sight) -> None:
        colours = here.page.evaluate(COLOURS)
        paper, *inks = [sum(map(int, colour.strip("rgb()").split(","))) for colour in colours]
        assert len(inks) > 10
        assert all(ink < paper - 350 if scheme == "light" else ink > paper + 350 for ink in inks)

    look(RETRIED, work, scheme)


def test_a_page_runs_nothing_that_a_name_holds(look: Look) -> None:
    """Whatever a job, an instance or a fault is called: it is text."""

    def hostile(number: int, name: str) -> list[Piece]:
        on, job, at = f"gpu-{number}{name}", f"j{number}{name}", number * 100
        return [
            *(ran(job, on=on, at=at, until=at + 50), fired(f"f{number}{name}", on=on, at=at, do=name, job=job)),
            *(ran(job, on=on, at=at + 60, until=at + 90), armed(f"f{number}{name}", on=[on], do=name, at=at)),
        ]

    names = [f"gpu-{number}{name}" for number, name in enumerate(HOSTILE)]
    runs = [hostile(number, name) for number, name in enumerate(HOSTILE)]

    def work(here: Sight) -> None:
        assert here.page.title() == "comfyfarm: fail"
        assert here.page.evaluate("() => document.scripts.length") == 1
        assert here.page.evaluate("() => document.images.length") == 0
        here.page.locator("rect.run[data-job]").nth(0).click()
        assert len(here.lit()) == 2
        assert here.page.get_by_text(HOSTILE[0]).first.is_visible()

    look([farm(*names), *runs, healed(at=9000)], work)


@pytest.mark.parametrize("pieces", [[], [farm("a")], [farm("a"), ran("j", on="a", at=0, until=0)]])
def test_next_to_nothing_is_a_page(look: Look, pieces: list[Piece]) -> None:
    """An empty log, a farm without work, a run of no length: clicks do no harm."""
    look(pieces, lambda here: here.page.get_by_role("heading", name="Timeline").click())
