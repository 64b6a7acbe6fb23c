"""The page of a control server in a real browser, and which of its controls a test has used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

from comfyfarm.clients.comfy_sync import ask
from comfyfarm.testing import RunningFarm
from comfyfarm.workflows import text_to_image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

F = TypeVar("F", bound=Callable[..., object])
Clock = Literal["real", "virtual"]

CHROMIUM = shutil.which("chromium")
NEEDS_BROWSER = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright here: pip install 'comfyfarm[dev]'"),
]
THREE = {"instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic", "timing": {"step": "20ms"}}]}
VIRTUAL = {**THREE, "farm": {"clock": "virtual"}}
LONG_MS = 15_000    # for anything that the page does; mostly it takes a hundredth of that

USED: dict[str, frozenset[str]] = {}
"""The controls that tests say they use, by the name of the test."""

# A control's name: its kind and label, and before it the tab or the form in which it is.
_RECORDER = """
const KINDS = { A: "link", BUTTON: "button", CANVAS: "canvas", INPUT: "field", SELECT: "choice", SUMMARY: "fold" };
const CONTROLS = "a[href], button, input, select, summary, textarea, [contenteditable], .lanes canvas";
const MANY = { ".lane": "lane", ".path": "request", ".evidence": "evidence", "th button": "instance" };
function named(control) {
  const label = control.getAttribute("aria-label") || control.textContent.trim();
  const many = Object.keys(MANY).find((selector) => control.matches(selector));
  const kind = control.role === "tab" ? "tab" : KINDS[control.tagName] || control.tagName;
  const form = control.closest("form.fault"), panel = control.closest("#panel");
  const place = form ? `${form.querySelector("button").textContent.trim()}: `
    : panel ? `${document.querySelector("[role=tab][aria-selected=true]").textContent}: ` : "";
  return `${place}${kind} ${many ? MANY[many] : label}`.trim();
}
window.used = new Set();
window.controls = () => [...document.querySelectorAll(CONTROLS)].map(named);
for (const kind of ["click", "input", "change", "mousemove"]) {
  document.addEventListener(kind, ({ target }) => {
    const control = target.closest && target.closest(CONTROLS);
    if (control && (kind !== "mousemove" || control.tagName === "CANVAS")) window.used.add(named(control));
  }, true);
}
"""


def uses(*controls: str) -> Callable[[F], F]:
    """Say which controls a test uses; the fixture ``seen`` holds it to that."""

    def note(test: F) -> F:
        USED[test.__name__] = frozenset(controls)
        return test

    return note


@dataclass
class Visit:
    """A browser at the control server of a farm.

    :ivar complaints: what the console says, and every error.
    :ivar elsewhere: the URLs of other servers that the page has asked.
    """

    page: Page
    farm: RunningFarm
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Browser, farm: RunningFarm) -> Visit:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        visit = cls(context.new_page(), farm)
        visit.page.set_default_timeout(LONG_MS)
        visit.page.add_init_script(_RECORDER)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("request", lambda request: visit._note(request.url))
        visit.page.on("websocket", lambda socket: visit._note(socket.url.replace("ws", "http", 1)))
        visit.open()
        return visit

    def open(self) -> None:
        self.page.goto(self.farm.control_url)
        self.page.wait_for_selector("#stream.live")

    def start_anew(self, clock: Clock) -> None:
        """Open the page again, of a farm on which nothing is left of what was done to it."""
        control = self.farm.control
        if clock == "virtual":
            control.auto(False)
        else:
            control.freeze(False)
            control.speed(1)
        control.remove_faults()
        self.farm.heal()
        for name in control.state().instances:
            control.drain(name, on=False)
        self.farm.reset()
        self.complaints.clear()
        self.page.unroute_all()
        self.open()

    def submit(self, name: str = "gpu-1", job: str = "", client: str = "", **facts: Any) -> None:
        """Submit a job to an instance, as a client that reports its name."""
        body: dict[str, Any] = {"prompt": text_to_image(**facts)}
        if job:
            body["extra_data"] = {"comfyfarm_job": job}
        if client:
            body["client_id"] = client
        ask("POST", f"{self.farm[name].url}/prompt", body)

    def _note(self, url: str) -> None:
        if not url.startswith(self.farm.control_url):
            self.elsewhere.append(url)

    def forgive(self, text: str) -> None:
        """Take the browser's own lines about refused requests for no complaints."""
        self.complaints = [complaint for complaint in self.complaints if text not in complaint]

    def press(self, label: str, within: str = "body") -> None:
        self.page.locator(within).get_by_role("button", name=label, exact=True).first.click()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def choose(self, instance: str) -> None:
        self.page.locator(f"button.lane[aria-label='{instance}']").click()

    def field(self, label: str, within: str = "body") -> Any:
        return self.page.locator(within).get_by_label(label, exact=True).first

    def did(self, text: str) -> None:
        """Wait until the last action is done, and its lines of shell and Python have this text."""
        self.page.wait_for_function(
            "text => { const shown = document.querySelector('#last')?.innerText || '…';"
            " return shown.includes(text) && !shown.includes('…') }",
            arg=text,
        )
        assert ": done" in self.page.locator("#last").inner_text()

    def until(self, expression: str, arg: Any = None) -> None:
        self.page.wait_for_function(expression, arg=arg)

    def shows(self, selector: str) -> None:
        self.page.wait_for_selector(selector)

    def copied(self, button: str) -> str:
        """Press a button that copies; return what was copied."""
        self.press(button)
        return str(self.page.evaluate("() => navigator.clipboard.readText()"))

    def controls(self) -> set[str]:
        """The names of all controls that the page has now."""
        return set(self.page.evaluate("() => window.controls()"))

    def used(self) -> set[str]:
        """The names of the controls that were used since the page was opened."""
        return set(self.page.evaluate("() => [...window.used]"))
