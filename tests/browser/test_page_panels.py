"""What the page shows: the log, the requests, findings, lanes and numbers; and its keys."""

from __future__ import annotations

import re
from importlib.resources import files

from comfyfarm.clients import SyncComfyClient
from comfyfarm.workflows import text_to_image
from tests.support.control_pages import NEEDS_BROWSER, Visit, uses

pytestmark = NEEDS_BROWSER

LOG_TEXTS = {
    "instance": "gpu-?",
    "kind": "submitted",
    "job": "order-7",
    "prompt_id": "*-*",
    "client": "me",
    "type": "",
    "text": "order",
}
REQUEST_TEXTS = {
    "client": "nobody",
    "instance": "gpu-1",
    "route": "/pro*",
    "method": "POST",
    "status": "200",
    "job": "order-7",
    "prompt_id": "*",
}


@uses(*(f"Log: field {key}" for key in LOG_TEXTS), "Log: button hold still", "Log: button go on")
def test_the_log_is_filtered_by_each_key_held_still_and_goes_on(seen: Visit) -> None:
    seen.submit(job="order-6")
    seen.submit(job="order-7", client="me", seed=7)
    seen.field("type").fill("no such type")
    seen.shows("text=No event of the latest ones is like that.")
    for key, text in LOG_TEXTS.items():
        seen.field(key).fill(text)
    seen.until("() => document.querySelectorAll('.log tr').length === 1")
    seen.press("hold still")
    seen.field("job").fill("nobody")
    seen.until("() => document.querySelectorAll('.log tr').length === 1")
    seen.press("go on", within=".log")
    seen.until("() => document.querySelectorAll('.log tr').length === 0")


@uses(
    *(f"Requests: field {key}" for key in REQUEST_TEXTS),
    *(f"Requests: button {label}" for label in ("request", "copy request", "close")),
)
def test_the_requests_are_filtered_by_each_key_and_one_is_opened_and_copied(seen: Visit) -> None:
    seen.tab("Requests")
    seen.submit(job="order-7", client="me", prefix="<b>barn</b>")
    for key, text in REQUEST_TEXTS.items():
        seen.field(key).fill(text)
    seen.shows("text=None of the latest requests is like that.")
    seen.field("client").fill("")
    seen.press("/prompt", within=".log table")
    assert "<b>barn</b>" in seen.page.locator(".content pre.body").inner_text()
    assert "POST /prompt HTTP/1.1" in seen.copied("copy request")
    seen.press("close")
    seen.page.wait_for_selector(".content", state="detached")


@uses("button evidence", "button show job", "Log: button copy events", "Log: button back to the log", "link report")
def test_a_finding_shows_its_job_and_its_events_which_are_copied(seen: Visit) -> None:
    seen.submit("gpu-2", steps=4000)
    seen.farm.control.crash("gpu-2")
    finding = seen.page.locator(".findings li", has_text=re.compile("was lost with gpu-2|went down with it")).first
    finding.get_by_role("button", name="show job").click()
    assert seen.page.evaluate("() => Boolean(window.comfyfarm.store.lit)")
    finding.locator("button.evidence").click()
    seen.shows("text=The events that prove it")
    seen.until("() => document.querySelector('.log table').innerText.includes('server_stopped')")
    assert '"kind":"server_stopped"' in seen.copied("copy events")
    seen.press("back to the log")
    seen.page.wait_for_selector("text=The events that prove it", state="detached")
    with seen.page.expect_popup() as opened:
        seen.page.get_by_role("link", name="report").click()
    opened.value.wait_for_selector("svg.timeline")
    opened.value.close()


@uses("button copy curl", "button copy Python", "Test: button copy as test", "Test: button copy as TOML")
def test_the_last_action_and_all_of_them_are_copied(seen: Visit) -> None:
    seen.choose("gpu-2")
    seen.press("pause")
    seen.did("pause")
    assert seen.copied("copy curl") == f"curl -X POST {seen.farm.control_url}/api/instances/gpu-2/pause"
    assert seen.copied("copy Python") == 'farm.control.pause("gpu-2")'
    seen.tab("Test")
    seen.until("() => document.querySelector('#toml').textContent.includes('pause')")
    assert '"pause": ["gpu-2"]' in seen.copied("copy as test")
    assert 'pause = ["gpu-2"]' in seen.copied("copy as TOML")


def test_a_text_is_copied_where_the_browser_gives_no_clipboard(seen: Visit) -> None:
    """As for a page of another machine that comes without TLS."""
    seen.page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    seen.press("new trial")
    seen.did("farm.trial()")
    seen.press("copy Python")
    seen.shows("#last button:text-is('copied')")
    seen.field("text").focus()
    seen.page.keyboard.press("Control+v")
    assert seen.field("text").input_value() == "farm.trial()"


# What is shown.


@uses("Instances: button instance", "Instances: button all instances", "button lane")
def test_an_instance_is_chosen_from_the_lanes_or_the_list(seen: Visit) -> None:
    seen.choose("gpu-3")
    seen.shows("#panel [aria-label=gpu-3]")
    seen.press("all instances")
    assert seen.page.locator("#panel tbody tr").count() == 3
    seen.press("gpu-2", within="#panel")
    seen.shows("#panel [aria-label=gpu-2]")


@uses(
    "canvas",
    "choice window",
    "fold legend",
    "Numbers: button how well was the work placed?",
    "Numbers: fold one by one",
)
def test_a_job_is_lit_in_the_lanes_and_its_placement_shown_on_demand(virtual: Visit) -> None:
    for number in range(6):
        virtual.submit(seed=number, steps=40)
    virtual.farm.advance("5s")
    now_ms = virtual.farm.control.clock().at_ms
    virtual.until("now => window.comfyfarm.store.clock.at_ms === now", arg=now_ms)
    virtual.field("window").select_option("last 10 s")
    virtual.page.locator("details.legend summary").click()
    assert "the farm itself was late" in virtual.page.locator("ul.legend").inner_text()
    canvas = virtual.page.locator(".lanes canvas")
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] - 100, "y": 40})
    virtual.until("() => window.comfyfarm.store.lit")
    canvas.hover(position={"x": box["width"] - 99, "y": 40})
    assert "on gpu-1: " in (canvas.get_attribute("title") or "")
    virtual.tab("Numbers")
    virtual.press("how well was the work placed?")
    virtual.shows(".placement :text('6 jobs, sent 6 times')")
    virtual.page.locator(".placement summary").first.click()
    assert virtual.page.locator(".placement details[open] li").count() > 0


def test_the_lane_shows_how_many_wait_and_nothing_if_nobody_does(virtual: Visit) -> None:
    virtual.submit("gpu-1", steps=100)      # it is taken at once
    virtual.farm.advance("1s")
    virtual.submit("gpu-1")
    virtual.farm.advance("4s")
    now_ms = virtual.farm.control.clock().at_ms
    virtual.until("now => window.comfyfarm.store.clock.at_ms === now", arg=now_ms)
    virtual.until("() => window.comfyfarm.store.farm.lanes.get('gpu-1').finished === 2")
    shades = """async (shares) => {
        await new Promise((resolve) => setTimeout(resolve, 200));       // until it is drawn
        const canvas = document.querySelector(".lanes canvas"), { width } = canvas;
        const lanes = 2 * 52, foot = 24 + 52 - 3;       // gpu-3 has the same ground as gpu-1, and no job
        const { data } = canvas.getContext("2d").getImageData(0, foot, width, lanes + 1);
        const colour = (x, y) => data.slice(4 * (x + y * width), 4 * (x + y * width) + 3).join();
        const places = shares.map((share) => Math.round(170 + share * (width - 178)));
        return places.map((x) => colour(x, 0) !== colour(x, lanes));
    }"""
    shown_ms = 1.05 * now_ms
    shares = [1 - ago_ms / shown_ms for ago_ms in (4500, 3500, 500)]
    assert virtual.page.evaluate(shades, shares) == [False, True, False]


TABS = {
    "Instances": "gpu-1",
    "Faults": "Arm a fault",
    "Log": "finished",
    "Requests": "/prompt",
    "Numbers": "Waiting jobs",
    "Pictures": "barn_0",
    "Test": "As a configuration",
}


@uses(*(f"tab {name}" for name in TABS))
def test_each_tab_shows_its_panel(seen: Visit) -> None:
    client = SyncComfyClient(seen.farm["gpu-1"].url)
    client.wait_for_completion(client.submit_workflow(text_to_image(prefix="barn")))
    for name, word in TABS.items():
        seen.tab(name)
        seen.shows(f"#panel :text('{word}') >> nth=0")
    seen.tab("Pictures")
    seen.until("() => document.querySelector('.pictures img')?.naturalWidth > 0")
    assert seen.farm.log.requests(route="/view") == []      # the verdict would take it for a delivery


# Keys.

KEYS = {"ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"}


def test_the_keys_of_the_page_go_through_the_tabs_and_the_instances(seen: Visit) -> None:
    press = seen.page.keyboard.press
    seen.page.get_by_role("tab", name="Log").focus()
    for key, tab in (("ArrowRight", "Requests"), ("ArrowLeft", "Log"), ("End", "Test"), ("Home", "Instances")):
        press(key)
        seen.shows(f"[role=tab][aria-selected=true]:text-is('{tab}')")
        assert seen.page.evaluate("() => document.activeElement.textContent") == tab
    seen.page.locator("button.lane").first.focus()
    for key, name in (("ArrowDown", "gpu-2"), ("End", "gpu-3"), ("ArrowUp", "gpu-2"), ("Home", "gpu-1")):
        press(key)
        assert seen.page.evaluate("() => document.activeElement.getAttribute('aria-label')") == name
    press("Enter")
    seen.shows("#panel [aria-label=gpu-1]")


def test_every_key_that_the_page_knows_is_tried() -> None:
    page = files("comfyfarm.control") / "page"
    source = "".join(file.read_text("utf-8") for file in page.iterdir() if file.name.endswith(".js"))
    tables = re.findall(r"\{([^}]*)\}\[event\.key\]", source)
    assert {key for table in tables for key in re.findall(r"(\w+):", table)} == KEYS
    assert len(re.findall(r"event\.(?:key|code|keyCode)\b", source)) == len(tables)


def test_the_focus_stays_in_the_panel_if_its_button_goes(seen: Visit) -> None:
    seen.farm.control.arm(do="hang", at="step")
    seen.tab("Faults")
    seen.page.get_by_role("button", name="remove").focus()
    seen.page.keyboard.press("Space")
    seen.shows("#panel :text-is('No fault is armed.')")
    seen.until("() => document.activeElement.id === 'panel'")


