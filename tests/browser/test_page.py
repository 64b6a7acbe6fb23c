"""Does ComfyUI's own page work on a mock server, in a real browser?

Screenshots are kept in ``tests/browser/artefacts/``, or in the folder that ``COMFYFARM_ARTEFACTS`` names.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfyfarm.clients.comfy_sync import ask
from comfyfarm.testing.child import ServedInstance, run_farm
from comfyfarm.workflows import text_to_image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright here: pip install 'comfyfarm[dev]'"),
    pytest.mark.skipif(
        find_spec("comfyui_frontend_package") is None,
        reason="no page of ComfyUI's here: pip install 'comfyfarm[frontend]'",
    ),
]

INSTANCES = ("stopped-dynamic", "finished-dynamic", "finished-static", "dropped-dynamic", "kept-static")

ARTEFACTS = Path(os.environ.get("COMFYFARM_ARTEFACTS") or Path(__file__).parent / "artefacts")
AT_MOST_MS = 30_000     # for any single thing that the page does; mostly it takes a hundredth of that
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What the page asks of a real server in vain, too, while a user has saved nothing yet.
NOT_THERE = re.compile(
    r"/(user\.css|favicon\.ico|api/userdata\?dir=(workflows|subgraphs)&.*"
    r"|api/userdata/(user\.css|comfy\.templates\.json|workflows%2F\.index\.json))$"
)
# The page says this of itself on every server.
OF_ITS_OWN = "ComfyApp graph accessed before initialization"

PICTURE_SIZE = """type => {
    const picture = window.app.graph.nodes.find(node => node.type === type).imgs?.[0]
    return picture?.naturalWidth ? [picture.naturalWidth, picture.naturalHeight] : null
}"""
# None of these waits for a promise, which has no end in time: what comes of it is waited for.
LOAD = "([workflow, name]) => { window.app.loadApiJson(workflow, name) }"
FIT = "() => { window.app.extensionManager.command.execute('Comfy.Canvas.FitView') }"
DROP = """path => {
    const open = blob => window.app.handleFile(new File([blob], 'dropped.png', {type: blob.type}))
    fetch(path).then(reply => reply.blob()).then(open)
}"""
HAS_NODES = "count => window.app?.graph?.nodes.length === count"
SHOWS_PROGRESS = r"() => /Current node:\s+KSampler\s+[1-9]\d*%/.test(document.body.innerText)"


@dataclass
class Visit:
    """A browser that looks at one server.

    :ivar complaints: what went wrong that would not go wrong on a real server.
    """

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Go to the page, and wait until it can be used."""
        self.page.set_default_timeout(AT_MOST_MS)
        self.page.on("console", self._read)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("response", self._look)
        self.page.route(re.compile(rf"^https?://(?!{re.escape(self.url[7:])})"), lambda route: route.abort())
        self.page.goto(self.url)
        self.wait_until_usable()

    def wait_until_usable(self) -> None:
        self.page.wait_for_function("() => window.app?.graph?.nodes.length > 0")
        self.page.get_by_test_id("queue-button").wait_for()

    def load(self, workflow: dict[str, Any], name: str = "barn") -> None:
        """Open a workflow in a tab of its own, and look at all of it."""
        self.page.evaluate(LOAD, [workflow, name])
        self.wait_for_title(f"*{name} - ComfyUI")
        self.page.wait_for_function(HAS_NODES, arg=len(workflow))
        self.page.evaluate(FIT)

    def run(self) -> None:
        self.page.get_by_test_id("queue-button").click()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def wait_for(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def wait_for_title(self, title: str) -> None:
        self.page.wait_for_function("title => document.title === title", arg=title)

    def wait_for_picture(self, node_type: str) -> list[int]:
        """Wait until a node shows a picture, and give its size."""
        size = self.page.wait_for_function(PICTURE_SIZE, arg=node_type).json_value()
        assert isinstance(size, list)
        return size

    def photograph(self, name: str) -> None:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")

    def _read(self, message: ConsoleMessage) -> None:
        where = str(message.location.get("url", ""))
        is_ours = where.startswith(self.url) and not NOT_THERE.search(where)
        if message.type == "error" and is_ours and OF_ITS_OWN not in message.text:
            self.complaints.append(f"{where}: {message.text}")

    def _look(self, response: Response) -> None:
        is_meant = response.status == 404 and NOT_THERE.search(response.url)
        if response.status >= 400 and not is_meant:
            self.complaints.append(f"{response.status} {response.request.method} {response.url}")


Watch = Callable[[str, Callable[[Visit], None]], None]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """Do something with the page of an instance, and keep a picture of how it ended.

    Each name has an instance and a browser profile of its own, which nothing was done with; its last word is the
    mode.  In a thread, for playwright's loop does not share one with Twisted's reactor.
    """
    with run_farm({"instance": [{"name": name, "mode": name.split("-")[-1]} for name in INSTANCES]}) as farm:
        for name in INSTANCES:
            ask("POST", f"{farm[name].url}/settings", {"Comfy.TutorialCompleted": True})    # no tour for newcomers
        with ThreadPoolExecutor(1) as thread:
            browser = ExitStack()
            chromium = thread.submit(lambda: browser.enter_context(_chromium())).result()
            yield lambda name, work: thread.submit(_watch, chromium, farm[name], work).result()
            thread.submit(browser.close).result()


@contextmanager
def _chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def _watch(chromium: Browser, instance: ServedInstance, work: Callable[[Visit], None]) -> None:
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        here = Visit(context.new_page(), instance.url)
        try:
            here.open()
            work(here)
        finally:
            here.photograph(instance.name)
    assert here.complaints == []


def test_a_job_waits_runs_and_is_stopped(watch: Watch) -> None:
    """Run queues it, its progress shows, and the buttons take it away."""

    def work(here: Visit) -> None:
        here.load(text_to_image(steps=10_000))
        here.run()
        here.run()
        here.wait_for("2 active")
        here.page.wait_for_function(SHOWS_PROGRESS)
        here.photograph("running")
        here.press("Clear queued")
        here.wait_for("1 active")
        here.press("Cancel current run")
        here.wait_for("0 active")

    watch("stopped-dynamic", work)


@pytest.mark.parametrize(
    ("mode", "size", "name"), [("dynamic", [320, 192], "barn_00001_.png"), ("static", [512, 768], "kernie_512x768.jpg")]
)
def test_a_finished_picture_shows(watch: Watch, mode: str, size: list[int], name: str) -> None:
    """On its node, in the list of jobs, and among the assets."""

    def work(here: Visit) -> None:
        here.load(text_to_image(prefix="barn", width=320, height=192))
        here.run()
        assert here.wait_for_picture("SaveImage") == size
        here.press("Expand job queue")
        here.wait_for(name)
        here.press("Assets (a)")
        here.wait_for("Generated")
        here.wait_for(name.rpartition(".")[0])

    watch(f"finished-{mode}", work)


def test_a_picture_holds_its_workflow(watch: Watch) -> None:
    """Dropped on the page, it opens the workflow that made it."""

    def work(here: Visit) -> None:
        workflow = text_to_image(prefix="barn")
        here.load(workflow)
        here.run()
        here.wait_for_picture("SaveImage")
        here.load({"1": {"class_type": "EmptyImage", "inputs": {}}}, "another")
        here.page.evaluate(DROP, "/api/view?filename=barn_00001_.png")
        here.page.wait_for_function(HAS_NODES, arg=len(workflow))

    watch("dropped-dynamic", work)


def test_a_workflow_is_kept(watch: Watch) -> None:
    """Saved under a name, it is there when the page is opened again."""

    def work(here: Visit) -> None:
        here.load(text_to_image())
        here.page.keyboard.press("Control+s")
        here.page.get_by_role("dialog").get_by_role("textbox").fill("red barn")
        here.press("Confirm")
        here.wait_for_title("red barn - ComfyUI")
        here.page.reload()
        here.wait_until_usable()
        here.press("Workflows (w)")
        here.wait_for("red barn")

    watch("kept-static", work)
