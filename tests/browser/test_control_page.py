"""The page of the control server over time: what was done becomes a test, and connections and farms come and go."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfyfarm.testing.child import RunningFarm, run_farm
from tests.support.control_pages import NEEDS_BROWSER, THREE, VIRTUAL, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER

SEND_JOBS = """
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from comfyfarm.workflows import text_to_image


def is_known(url, prompt_id):
    queue = requests.get(f"{url}/queue", timeout=5).json()
    ids = [job[1] for job in queue["queue_running"] + queue["queue_pending"]]
    return prompt_id in ids or requests.get(f"{url}/history/{prompt_id}", timeout=5).json()


def see_through(urls, job, tries):
    for attempt in range(tries):
        url = urls[(job + attempt) % len(urls)]
        try:
            body = {"prompt": text_to_image(seed=job), "extra_data": {"comfyfarm_job": f"order-{job}"}}
            prompt_id = requests.post(f"{url}/prompt", json=body, timeout=5).json()["prompt_id"]
            while is_known(url, prompt_id):
                history = requests.get(f"{url}/history/{prompt_id}", timeout=5).json()
                if history:
                    (picture,) = history[prompt_id]["outputs"]["9"]["images"]
                    return requests.get(f"{url}/view", params=picture, timeout=5)
                time.sleep(0.02)
        except requests.ConnectionError:
            pass


@pytest.fixture(params=[1, 100], ids=["naive", "good"])
def send_jobs(request):
    with ThreadPoolExecutor() as threads:
        yield lambda urls: list(threads.map(lambda job: see_through(urls, job, request.param), range(3)))
"""


def two(clock: str, step: str) -> dict[str, Any]:
    instance = {"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": {"step": step}}
    return {"farm": {"clock": clock}, "instance": [instance]}


def only_a_good_dispatcher_passes(text: str, folder: Path, request: pytest.FixtureRequest) -> None:
    """Run a copied test as it is, with one that tries each job once, and with one that tries again."""
    (folder / "test_copied.py").write_text(text)
    (folder / "conftest.py").write_text(SEND_JOBS)
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *plugin, "test_copied.py"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    outcomes = re.findall(r"^(PASSED|FAILED) \S+\[(\w+)\]", ended.stdout, re.MULTILINE)
    assert outcomes == [("PASSED", "good"), ("FAILED", "naive")], ended.stdout
    assert "order-1" in ended.stdout


def test_a_crash_by_click_is_proved_and_kept_as_a_test_that_only_a_good_dispatcher_passes(
    visit: Callable[..., Visit], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seen = visit(two("virtual", "200ms"))
    seen.choose("gpu-2")
    seen.submit("gpu-2")
    seen.farm.advance("2s")
    seen.press("crash")
    seen.did('farm.control.crash("gpu-2")')
    seen.shows(".findings li:has-text('was lost with gpu-2')")
    seen.tab("Test")
    seen.until("() => document.querySelector('#test').textContent.includes('crash')")
    text = seen.copied("copy as test")
    assert '{"at": "2000ms", "crash": ["gpu-2"]}' in text
    only_a_good_dispatcher_passes(text, tmp_path, request)


def test_a_fault_that_was_armed_before_the_first_job_holds_from_the_start_of_the_copied_test(
    visit: Callable[..., Visit], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seen = visit(two("real", "40ms"))
    seen.tab("Faults")
    seen.field("on").fill("gpu-2")
    seen.press("arm")
    seen.did('farm.control.arm(do="crash", at="step", on="gpu-2", times=1)')
    seen.tab("Test")
    seen.until("() => document.querySelector('#test').textContent.includes('crash-1')")
    only_a_good_dispatcher_passes(seen.copied("copy as test"), tmp_path, request)


def judged(seen: Visit) -> int:
    return len(seen.farm.control.log(kind="judged"))


def test_a_page_that_looks_on_writes_into_the_log_only_what_it_has_found_anew(seen: Visit) -> None:
    """The verdict stays unknown for a while, and the page asks for it again and again."""
    questions: list[str] = []
    seen.page.on("request", lambda request: questions.append(request.url) if "/api/verdict" in request.url else None)
    seen.submit("gpu-2", steps=4000)
    seen.farm.control.crash("gpu-2")
    seen.shows("#verdict.unknown")
    seen.until("() => !window.comfyfarm.store.is_unlogged")
    before, count = judged(seen), len(questions)
    for _ in range(3):
        with seen.page.expect_response("**/api/verdict**"):
            pass
    assert len(questions) >= count + 3
    assert judged(seen) == before
    seen.farm.control.speed(20)     # soon the time is over in which it could be sent again
    seen.shows("#verdict.fail")
    seen.until("() => !window.comfyfarm.store.is_unlogged")
    seen.farm.control.freeze()
    assert judged(seen) > before


def test_the_lateness_of_the_farm_is_shown_and_marked(seen: Visit) -> None:
    assert re.fullmatch(r"\d+ ms late, at most \d+ ms", seen.page.locator("#lag").inner_text())
    marks = """() => {
        const { farm } = window.comfyfarm.store, seq = farm.seq;
        farm.apply({ kind: "farm_late", seq, at_ms: 900, instance: "", since_ms: 300, late_ms: 250 });
        farm.apply({ kind: "wall_clock_jumped", seq, at_ms: 950, instance: "", by_ms: -7000 });
        return farm.marks.slice(-2).map(({ kind, from_ms, at_ms }) => [kind, from_ms ?? at_ms]);
    }"""
    assert seen.page.evaluate(marks) == [["late", 300], ["jump", 950]]


def test_texts_of_clients_are_never_markup(seen: Visit) -> None:
    name = "<img src=x onerror=alert(1)><b id=evil>"
    seen.submit(job=name)
    seen.shows(".log td:has-text('onerror')")
    assert name in seen.page.locator(".log table").inner_text()
    assert seen.page.locator("#evil").count() == 0


def test_the_page_says_that_it_is_stale_and_goes_on_where_it_was(seen: Visit) -> None:
    seen.page.evaluate("() => { window.comfyfarm.store.followed.socket.close() }")
    seen.shows("#stream.stale")
    seen.submit(job="order-9")
    seen.shows("#stream.live")
    seen.shows(".log td:has-text('order-9')")
    count, seq = seen.page.evaluate("() => [window.comfyfarm.store.farm.count, window.comfyfarm.store.farm.seq]")
    assert count == seq


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_farm_that_goes_away_and_comes_back_anew_is_shown_as_it_is_then(browser: Browser, clock: str) -> None:
    with run_farm(two(clock, "20ms")) as farm:
        seen = Visit.of(browser, farm)
        for number in range(3):
            seen.submit("gpu-2", job=f"old-{number}")
        seen.shows(".log td:has-text('old-2')")
        port = farm.control_url.rpartition(":")[2]
    seen.shows("#stream.stale")
    seen.press("heal")
    seen.shows("#last .bad:has-text('the farm does not answer')")
    with RunningFarm("--control-port", port, config={**THREE, "farm": {"clock": clock}}) as farm:
        seen.farm = farm
        seen.shows("#stream.live")
        seen.shows("button.lane[aria-label=gpu-3]")
        assert seen.page.locator(".log td", has_text="old-").count() == 0
        seen.submit("gpu-3", job="new")
        seen.shows(".log td:has-text('new')")
        seen.shows(".findings :text('new')")
        seen.tab("Requests")
        seen.press("/prompt", within=".log table")
        seen.shows("text=journal_bodies")
    seen.page.context.close()
    assert {text for text in seen.complaints if "ERR_CONNECTION" not in text} == set()


def test_of_a_long_log_the_last_part_is_shown_with_the_state_of_now(visit: Callable[..., Visit]) -> None:
    seen = visit(VIRTUAL)
    seen.farm.control.stop("gpu-3")
    for steps in (10_000, 10_000, 20):
        seen.submit(steps=steps)
    seen.farm.run_until_idle()
    seen.submit(steps=4000)
    seen.farm.advance("1s")
    seen.open()
    seen.until("() => window.comfyfarm.store.verdict?.seq <= window.comfyfarm.store.farm.seq")
    shown = """() => {
        const { state, finished, version, spans } = window.comfyfarm.store.farm.lanes.get("gpu-1");
        return [state, finished, version, spans.length > 0];
    }"""
    assert seen.page.evaluate(shown) == ["running", 3, "0.33.0", True]
    assert seen.page.evaluate("() => window.comfyfarm.store.farm.lanes.get('gpu-3').state") == "down"
    assert seen.page.evaluate("() => window.comfyfarm.store.farm.count") < seen.farm.control.verdict().seq


def test_an_instance_is_chosen_and_crashed_with_the_keyboard(seen: Visit) -> None:
    seen.page.locator("button.lane[aria-label='gpu-3']").focus()
    seen.page.keyboard.press("Enter")
    seen.page.get_by_role("button", name="crash", exact=True).focus()
    seen.page.keyboard.press("Space")
    seen.did('farm.control.crash("gpu-3")')
    seen.shows(".hands button:text-is('crash'):disabled")
    seen.until("() => document.activeElement.id === 'panel'")
