"""Each action of the page does the same by a click, in a shell and in Python."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest

from comfyfarm.clients import SyncFarmControl
from tests.support.control_pages import NEEDS_BROWSER, USED, Clock, Visit

pytestmark = NEEDS_BROWSER


def is_up(seen: Visit) -> str:
    if seen.farm.control.instance("gpu-2").state == "stopped":
        seen.farm.control.start("gpu-2")
    return ""


def is_down(seen: Visit) -> str:
    if seen.farm.control.instance("gpu-2").state != "stopped":
        seen.farm.control.stop("gpu-2")
    return ""


def is_armed(seen: Visit) -> str:
    seen.farm.control.remove_faults()
    return seen.farm.control.arm(do="hang", at="step").id


def is_closed(seen: Visit) -> str:
    seen.farm.control.remove_faults()
    return seen.farm.control.hold(at="history").id


def holds_a_job(seen: Visit) -> str:
    gate = is_closed(seen)
    seen.submit(steps=1)
    seen.farm.control.wait(event={"kind": "fault_fired", "id": gate})
    return gate


def has_a_job(seen: Visit) -> str:
    seen.submit(steps=1)
    return ""


def by(act: Callable[[SyncFarmControl], object]) -> Callable[[Visit], str]:
    """Make an action possible with a call of the control client; there is no id."""

    def ready(seen: Visit) -> str:
        act(seen.farm.control)
        return ""

    return ready


def choose(seen: Visit) -> None:
    seen.choose("gpu-2")


def faults(seen: Visit) -> None:
    seen.tab("Faults")


def scenario(seen: Visit) -> None:
    seen.tab("Faults")
    seen.field("scenario").select_option("F03")


def fill(label: str, text: str) -> Callable[[Visit], None]:
    return lambda seen: seen.field(label).fill(text)


@dataclass(frozen=True)
class Hand:
    """An action.

    :ivar control: the button.
    :ivar shows: what the page has afterwards.
    :ivar event: what the log has afterwards.
    :ivar ready: makes it possible; returns the id in its path, if there is one.
    :ivar go: goes to where its button is.
    """

    control: str
    shows: str
    event: dict[str, Any]
    ready: Callable[[Visit], str] = lambda _: ""
    go: Callable[[Visit], None] = lambda _: None
    clock: Clock = "real"


def on_one(verb: str, shows: str, ready: Callable[[Visit], str] = is_up, **event: Any) -> Hand:
    return Hand(f"Instances: button {verb}", shows, {"instance": "gpu-2", **event}, ready, choose)


def has(button: str) -> str:
    return f"#panel .hands button:text-is('{button}')"


NO_FAULT = "#panel :text-is('No fault is armed.')"
HANDS = {
    "crash": on_one("crash", "#panel h2:has-text('down')", kind="server_stopped", reason="crashed"),
    "restart": on_one("restart", "#panel h2:has-text('running')", kind="server_started"),
    "stop": on_one("stop", has("start"), kind="server_stopped"),
    "start": on_one("start", has("stop"), is_down, kind="server_started"),
    "pause": on_one("pause", has("resume"), by(lambda control: control.resume("gpu-2")), kind="paused"),
    "resume": on_one("resume", has("pause"), by(lambda control: control.pause("gpu-2")), kind="resumed"),
    "drain:on": on_one(
        "drain",
        has("undrain"),
        by(lambda control: control.drain("gpu-2", on=False)),
        kind="draining",
        on=True,
    ),
    "drain:off": on_one(
        "undrain", has("drain"), by(lambda control: control.drain("gpu-2")), kind="draining", on=False
    ),
    "resetOne": on_one("reset", "#panel dt:text-is('finished') + dd:text-is('0')", kind="reset"),
    "reset": Hand("button reset all", "header .faint:has-text('trial-')", {"kind": "reset", "instance": "gpu-3"}),
    "trial": Hand("button new trial", "header .faint:has-text('trial-')", {"kind": "trial_began"}),
    "heal": Hand("button heal", "#last:has-text('heal: done')", {"kind": "healed"}),
    "arm": Hand("arm: button arm", ".armed code:has-text('crash-')", {"kind": "fault_armed"}, go=faults),
    "disarm": Hand(
        "Faults: button remove", NO_FAULT, {"kind": "fault_healed", "reason": "removed"}, is_armed, faults
    ),
    "hold": Hand("hold: button hold", ".armed code:has-text('hold-')", {"kind": "fault_armed"}, go=faults),
    "release": Hand("Faults: button let go", ".armed :text-is('holds 0')", {"kind": "finished"}, holds_a_job, faults),
    "open": Hand("Faults: button open", NO_FAULT, {"kind": "fault_healed", "reason": "removed"}, is_closed, faults),
    "scenario": Hand(
        "start scenario: button start scenario",
        ".armed code:has-text('F03')",
        {"kind": "step_taken", "scenario": "F03", "action": "fault"},
        go=scenario,
    ),
    "freeze:on": Hand(
        "button freeze", "header button:text-is('go on')", {"kind": "clock_changed", "is_frozen": True}
    ),
    "freeze:off": Hand(
        "button go on",
        "header button:text-is('freeze')",
        {"kind": "clock_changed", "is_frozen": False},
        by(lambda control: control.freeze()),
    ),
    "speed": Hand(
        "button speed",
        "[aria-label=speed][placeholder='x 30']",
        {"kind": "clock_changed", "speed": 30},
        go=fill("speed", "30"),
    ),
    "advance": Hand(
        "button advance",
        "header .clock b:has-text('min')",
        {"kind": "clock_moved", "asked": "advance"},
        go=fill("advance by", "90s"),
        clock="virtual",
    ),
    "runUntilIdle": Hand(
        "button run until idle",
        "#last:has-text('run until idle: done')",
        {"kind": "clock_moved", "asked": "run_until_idle"},
        has_a_job,
        clock="virtual",
    ),
    "auto:on": Hand(
        "button auto",
        "header button:text-is('auto off')",
        {"kind": "clock_changed", "auto": True},
        clock="virtual",
    ),
    "auto:off": Hand(
        "button auto off",
        "header button:text-is('auto')",
        {"kind": "clock_changed", "auto": False},
        by(lambda control: control.auto(True)),
        clock="virtual",
    ),
}
USED["HANDS"] = frozenset({"field speed", "field advance by", *(hand.control for hand in HANDS.values())})


def causes(seen: Visit, hand: Hand, act: Callable[[], object]) -> None:
    """Do something, and wait for its event."""
    earlier = seen.farm.control.log(kind=hand.event["kind"])
    act()
    seen.farm.control.wait(event=hand.event, since=earlier[-1]["seq"] if earlier else 0)


def in_shell(line: str) -> None:
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20, check=True)
    assert "error" not in json.loads(ended.stdout)


@pytest.mark.parametrize("name", HANDS)
def test_each_action_does_the_same_by_click_in_a_shell_and_in_python(
    name: str, pages: Callable[[Clock], Visit]
) -> None:
    hand = HANDS[name]
    seen = pages(hand.clock)
    first_id = hand.ready(seen)
    hand.go(seen)
    causes(seen, hand, lambda: seen.press(hand.control.rpartition("button ")[2], within="header, #panel"))
    seen.did("")
    seen.shows(hand.shows)
    assert hand.control in seen.used()
    curl, python = seen.page.locator("#last code").all_inner_texts()
    if shutil.which("curl"):
        again = hand.ready(seen)
        causes(seen, hand, lambda: in_shell(curl.replace(first_id, again)))
    again = hand.ready(seen)
    causes(seen, hand, lambda: exec(python.replace(first_id, again), {"farm": seen.farm}))      # noqa: S102 (the line under test)
    assert seen.complaints == []


def test_every_action_of_the_page_is_tried() -> None:
    table = (files("comfyfarm.control") / "page" / "api.js").read_text("utf-8").partition("export const HANDS = {")[2]
    assert {name.partition(":")[0] for name in HANDS} == set(re.findall(r"^  (\w+): \(", table, re.MULTILINE))


