"""The page's fold of the log, run by node: it tells of a run what the report's timeline tells."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.events.encoding import as_json
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

NODE = shutil.which("node")
PAGE = Path(str(files("comfyfarm.control") / "page"))

pytestmark = pytest.mark.skipif(NODE is None, reason="no node here: apt-get install nodejs")

Start = Callable[..., MemoryFarm]
CRASH = {"at": {"phase": "step", "step": 9}, "on": "gpu-2", "do": "crash", "times": 1}
FARM: dict[str, Any] = {
    "instance": [
        {
            "name": "gpu-{n}",
            "count": 3,
            "mode": "dynamic",
            "models": {"checkpoints": ["v1-5-pruned-emaonly-fp16.safetensors:4GB"]},
            "timing": {"step": "30ms", "save": "20ms", "load_per_gb": "100ms", "boot": "200ms"},
        }
    ],
    "fault": [
        {**CRASH, "restart_after": "2s"},
        {"at": {"phase": "step", "step": 3, "job": 2}, "on": "gpu-1", "do": "error", "times": 1},
        {"at": "submit", "on": "gpu-3", "do": "status", "status": 503, "skip": 1, "times": 1},
    ],
}


def post(farm: MemoryFarm, name: str, job: str, **facts: Any) -> None:
    body = {"prompt": text_to_image(seed=len(job), **facts), "extra_data": {"comfyfarm_job": job}}
    farm[name].ask("POST", "/prompt", json=body)


@pytest.fixture
def farm(memory_farm: Start) -> MemoryFarm:
    """A run with all that the lanes show: jobs of every end, outages of every kind, faults, retries, a heal."""
    farm = memory_farm(FARM)
    farm.advance("1s")
    for number, name in enumerate(["gpu-1", "gpu-2", "gpu-3"] * 3):
        post(farm, name, f"job-{number}")
    farm.advance("1500ms")
    post(farm, "gpu-1", "job-1")        # lost with gpu-2
    farm["gpu-3"].ask("POST", "/interrupt")
    farm.control("POST", "/api/instances/gpu-3/pause")
    farm.advance("3s")
    farm.control("POST", "/api/instances/gpu-3/resume")
    farm.control("POST", "/api/instances/gpu-1/drain")
    farm.control("POST", "/api/instances/gpu-2/stop")
    farm.delivered("job-0")
    farm["gpu-1"].ask("POST", "/prompt", json={"prompt": {}})
    farm.advance("1s")
    farm.control("POST", "/api/heal")
    farm.advance("1s")
    post(farm, "gpu-2", "job-20", steps=400)
    post(farm, "gpu-2", "job-21")
    farm.advance("1s")
    return farm


def folded(farm: MemoryFarm) -> Any:
    assert NODE is not None
    lines = b"\n".join(map(as_json, farm.farm.log.events))
    command = [NODE, str(Path(__file__).with_name("fold_log.mjs")), str(PAGE)]
    return json.loads(subprocess.run(command, input=lines, capture_output=True, timeout=60, check=True).stdout)


def by_time(intervals: list[Any]) -> list[Any]:
    return sorted(intervals, key=lambda interval: (interval[1], str(interval[0])))


def test_the_lanes_have_the_runs_of_the_timeline_with_their_parts_and_ends(farm: MemoryFarm) -> None:
    timeline = farm.control("GET", "/api/timeline").json()
    lanes = folded(farm)["lanes"]
    assert [lane["name"] for lane in lanes] == [lane["name"] for lane in timeline["lanes"]]
    ends: set[str] = set()
    for lane, expected in zip(lanes, timeline["lanes"], strict=True):
        parts = [[span["job"], *run, span["end"], span["parts"]] for span in expected["stays"] for run in span["runs"]]
        ended = [run for run in parts if run[3] is not None]
        assert [
            [span["job"], span["from_ms"], span["to_ms"], span["end"], span["parts"]] for span in lane["spans"]
        ] == by_time(ended)
        ends.update(run[3] for run in ended)
        assert lane["running"] == next((run[0] for run in parts if run[3] is None), None)
    assert ends == {"success", "error", "interrupted", "lost"}


def test_the_lanes_have_the_outages_and_the_marks_of_the_timeline(farm: MemoryFarm) -> None:
    timeline = farm.control("GET", "/api/timeline").json()
    fold = folded(farm)
    kinds: set[str] = set()
    for lane, expected in zip(fold["lanes"], timeline["lanes"], strict=True):
        outages = [[outage["kind"], outage["from_ms"], outage["to_ms"]] for outage in lane["outages"]]
        assert by_time(outages) == by_time([list(outage.values()) for outage in expected["outages"]])
        marks = [[mark["kind"], mark["at_ms"]] for mark in lane["marks"] if mark["kind"] != "cut"]
        assert marks == [[mark["kind"], mark["at_ms"]] for mark in expected["marks"]]
        kinds.update(kind for kind, _ in marks)
        kinds.update(outage[0] for outage in outages)
    assert kinds >= {"down", "paused", "draining", "fault", "retry", "refused", "delivered"}
    assert [mark["kind"] for mark in fold["marks"]] == ["heal"]


def test_the_lanes_have_the_state_that_the_control_server_tells(farm: MemoryFarm) -> None:
    for lane in folded(farm)["lanes"]:
        state = farm.control("GET", f"/api/instances/{lane['name']}").json()
        assert lane["state"] == state["state"].replace("stopped", "down")
        assert (lane["epoch"], lane["draining"], lane["finished"]) == (
            state["epoch"],
            state["draining"],
            state["finished"],
        )
        assert len(lane["waiting"]) + (lane["running"] is not None) == state["queue_remaining"]


FILTER = """
import {{ latest }} from "{url}";
const events = {events};
console.log(JSON.stringify(latest(events, {wanted}, {count}).map(({{ seq }}) => seq)));
"""
EVENTS = [
    {"seq": 1, "kind": "exchanged", "path": "/api/history/7", "client_id": "me", "job": "", "status": 200},
    {"seq": 2, "kind": "frame_sent", "to": ["me", "you"], "type": "executing", "prompt_id": "p-7"},
    {"seq": 3, "kind": "server_stopped", "instance": "gpu-12", "lost": ["p-7"]},
    {"seq": 4, "kind": "exchanged", "path": "/history", "client_id": None, "instance": "gpu-1", "status": 503},
]


@pytest.mark.parametrize(
    ("wanted", "count", "seqs"),
    [
        ({}, 2, [4, 3]),
        ({"route": "/history*"}, 9, [4, 1]),
        ({"route": "/history"}, 9, [4, 1]),
        ({"route": "/histor?"}, 9, [4]),
        ({"client": "me"}, 9, [2, 1]),
        ({"prompt_id": "p-7"}, 9, [3, 2]),
        ({"instance": "gpu-1", "status": "503"}, 9, [4]),
        ({"instance": "gpu-1"}, 9, [4, 3]),
        ({"instance": "gpu-?"}, 9, [4]),
        ({"text": "you"}, 9, [2]),
        ({"type": "", "kind": "exch*"}, 1, [4]),
    ],
    ids=str,
)
def test_events_are_filtered_as_by_the_journal(wanted: dict[str, str], count: int, seqs: list[int]) -> None:
    assert NODE is not None
    script = FILTER.format(
        url=(PAGE / "filters.js").as_uri(), events=json.dumps(EVENTS), wanted=json.dumps(wanted), count=count
    )
    command = [NODE, "--input-type=module", "--eval", script]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == seqs
