"""No control of the page is without a test that uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from comfyfarm.faults.effects import EFFECTS
from tests.browser.test_page_forms import CONDITIONS, write
from tests.support.control_pages import NEEDS_BROWSER, USED, Clock, Visit

pytestmark = NEEDS_BROWSER

for module in ("forms", "hands", "panels"):
    import_module(f"tests.browser.test_page_{module}")      # their tests say what they use


def headers(seen: Visit) -> Iterator[set[str]]:
    """Freeze the clock and let it go on; there is a finding, and a last action."""
    seen.submit("gpu-3", steps=4000)
    seen.farm.control.crash("gpu-3")
    seen.press("freeze")
    seen.shows("header button:text-is('go on')")
    yield seen.controls()
    seen.press("go on")
    seen.shows("header button:text-is('freeze')")
    seen.shows("button.evidence")
    yield seen.controls()


def instances(seen: Visit) -> Iterator[set[str]]:
    """All of them, and one in each state that has buttons of its own."""
    seen.tab("Instances")
    yield seen.controls()
    seen.choose("gpu-2")
    for button, then in (("pause", "resume"), ("resume", "pause"), ("drain", "undrain"), ("stop", "start")):
        seen.press(button, within=".hands")
        seen.shows(f".hands button:text-is('{then}')")
        yield seen.controls()


def faults(seen: Visit) -> Iterator[set[str]]:
    """A fault and a gate, and the form with each effect and each phase."""
    seen.farm.control.arm(do="hang", at="step")
    seen.farm.control.hold(at="history")
    seen.tab("Faults")
    seen.shows("button:text-is('let go')")
    for name in EFFECTS.keys() - {"hold"}:
        write(seen, "do", name)
        yield seen.controls()
    for phase in EFFECTS["hold"].phases:
        seen.field("hold at").select_option(phase)
        yield seen.controls()
    write(seen, "do", "hang")
    for phase in CONDITIONS.keys() - {"frame"}:
        write(seen, "at", phase)
        yield seen.controls()


def panels(seen: Visit) -> Iterator[set[str]]:
    """The others, with what opens in them."""
    seen.tab("Log")
    yield seen.controls()
    seen.press("hold still")
    yield seen.controls()
    seen.page.locator("button.evidence").first.click()
    yield seen.controls()
    seen.tab("Requests")
    seen.page.locator("#panel button.path").first.click()
    yield seen.controls()
    for name in ("Pictures", "Test"):
        seen.tab(name)
        yield seen.controls()


def of_a_virtual_clock(seen: Visit) -> Iterator[set[str]]:
    """Its header, and the placement of some jobs that could have been placed better."""
    for number in range(6):
        seen.submit(seed=number, steps=40)
    seen.farm.run_until_idle()
    yield seen.controls()
    seen.press("auto")
    seen.shows("header button:text-is('auto off')")
    seen.tab("Numbers")
    seen.press("how well was the work placed?")
    seen.shows(".placement summary")
    yield seen.controls()


def test_every_control_of_the_page_is_used_by_a_test(pages: Callable[[Clock], Visit]) -> None:
    seen, virtual = pages("real"), pages("virtual")
    parts = headers(seen), instances(seen), faults(seen), panels(seen), of_a_virtual_clock(virtual)
    found = {control for part in parts for controls in part for control in controls}
    claimed = {control for controls in USED.values() for control in controls}
    assert found - claimed == set(), "a control without a test"
    assert claimed - found == set(), "a control that the page does not have, or that is not opened here"
