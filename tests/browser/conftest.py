"""A browser for the tests of a module, and visits of the control server's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from comfyfarm.testing import RunningFarm
from comfyfarm.testing.child import run_farm
from tests.support.control_pages import CHROMIUM, THREE, USED, Clock, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, comfy_farm: Callable[..., RunningFarm]) -> Iterator[Callable[..., Visit]]:
    """Opens the page of a new farm; afterwards nothing may have gone wrong there, and nothing come from elsewhere."""
    visits: list[Visit] = []

    def start(config: Any = THREE) -> Visit:
        visits.append(Visit.of(browser, comfy_farm(config)))
        return visits[-1]

    yield start
    for visit in visits:
        visit.page.context.close()
        assert visit.complaints == []
        assert visit.elsewhere == []


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Iterator[Callable[[Clock], Visit]]:
    """The page of a farm with this clock, as if both were new; one farm and one page for all tests of a module."""
    with ExitStack() as farms:

        @cache
        def first(clock: Clock) -> Visit:
            config = {**THREE, "farm": {"clock": clock, "journal_bodies": True}}
            return Visit.of(browser, farms.enter_context(run_farm(config)))

        def page(clock: Clock) -> Visit:
            seen = first(clock)
            seen.start_anew(clock)
            return seen

        yield page


@pytest.fixture
def seen(pages: Callable[[Clock], Visit], request: pytest.FixtureRequest) -> Iterator[Visit]:
    """The page of a farm with a real clock; the test has to use all controls that it says it uses."""
    yield from _held_to_its_word(pages("real"), request)


@pytest.fixture
def virtual(pages: Callable[[Clock], Visit], request: pytest.FixtureRequest) -> Iterator[Visit]:
    """The same with a virtual clock."""
    yield from _held_to_its_word(pages("virtual"), request)


def _held_to_its_word(visit: Visit, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield visit
    assert USED.get(request.node.originalname, frozenset()) - visit.used() == set()
    assert visit.complaints == []
    assert visit.elsewhere == []
