"""The page of the control server in a real browser: what it shows, and that each of its buttons does what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfyfarm.clients import SyncComfyClient
from comfyfarm.clients.comfy_sync import ask
from comfyfarm.testing import RunningFarm
from comfyfarm.workflows import text_to_image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright here: pip install 'comfyfarm[dev]'"),
]

THREE = {"instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic", "timing": {"step": "20ms"}}]}
VIRTUAL = {**THREE, "farm": {"clock": "virtual"}}
LONG_MS = 15_000    # for anything that the page does; mostly it takes a hundredth of that

SEND_JOBS = """
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from comfyfarm.workflows import text_to_image


def is_known(url, prompt_id):
    queue = requests.get(f"{{url}}/queue", timeout=5).json()
    ids = [job[1] for job in queue["queue_running"] + queue["queue_pending"]]
    return prompt_id in ids or requests.get(f"{{url}}/history/{{prompt_id}}", timeout=5).json()


def see_through(urls, job):
    for attempt in range({tries}):
        url = urls[(job + attempt) % len(urls)]
        try:
            body = {{"prompt": text_to_image(seed=job), "extra_data": {{"comfyfarm_job": f"order-{{job}}"}}}}
            prompt_id = requests.post(f"{{url}}/prompt", json=body, timeout=5).json()["prompt_id"]
            while is_known(url, prompt_id):
                history = requests.get(f"{{url}}/history/{{prompt_id}}", timeout=5).json()
                if history:
                    (picture,) = history[prompt_id]["outputs"]["9"]["images"]
                    return requests.get(f"{{url}}/view", params=picture, timeout=5)
                time.sleep(0.02)
        except requests.ConnectionError:
            pass


@pytest.fixture
def send_jobs():
    with ThreadPoolExecutor() as threads:
        yield lambda urls: list(threads.map(lambda job: see_through(urls, job), range(3)))
"""


@dataclass
class Visit:
    """A browser at the control server of a farm.

    :ivar complaints: what the console says, and every error.
    """

    page: Page
    farm: RunningFarm
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.page.set_default_timeout(LONG_MS)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url.replace("ws", "http", 1)))
        self.page.goto(self.farm.control_url)
        self.page.wait_for_selector("#stream.live")

    def _note(self, url: str) -> None:
        if not url.startswith(self.farm.control_url):
            self.elsewhere.append(url)

    def press(self, label: str, within: str = "body") -> None:
        self.page.locator(within).get_by_role("button", name=label, exact=True).first.click()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def choose(self, instance: str) -> None:
        self.page.locator(f"button.lane[aria-label='{instance}']").click()

    def did(self, text: str) -> None:
        """Wait until the last action is done, and its lines of shell and Python have this text."""
        self.page.wait_for_function(
            "text => document.querySelector('#last')?.innerText.includes(': done') &&"
            " document.querySelector('#last').innerText.includes(text)",
            arg=text,
        )

    def until(self, expression: str, arg: Any = None) -> None:
        self.page.wait_for_function(expression, arg=arg)


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
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        visits.append(Visit(context.new_page(), comfy_farm(config)))
        visits[-1].open()
        return visits[-1]

    yield start
    for visit in visits:
        visit.page.context.close()
        assert visit.complaints == []
        assert visit.elsewhere == []


def submit(farm: RunningFarm, name: str = "gpu-1", **facts: Any) -> str:
    return SyncComfyClient(farm[name].url).submit_workflow(text_to_image(**facts))


def state(visit: Visit, name: str = "gpu-2") -> Any:
    return visit.farm.control.instance(name)


def run_copied(text: str, tries: int, folder: Path, request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """Run a copied test as it is, with a dispatcher that tries each job so often."""
    (folder / "test_copied.py").write_text(text)
    (folder / "conftest.py").write_text(SEND_JOBS.format(tries=tries))
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "test_copied.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)


def copied(seen: Visit, button: str) -> str:
    seen.press(button)
    return str(seen.page.evaluate("() => navigator.clipboard.readText()"))


def test_a_crash_by_click_is_seen_proved_and_kept_as_a_test_that_only_a_good_dispatcher_passes(
    visit: Callable[..., Visit], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seen = visit({"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": {"step": "200ms"}}]})
    seen.choose("gpu-2")
    SyncComfyClient(seen.farm["gpu-2"].url).submit_workflow(text_to_image(steps=400))
    seen.until("() => window.comfyfarm.store.farm.lanes.get('gpu-2').running")
    seen.press("crash")
    seen.did('farm.control.crash("gpu-2")')
    seen.until("() => window.comfyfarm.store.farm.lanes.get('gpu-2').state === 'down'")
    finding = seen.page.locator(".findings li", has_text=re.compile("was lost with gpu-2|went down with it")).first
    finding.locator("button.evidence").click()
    seen.page.wait_for_selector("text=The events that prove it")
    seen.until("() => document.querySelector('.log table').innerText.includes('server_stopped')")
    assert '"kind":"server_stopped"' in copied(seen, "copy events")
    seen.press("back to the log")
    seen.page.wait_for_selector("text=The events that prove it", state="detached")
    seen.tab("Test")
    seen.until("() => document.querySelector('#test').textContent.includes('crash')")
    text = copied(seen, "copy as test")
    naive = run_copied(text, 1, tmp_path, request)
    assert naive.returncode == 1, naive.stdout
    assert "order-1" in naive.stdout
    good = run_copied(text, 100, tmp_path, request)
    assert good.returncode == 0, good.stdout


@pytest.mark.parametrize(("tries", "passes"), [(1, False), (10, True)], ids=["naive", "good"])
def test_a_fault_that_was_armed_before_the_first_job_holds_from_the_start_of_the_copied_test(
    tries: int, passes: bool, visit: Callable[..., Visit], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seen = visit({"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": {"step": "40ms"}}]})
    seen.tab("Faults")
    seen.page.get_by_label("on", exact=True).first.fill("gpu-2")
    seen.press("arm")
    seen.did('farm.control.arm(do="crash", at="step", on="gpu-2", times=1)')
    seen.tab("Test")
    seen.until("() => document.querySelector('#test').textContent.includes('crash-1')")
    ended = run_copied(copied(seen, "copy as test"), tries, tmp_path, request)
    assert (ended.returncode == 0) == passes, ended.stdout
    if not passes:
        assert "order-1" in ended.stdout


def test_each_hand_on_an_instance_does_what_it_says(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.choose("gpu-2")
    seen.press("pause")
    seen.did('farm.control.pause("gpu-2")')
    assert state(seen).state == "paused"
    seen.press("resume")
    seen.did('farm.control.resume("gpu-2")')
    assert state(seen).state == "running"
    seen.press("drain")
    seen.did('farm.control.drain("gpu-2", on=True)')
    assert state(seen).draining
    seen.press("undrain")
    seen.did('farm.control.drain("gpu-2", on=False)')
    seen.press("restart")
    seen.did('farm.control.restart("gpu-2")')
    assert state(seen).epoch == 2
    seen.press("stop")
    seen.did('farm.control.stop("gpu-2")')
    assert state(seen).state == "stopped"
    seen.press("start")
    seen.did('farm.control.start("gpu-2")')
    assert state(seen).state == "running"
    seen.press("reset")
    seen.did('farm.reset("gpu-2")')
    assert [event["kind"] for event in seen.farm.control.log(instance="gpu-2", kind="reset")] == ["reset"]


def test_the_hands_on_the_whole_farm_do_what_they_say(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.press("new trial")
    seen.did("farm.trial()")
    assert seen.farm.control.state().trial == "trial-1"
    seen.press("reset all")
    seen.did("farm.reset()")
    assert seen.farm.control.state().trial == "trial-2"
    seen.farm.control.arm(do="hang", at="step")
    seen.press("heal")
    seen.did("farm.heal()")
    assert seen.farm.control.faults().faults[0].state == "healed"


def test_the_clock_is_frozen_and_goes_at_another_speed(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.press("freeze")
    seen.did("farm.control.freeze(True)")
    assert seen.farm.control.clock().frozen
    seen.press("go on")
    seen.did("farm.control.freeze(False)")
    seen.page.get_by_label("speed").fill("30")
    seen.press("speed")
    seen.did("farm.control.speed(30)")
    assert seen.farm.control.clock().speed == 30


def test_a_virtual_clock_is_advanced_and_runs_until_idle(visit: Callable[..., Visit]) -> None:
    seen = visit(VIRTUAL)
    seen.page.get_by_label("advance by").fill("90s")
    seen.press("advance")
    seen.did('farm.advance("90s")')
    assert seen.farm.control.clock().at_ms == 90_000
    submit(seen.farm)
    seen.press("run until idle")
    seen.did("farm.run_until_idle()")
    assert seen.farm.control.clock().at_ms > 90_000
    seen.press("auto")
    seen.did("farm.control.auto(True)")
    assert seen.farm.control.clock().auto
    seen.press("auto off")
    seen.did("farm.control.auto(False)")
    assert not seen.farm.control.clock().auto


def test_a_fault_is_armed_from_its_form_and_removed(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.tab("Faults")
    seen.page.get_by_label("do", exact=True).select_option("status")
    seen.page.get_by_label("at", exact=True).select_option("submit")
    seen.page.get_by_label("status", exact=True).fill("503")
    seen.page.get_by_label("on", exact=True).first.fill("gpu-3")
    seen.press("arm")
    seen.did('farm.control.arm(do="status", at="submit", on="gpu-3", times=1, status=503)')
    (fault,) = seen.farm.control.faults().faults
    assert (fault.on, fault.fault["status"]) == (("gpu-3",), 503)
    seen.press("remove")
    seen.did("farm.control.remove_fault(")
    assert seen.farm.control.faults().faults[0].state == "removed"


def test_a_fault_is_narrowed_to_a_step_and_a_job(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.tab("Faults")
    seen.page.get_by_label("at.step", exact=True).first.fill("3")
    seen.page.get_by_label("at.job", exact=True).first.fill("order-*")
    seen.press("arm")
    seen.did('at={"phase": "step", "job": "order-*", "step": 3}')
    assert seen.farm.control.faults().faults[0].fault["at"] == {"phase": "step", "job": "order-*", "step": 3}


def test_a_form_that_is_not_filled_in_rightly_shows_the_farms_own_words(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.tab("Faults")
    seen.page.get_by_label("on", exact=True).first.fill("cpu-*")
    seen.press("arm")
    seen.until("() => document.querySelector('#last .bad')?.innerText.includes('matches no instance')")
    seen.complaints = [text for text in seen.complaints if "422" not in text]      # the browser's own line


def test_a_gate_holds_a_job_until_it_is_let_go(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.tab("Faults")
    seen.press("hold")
    seen.did('farm.control.hold(at="history")')
    prompt_id = submit(seen.farm)
    seen.page.wait_for_selector("text=holds 1")
    seen.press("let go")
    seen.did("farm.control.release(")
    SyncComfyClient(seen.farm.url).wait_for_completion(prompt_id)
    seen.press("open")
    seen.did("farm.control.open_gate(")
    assert seen.farm.control.gates().gates[0].state == "removed"


def test_a_scenario_is_started(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.tab("Faults")
    seen.page.get_by_label("scenario").select_option("F03")
    seen.press("start scenario")
    seen.did('farm.control.start_scenario(use="F03")')
    assert [fault.id for fault in seen.farm.control.faults().faults] == ["F03"]


def test_the_log_the_requests_the_pictures_and_the_numbers_show_a_job(visit: Callable[..., Visit]) -> None:
    seen = visit()
    client = SyncComfyClient(seen.farm["gpu-1"].url)
    client.wait_for_completion(client.submit_workflow(text_to_image(prefix="barn")))
    seen.tab("Log")
    seen.page.get_by_label("kind").fill("finished")
    seen.until("() => /finished/.test(document.querySelector('.log table').innerText)")
    seen.page.get_by_label("text").fill("no such thing")
    seen.until("() => document.querySelectorAll('.log tr').length === 0")
    seen.tab("Requests")
    seen.page.get_by_label("route").fill("/prompt")
    seen.press("/prompt", within=".log table")
    seen.page.wait_for_selector("text=journal_bodies")
    seen.press("close")
    seen.page.wait_for_selector(".content", state="detached")
    seen.tab("Pictures")
    seen.until("() => document.querySelector('.pictures img')?.naturalWidth > 0")
    assert "barn_00001_.png" in seen.page.locator(".pictures").inner_text()
    seen.tab("Numbers")
    seen.press("how well was the work placed?")
    seen.page.wait_for_selector(".placement")
    assert "1 job, sent 1 time" in seen.page.locator(".placement").inner_text()
    assert "longest wait" in seen.page.locator(".placement").inner_text()
    assert seen.farm.log.requests(route="/view") == []


def test_the_configuration_is_copied_too(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.choose("gpu-1")
    seen.press("pause")
    seen.did("pause")
    seen.tab("Test")
    seen.until("() => document.querySelector('#toml').textContent.includes('pause')")
    assert 'name = "gpu-1"' in copied(seen, "copy as TOML")


def test_the_last_action_is_copied_for_a_shell_and_for_python(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.press("new trial")
    seen.did("farm.trial()")
    assert copied(seen, "copy curl") == f"curl {seen.farm.control_url}/api/trial -d '{{}}'"
    assert copied(seen, "copy Python") == "farm.trial()"


def test_a_request_is_shown_with_its_headers_and_its_body_if_they_are_kept(visit: Callable[..., Visit]) -> None:
    seen = visit({**THREE, "farm": {"journal_bodies": True}})
    ask("POST", f"{seen.farm.url}/prompt", {"prompt": text_to_image(prefix="<b>barn</b>")})
    seen.tab("Requests")
    seen.page.get_by_label("method").fill("POST")
    seen.page.get_by_label("route").fill("/pro*")
    seen.press("/prompt", within=".log table")
    seen.until("() => /content-type/i.test(document.querySelector('.content').innerText)")
    assert "<b>barn</b>" in seen.page.locator(".content pre.body").inner_text()
    assert "POST /prompt HTTP/1.1" in copied(seen, "copy request")


def test_the_log_is_filtered_held_still_and_goes_on(visit: Callable[..., Visit]) -> None:
    seen = visit()
    for name, want in (("instance", "gpu-?"), ("kind", "submitted"), ("job", "order-*")):
        seen.page.get_by_label(name, exact=True).fill(want)
    seen.until("() => document.querySelectorAll('.log tr').length === 0")
    seen.press("hold still")
    ask("POST", f"{seen.farm.url}/prompt", {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": "order-7"}})
    seen.until("() => window.comfyfarm.store.farm.events.some(event => event.job === 'order-7')")
    assert seen.page.locator(".log tr").count() == 0
    seen.press("go on", within=".log")
    seen.until("() => /order-7/.test(document.querySelector('.log table').innerText)")
    assert seen.page.locator(".log tr").count() == 1


def test_a_job_that_a_finding_is_about_is_lit_in_the_lanes(visit: Callable[..., Visit]) -> None:
    seen = visit()
    ask("POST", f"{seen.farm.url}/prompt", {"prompt": text_to_image(steps=4000)})
    seen.press("show job", within=".findings")
    assert seen.page.evaluate("() => Boolean(window.comfyfarm.store.lit)")
    seen.press("show job", within=".findings")
    assert not seen.page.evaluate("() => Boolean(window.comfyfarm.store.lit)")


def test_a_click_on_a_job_lights_it_and_the_window_is_chosen(visit: Callable[..., Visit]) -> None:
    seen = visit(VIRTUAL)
    submit(seen.farm, steps=4000)
    seen.farm.advance("40s")
    seen.until("() => window.comfyfarm.store.clock.at_ms === 40000")
    seen.page.get_by_label("window").select_option("last 10 s")
    canvas = seen.page.locator(".lanes canvas")
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": 180, "y": 40})      # within the last 10 s gpu-1 ran all the time
    seen.until("() => window.comfyfarm.store.lit")
    canvas.hover(position={"x": box["width"] - 20, "y": 40})
    assert re.search(r"on gpu-1: .* still runs", canvas.get_attribute("title") or "")


def test_the_report_is_a_click_away(visit: Callable[..., Visit]) -> None:
    seen = visit()
    with seen.page.expect_popup() as opened:
        seen.page.get_by_role("link", name="report").click()
    opened.value.wait_for_selector("svg.timeline")


def test_all_instances_are_listed_and_one_is_chosen_from_the_list(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.tab("Instances")
    assert seen.page.locator("#panel tbody tr").count() == 3
    seen.press("gpu-2", within="#panel")
    seen.press("all instances")
    seen.page.wait_for_selector("#panel table")


def test_the_lateness_of_the_farm_is_shown_and_marked(visit: Callable[..., Visit]) -> None:
    seen = visit()
    assert re.fullmatch(r"\d+ ms late, at most \d+ ms", seen.page.locator("#lag").inner_text())
    marks = """() => {
        const { farm } = window.comfyfarm.store, seq = farm.seq;
        farm.apply({ kind: "farm_late", seq, at_ms: 900, instance: "", since_ms: 300, late_ms: 250 });
        farm.apply({ kind: "wall_clock_jumped", seq, at_ms: 950, instance: "", by_ms: -7000 });
        return farm.marks.slice(-2).map(({ kind, from_ms, at_ms }) => [kind, from_ms ?? at_ms]);
    }"""
    assert seen.page.evaluate(marks) == [["late", 300], ["jump", 950]]
    seen.page.locator("details.legend summary").click()
    assert "the farm itself was late" in seen.page.locator("ul.legend").inner_text()


def test_texts_of_clients_are_never_markup(visit: Callable[..., Visit]) -> None:
    seen = visit()
    name = "<img src=x onerror=alert(1)><b id=evil>"
    ask("POST", f"{seen.farm.url}/prompt", {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": name}})
    seen.until("() => /submitted/.test(document.querySelector('.log table').innerText)")
    assert name in seen.page.locator(".log table").inner_text()
    assert seen.page.locator("#evil").count() == 0


def test_the_page_says_that_it_is_stale_and_goes_on_where_it_was(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.page.evaluate("() => { window.comfyfarm.store.followed.socket.close() }")
    seen.page.wait_for_selector("#stream.stale")
    submit(seen.farm)
    seen.page.wait_for_selector("#stream.live")
    seen.until("() => /submitted/.test(document.querySelector('.log table').innerText)")
    count, seq = seen.page.evaluate("() => [window.comfyfarm.store.farm.count, window.comfyfarm.store.farm.seq]")
    assert count == seq


def test_the_arrow_keys_go_through_the_tabs_and_the_instances(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.page.get_by_role("tab", name="Log").focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Requests')")
    seen.page.keyboard.press("End")
    seen.page.wait_for_selector("#test")
    seen.page.keyboard.press("ArrowRight")
    seen.page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Instances')")
    seen.page.locator("button.lane").first.focus()
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#panel [aria-label=gpu-2]")


def test_of_a_long_log_the_last_part_is_shown_with_the_state_of_now(
    visit: Callable[..., Visit],
) -> None:
    seen = visit(VIRTUAL)
    seen.farm.control.stop("gpu-3")
    submit(seen.farm, steps=10_000)
    submit(seen.farm, steps=10_000)
    submit(seen.farm, steps=20)
    seen.farm.run_until_idle()
    submit(seen.farm, steps=4000)
    seen.farm.advance("1s")
    seen.page.reload()
    seen.page.wait_for_selector("#stream.live")
    seen.until("() => window.comfyfarm.store.verdict?.seq <= window.comfyfarm.store.farm.seq")
    shown = """() => {
        const { state, finished, version, spans } = window.comfyfarm.store.farm.lanes.get("gpu-1");
        return [state, finished, version, spans.length > 0];
    }"""
    assert seen.page.evaluate(shown) == ["running", 3, "0.33.0", True]
    assert seen.page.evaluate("() => window.comfyfarm.store.farm.lanes.get('gpu-3').state") == "down"
    assert seen.page.evaluate("() => window.comfyfarm.store.farm.count") < seen.farm.control.verdict().seq


def test_an_instance_is_chosen_and_crashed_with_the_keyboard(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.page.locator("button.lane[aria-label='gpu-3']").focus()
    seen.page.keyboard.press("Enter")
    seen.page.get_by_role("button", name="crash", exact=True).focus()
    seen.page.keyboard.press("Space")
    seen.did('farm.control.crash("gpu-3")')
