"""``/api/timeline`` and ``/api/report``: a live farm, shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import fromstring

import msgspec
import pytest

from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.timeline.lane import Outage
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.timeline.values import AttemptBar, RunTimeline, as_values
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.events.encoding import as_json
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Reply
from comfyfarm.workflows import text_to_image
from tests.support.timelines import HOSTILE

Start = Callable[[Any], MemoryFarm]
CRASH = {"on": "gpu-1", "at": {"phase": "step", "step": 3, "job": 1}, "do": "crash", "restart_after": "2s", "times": 1}
TWO = {
    "farm": {"seed": 1},
    "instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": {"step": "100ms", "boot": "500ms"}}],
}


def post(farm: MemoryFarm, name: str, job: str) -> Reply:
    body = {"prompt": text_to_image(seed=1), "extra_data": {"comfyfarm_job": job}}
    return farm[name].ask("POST", "/prompt", json=body)


def timeline(farm: MemoryFarm) -> RunTimeline:
    return msgspec.json.decode(farm.control("GET", "/api/timeline").body, type=RunTimeline)


def stays(farm: MemoryFarm) -> dict[str, list[AttemptBar]]:
    return {lane.name: list(lane.stays) for lane in timeline(farm).lanes}


@pytest.fixture
def crashed(memory_farm: Start) -> MemoryFarm:
    """A farm on which a crash took one job, which then ran elsewhere."""
    farm = memory_farm(TWO | {"fault": [CRASH]})
    farm.advance("1s")
    post(farm, "gpu-1", "red")
    farm.advance("1s")
    post(farm, "gpu-2", "red")
    farm.run_until_idle()
    farm.advance("5s")
    return farm


def test_a_client_sees_jobs_outages_and_marks(crashed: MemoryFarm) -> None:
    """Where the process died, what it took, and that it was sent again."""
    whole = timeline(crashed)
    first, second = whole.lanes
    ((red,), (again,)) = first.stays, second.stays
    assert (red.job, red.attempt, red.end) == ("red", 1, "lost")
    assert (again.job, again.attempt, again.end) == ("red", 2, "success")
    boot, crash = first.outages
    assert (boot, crash.kind, crash.from_ms) == (Outage("down", 0, 500), "down", red.ended_ms)
    assert crash.to_ms is not None
    assert crash.to_ms - crash.from_ms == 2500
    assert [(mark.kind, mark.job) for mark in (*first.marks, *second.marks)] == [("fault", "red"), ("retry", "red")]
    (begun, ended), = again.runs
    saving = again.parts[-1]
    assert (saving.kind, saving.to_ms) == ("saving", ended)
    assert begun == again.sent_ms


def test_a_job_that_outlasts_a_crash_is_shown_twice(memory_farm: Start) -> None:
    """Its run that was broken off, and the one that went to its end."""
    farm = memory_farm(TWO | {"fault": [CRASH | {"keep": ["queue"]}]})
    farm.advance("1s")
    post(farm, "gpu-1", "red")
    farm.run_until_idle()
    (red,) = stays(farm)["gpu-1"]
    (begun, broken), (resumed, ended) = red.runs
    assert (red.end, red.ended_ms) == ("success", ended)
    assert begun < broken < resumed < ended
    assert red.waits == ((broken, resumed),)


@pytest.mark.parametrize(
    ("form", "media_type", "drawn"),
    [
        ("json", "application/json", lambda timeline: msgspec.json.encode(as_values(timeline))),
        ("svg", "image/svg+xml", lambda timeline: draw(timeline).encode()),
        ("trace", "application/json", lambda timeline: msgspec.json.encode(as_trace(timeline))),
        ("text", "text/plain; charset=utf-8", lambda timeline: as_text(timeline).encode()),
    ],
)
def test_the_live_timeline_is_that_of_the_saved_log(
    crashed: MemoryFarm, form: str, media_type: str, drawn: Callable[[Any], bytes]
) -> None:
    """In each form, byte for byte."""
    answer = crashed.control("GET", f"/api/timeline?format={form}")
    saved = analyse_saved([as_json(event) + b"\n" for event in crashed.farm.log.events])
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    assert answer.body == drawn(saved.timeline())


def test_the_live_page_is_that_of_the_saved_log(crashed: MemoryFarm) -> None:
    """With verdict, placement and faults."""
    answer = crashed.control("GET", "/api/report")
    saved = analyse_saved([as_json(event) + b"\n" for event in crashed.farm.log.events])
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body.decode() == page(saved)
    assert saved.timeline().lanes["gpu-1"].marks


def test_the_latest_is_shown_while_jobs_run(memory_farm: Start) -> None:
    """What runs is open, and ends now; what waits is open, and has no run."""
    farm = memory_farm(TWO)
    farm.advance("1s")
    post(farm, "gpu-1", "red")
    post(farm, "gpu-1", "blue")
    farm.advance("1s")
    red, blue = stays(farm)["gpu-1"]
    assert (red.end, red.ended_ms, blue.end, blue.runs) == (None, None, None, ())
    assert red.runs[0][1] == blue.waits[0][1] == timeline(farm).end_ms


def test_what_the_log_has_forgotten_is_shown_still(memory_farm: Start) -> None:
    """The bound of the log in memory is none of the timeline's."""
    farm = memory_farm(TWO)
    farm.advance("1s")
    post(farm, "gpu-1", "red")
    farm.run_until_idle()
    farm.farm.log.events.clear()
    assert [each.end for each in stays(farm)["gpu-1"]] == ["success"]


def test_the_loading_of_a_model_of_a_given_size_is_shown(memory_farm: Start) -> None:
    """And the log that says so can be saved: sizes in it are plain numbers."""
    models = {"checkpoints": ["big.safetensors:8GB"]}
    timing = {"load_per_gb": "100ms"}
    farm = memory_farm({"instance": [{"name": "gpu-1", "models": models, "timing": timing}]})
    prompt = text_to_image()
    for node in prompt.values():
        if "ckpt_name" in node["inputs"]:
            node["inputs"]["ckpt_name"] = "big.safetensors"
    assert farm["gpu-1"].ask("POST", "/prompt", json={"prompt": prompt}).status == 200
    farm.run_until_idle()
    (stay,) = stays(farm)["gpu-1"]
    assert [part.to_ms - part.from_ms for part in stay.parts if part.kind == "loading"] == [800]
    saved = analyse_saved(farm.control("GET", "/api/log").body.splitlines(keepends=True))
    assert as_values(saved.timeline()) == timeline(farm)


def test_a_form_that_there_is_not_is_refused(memory_farm: Start) -> None:
    """And so is a key that means nothing."""
    farm = memory_farm(TWO)
    for query in ("format=pdf", "form=svg"):
        answer = farm.control("GET", f"/api/timeline?{query}")
        assert (answer.status, list(answer.json())) == (422, ["error"])


def test_the_api_describes_both(memory_farm: Start) -> None:
    """With every form that they come in."""
    paths = memory_farm(TWO).control("GET", "/openapi.json").json()["paths"]
    answers = paths["/api/timeline"]["get"]["responses"]["200"]["content"]
    assert answers["application/json"]["schema"] == {"$ref": "#/components/schemas/RunTimeline"}
    assert set(answers) == {"application/json", "image/svg+xml", "text/plain; charset=utf-8"}
    assert set(paths["/api/report"]["get"]["responses"]["200"]["content"]) == {"text/html; charset=utf-8"}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_of_a_job_is_answered_in_every_form(memory_farm: Start, name: str) -> None:
    """As JSON that can be read, as a picture that is XML, as a page that can be written."""
    farm = memory_farm(TWO)
    farm.advance("1s")
    content = json.dumps({"prompt": text_to_image(), "extra_data": {"comfyfarm_job": name}}).encode()
    assert farm["gpu-1"].ask("POST", "/prompt", data=content).status == 200
    farm.run_until_idle()
    (stay,) = stays(farm)["gpu-1"]
    assert stay.job == name.encode("utf-8", "replace").decode()
    fromstring(farm.control("GET", "/api/timeline?format=svg").body)  # noqa: S314 (we drew it)
    assert json.loads(farm.control("GET", "/api/timeline?format=trace").body)["traceEvents"]
    for path in ("/api/timeline?format=text", "/api/report"):
        answer = farm.control("GET", path)
        assert answer.status == 200
        assert answer.body.decode()
