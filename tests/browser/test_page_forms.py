"""The forms of the page: faults, gates and scenarios."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from comfyfarm.clients.comfy_sync import ask
from comfyfarm.config.scenarios import find_incident
from comfyfarm.faults.effects import EFFECTS
from comfyfarm.faults.fault import Rule
from comfyfarm.faults.phases import Phase, filter_keys
from tests.support.control_pages import NEEDS_BROWSER, Visit, uses

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = NEEDS_BROWSER

TEXTS = {"string": "x", "integer": "7", "number": "0.5", "boolean": "true", "array": "queue", "object": "{}", "": "7"}
TYPED = {"integer": 7, "number": 0.5, "boolean": True, "array": ["queue"], "object": {}, "": 7}
NEEDED = {"drip": {"piece": "10B"}, "lie": {"queue_remaining": "0"}}       # effects that need one key of several
NUMBERS = {"status": "503", "wrong_length": "5", "slow": "2"}
RULE_FIELDS = [name for name in Rule.__struct_fields__ if name not in ("on", "at", "id", "cites")]
CHOICES = {"sticky", "worker", "what", "like"}     # fields with few values
EFFECT_FIELDS = {name for kind in EFFECTS.values() for name in kind.__struct_fields__}
CONDITIONS = {phase: filter_keys(phase) for phase in get_args(Phase) if phase != "process"}
AT_FIELDS = {f"at.{key}" for keys in CONDITIONS.values() for key in keys}


def fields_of(seen: Visit) -> dict[str, list[dict[str, Any]]]:
    """The fields of each effect, and under an empty name those of all, as the farm describes them."""
    effects = json.loads(ask("GET", f"{seen.farm.control_url}/api/effects"))
    return {"": effects["common"], **{effect["name"]: effect["fields"] for effect in effects["effects"]}}


def write(seen: Visit, name: str, text: str) -> None:
    """Fill a field of the form that arms, or choose."""
    control = seen.field(name, within="form.fault >> nth=0")
    control.select_option(text) if control.evaluate("control => control.tagName") == "SELECT" else control.fill(text)


def text_for(field: dict[str, Any]) -> str:
    if field["choices"]:
        return str(field["choices"][-1])
    return "2s" if field["example"].endswith("ms") else field["example"] or TEXTS[field["type"]]


@uses("arm: choice do", "arm: choice at")
def test_every_effect_is_armed_from_its_form_seen_in_the_farm_and_removed(seen: Visit) -> None:
    seen.tab("Faults")
    fields = fields_of(seen)
    for name in fields.keys() - {""}:
        phase = EFFECTS[name].phases[-1]        # the first one may come at once
        needed = {field["name"]: NUMBERS.get(name, text_for(field)) for field in fields[name] if field["is_required"]}
        texts = {"do": name, "at": phase, "times": "", **needed, **NEEDED.get(name, {})}
        for key, text in texts.items():
            write(seen, key, text)
        seen.press("arm")
        seen.did(f'do="{name}"')
        fault = seen.farm.control.faults().faults[-1]
        assert (fault.fault["do"], fault.fault["at"], fault.state) == (name, {"phase": phase}, "armed")
        seen.farm.control.remove_fault(fault.id)
    seen.shows("#panel :text-is('No fault is armed.')")


@uses(
    "arm: field on",
    *(f"arm: choice {name}" for name in CHOICES),
    *(f"arm: field {name}" for name in {*RULE_FIELDS, *EFFECT_FIELDS, *AT_FIELDS} - CHOICES),
)
def test_every_field_of_a_fault_is_sent_with_its_type(seen: Visit) -> None:
    """The farm is not asked: it would refuse some of them together."""
    sent: list[dict[str, Any]] = []

    def keep(request: Route) -> None:
        sent.append(json.loads(request.request.post_data or ""))
        request.fulfill(json={})

    def arm() -> dict[str, Any]:
        with seen.page.expect_response("**/api/faults"):
            seen.press("arm")
        return sent[-1]

    seen.page.route("**/api/faults", keep)
    seen.tab("Faults")
    fields = fields_of(seen)
    write(seen, "on", "gpu-[12]")
    for name, own in fields.items():
        write(seen, "do", name or "mute")
        for field in own:
            write(seen, field["name"], text_for(field))
        expected = {field["name"]: TYPED.get(field["type"], text_for(field)) for field in own if not field["choices"]}
        assert expected.items() <= {**arm(), "on": "gpu-[12]"}.items()
    for phase, keys in CONDITIONS.items():
        write(seen, "do", "mute" if phase == "frame" else "hang")
        write(seen, "at", phase)
        for key in keys:
            write(seen, f"at.{key}", "7")
        at = arm()["at"]
        assert at == {"phase": phase, **{key: 7 if key in ("job", "step") else "7" for key in keys}}


@uses("hold: choice hold at", "hold: field on", *(f"hold: field {name}" for name in AT_FIELDS - {"at.type"}))
def test_a_gate_is_closed_at_every_phase_and_narrowed(seen: Visit) -> None:
    seen.tab("Faults")
    form = "form.fault >> nth=1"
    seen.field("on", within=form).fill("gpu-3")
    for phase in EFFECTS["hold"].phases:
        seen.field("hold at", within=form).select_option(phase)
        for key in filter_keys(phase):
            seen.field(f"at.{key}", within=form).fill({"size": "2MB", "route": "/2"}.get(key, "2"))
        seen.press("hold")
        seen.did(f'phase": "{phase}"')
        gate = seen.farm.control.gates().gates[-1]
        assert gate.gate["at"].keys() == {"phase", *filter_keys(phase)}
        assert gate.fired == {"gpu-3": 0}


@uses("start scenario: choice scenario")
def test_a_scenario_says_what_it_does_before_it_is_started(seen: Visit) -> None:
    seen.tab("Faults")
    seen.field("scenario").select_option("F24")
    seen.shows(f"form.fault p:text-is('{find_incident('F24').what}')")


def test_a_refused_action_shows_the_farms_own_words(seen: Visit) -> None:
    seen.tab("Faults")
    write(seen, "on", "cpu-*")
    seen.press("arm")
    seen.shows("#last .bad:has-text('matches no instance')")
    seen.forgive("422")


