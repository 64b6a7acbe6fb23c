"""Trials of a farm that serves many tests: over the control API, from the farm's own methods, from its saved log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.analysis.event_query import request
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.events import Exchanged, PromptRefused, Submitted, TrialBegan
from comfyfarm.events.encoding import as_json
from comfyfarm.server.live_analysis import TrialExists
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image
from tests.memory.clients.drawn import drawn_stage
from tests.memory.clients.perfect import PerfectClient
from tests.memory.clients.stage import Stage, play

Start = Callable[[Any], MemoryFarm]
TWO = {"farm": {"delivery": "none"}, "instance": [{"name": "gpu-{n}", "count": 2}]}


def send(farm: MemoryFarm, job: str, on: str = "gpu-1", client: str = "me") -> None:
    body = {"prompt": text_to_image(), "client_id": client, "extra_data": {"comfyfarm_job": job}}
    assert farm[on].ask("POST", "/prompt", json=body).status == 200


def errors(farm: MemoryFarm, **which: Any) -> list[str]:
    return [finding.finding for finding in farm.verdict(**which).findings if finding.severity == "error"]


def twice(farm: MemoryFarm) -> None:
    send(farm, "j")
    send(farm, "j", "gpu-2")
    farm.run_until_idle()


def test_each_trial_is_judged_by_itself(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    assert farm.trial("first", jobs=1, delivery="none") == "first"
    twice(farm)
    assert farm.trial() == "trial-2"
    send(farm, "j")
    farm.assert_all_finished(jobs=1, within="1min")
    farm.assert_nothing_ran_twice()
    assert (errors(farm), errors(farm, trial="first")) == ([], ["ran_twice"])
    assert (farm.placement().dispatches, farm.placement(trial="first").dispatches) == (1, 2)
    began = [(event.name, event.jobs, event.delivery) for event in farm.farm.log.of(TrialBegan)]
    assert began == [("first", 1, "none"), ("trial-2", None, None)]


def test_the_control_api_has_trials_in_every_view(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    twice(farm)
    farm.advance(1)
    answer = farm.control("POST", "/api/trial", json={"name": "a", "jobs": 12, "delivery": "http"})
    state = answer.json()
    assert state == {"name": "a", "seq": farm.farm.log.seq, "jobs": 12, "delivery": "http", "client": ""}
    send(farm, "k")
    farm.control("POST", "/api/trial")
    assert farm.control("GET", "/api/farm").json()["trial"] == "trial-2"
    counts = {
        which: (
            farm.control("GET", f"/api/verdict{which}").json()["attempts"],
            farm.control("GET", f"/api/placement{which}").json()["dispatches"],
            farm.control("GET", f"/api/journal{which}").json()["request_count"],
            farm.control("GET", f"/api/timeline{which}").json()["from_ms"] > 0,
            f"; {farm.control('GET', f'/api/verdict{which}').json()['attempts']} attempt".encode()
            in farm.control("GET", f"/api/report{which}").body,
        )
        for which in ("", "?trial=a", "?trial=")
    }
    assert counts == {
        "": (0, 0, 0, True, True), "?trial=a": (1, 1, 1, True, True), "?trial=": (2, 2, 2, False, True),
    }
    assert farm.control("GET", f"/api/verdict?since={state['seq']}").json()["jobs"] == 1
    assert farm.control("GET", f"/api/journal?since={state['seq']}").json()["request_count"] == 0
    first = farm.control("GET", "/api/log?trial=a").body.splitlines()[0]
    assert b'"kind":"trial_began","seq":%d' % state["seq"] in first


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/api/trial", {"name": "a"}, 409, "name: there is a trial 'a' already"),
        ("POST", "/api/trial", {"name": ""}, 422, "name: "),
        ("POST", "/api/trial", {"jobs": -1}, 422, "jobs: "),
        ("POST", "/api/trial", {"delivery": "post"}, 422, "delivery: expected one of 'http', 'told', 'folder', 'none'"),
        ("GET", "/api/verdict?trial=b", None, 404, "trial: there is no 'b' (there are: a)"),
        ("GET", "/api/journal?trial=b", None, 404, "trial: there is no 'b' (there are: a)"),
        ("GET", "/api/log?trial=b", None, 404, "trial: there is no 'b' (there are: a)"),
        ("GET", "/api/placement?trial=a&since=3", None, 422, "trial: stands alone"),
        ("GET", "/api/timeline?since=-1", None, 422, "since: "),
        ("GET", "/api/report?trail=a", None, 422, "trail: unknown key (there are: trial, since, client)"),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(
    memory_farm: Start, method: str, path: str, body: Any, status: int, error: str
) -> None:
    farm = memory_farm(TWO)
    farm.trial("a")
    seq = farm.farm.log.seq
    answer = farm.control(method, path, **({} if body is None else {"json": body}))
    assert (answer.status, farm.farm.log.seq) == (status, seq)
    assert answer.json()["error"].startswith(error)


def test_a_trial_of_a_name_that_is_taken_is_an_error(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.trial("trial-2")
    assert farm.trial() == "trial-3"
    with pytest.raises(TrialExists):
        farm.trial("trial-3")


def test_a_reset_of_the_farm_begins_a_trial_and_that_of_one_instance_does_not(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    twice(farm)
    farm.control("POST", "/api/instances/gpu-1/reset")
    assert errors(farm) == ["ran_twice"]
    farm.control("POST", "/api/reset")
    assert (farm.verdict().trial, farm.verdict().jobs) == ("trial-1", 0)
    assert farm.log.count(request()) == 0


def test_a_trial_that_ends_is_judged_at_its_end(memory_farm: Start) -> None:
    """Also if nothing has happened for a while."""
    farm = memory_farm(TWO)
    send(farm, "j")
    farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "1s"})
    farm.advance(60)
    farm.trial("next")
    assert errors(farm, trial="") == ["lost"]


def test_a_job_of_the_trial_before_disturbs_nobody(memory_farm: Start) -> None:
    """It runs on, and the placement counts it."""
    farm = memory_farm(TWO)
    send(farm, "j")
    farm.trial("next")
    send(farm, "j")
    send(farm, "k", "gpu-2")
    farm.run_until_idle()
    verdict = farm.verdict()
    assert (verdict.jobs, verdict.attempts, verdict.succeeded, errors(farm)) == (2, 2, 2, [])
    assert farm.placement().misplacements.n == 2
    assert "(not of this trial)" in farm.evidence.timeline()


def test_the_log_of_a_trial_begins_with_it(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    send(farm, "j")
    before = farm.log
    farm.trial("next")
    send(farm, "k")
    assert farm.log.count(request(route="/prompt")) == 1
    assert before.count(request(route="/prompt")) == 2
    assert farm.control("GET", "/api/log").body.count(b'"kind":"submitted"') == 2


def test_a_saved_log_gives_the_bytes_of_the_live_farm_for_each_trial(memory_farm: Start, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    farm = memory_farm({**TWO, "farm": {"log": str(path)}})
    farm["gpu-1"].listen("me")
    twice(farm)
    for begun in ("a", "b"):
        farm.control("POST", "/api/faults", json={"do": "error", "at": "node", "on": "gpu-2", "times": 1})
        send(farm, "j", "gpu-2")
        farm.trial(begun)
        farm.control("POST", "/api/instances/gpu-1/drain")
        send(farm, "j")
        farm.advance(0.2)
    trials: list[str | None] = ["", "a", "b", None]
    live = [
        farm.control("GET", f"/api/{view}{'' if name is None else f'?trial={name}'}").body
        for name in trials
        for view in ("verdict", "placement")
    ]
    farm.stop()
    for index, name in enumerate(trials):
        with path.open("rb") as file:
            saved = analyse_saved(file, needs_end=True, trial=name)
        if name == "a":     # the others may have something more, such as the stop itself
            assert [as_json(saved.verdict()), as_json(saved.placement())] == live[2 * index : 2 * index + 2]
        assert as_json(saved.verdict()) == as_json(farm.verdict(**({} if name is None else {"trial": name})))
        assert as_json(saved.placement()) == as_json(farm.placement(**({} if name is None else {"trial": name})))


@pytest.mark.parametrize("seed", [2, 3, 4, 28])
def test_whenever_a_trial_begins_nothing_false_is_found_about_its_jobs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client does everything right, whatever goes wrong; a job that began before is judged as far as it is seen."""
    farms: list[MemoryFarm] = []
    start = Stage.start

    def keep(stage: Stage) -> MemoryFarm:
        farms.append(start(stage))
        return farms[0]

    monkeypatch.setattr(Stage, "start", keep)
    play(drawn_stage(seed), PerfectClient)
    log = tuple(farms[0].farm.log.events)
    for seq in range(3, len(log), len(log) // 20):
        verdict = farms[0].verdict(since=seq)
        before = {event.job for event in log[:seq] if isinstance(event, Submitted | PromptRefused | Exchanged)}
        wrong = [finding for finding in verdict.findings if finding.severity in {"error", "warning"}]
        assert [finding.says for finding in wrong if finding.job not in before] == [], seq
        assert "log_incomplete" not in [finding.finding for finding in verdict.findings]


def test_two_tests_side_by_side_on_one_farm_do_not_see_each_other(memory_farm: Start) -> None:
    """Each of their farms here stands for that of a pytest worker."""
    one = memory_farm(TWO)
    two = MemoryFarm(one.app, one.wire)
    one.trial("one", client="w1-*")
    two.trial("two", client="w2-*")
    send(one, "j", client="w1-a")
    send(two, "j", "gpu-2", client="w2-a")
    one.run_until_idle()
    one.assert_nothing_ran_twice(jobs=1)
    two.assert_nothing_ran_twice(jobs=1)
    send(two, "j", client="w2-b")
    one.run_until_idle()
    one.assert_nothing_ran_twice(jobs=1)
    with pytest.raises(AssertionError, match="j ran 2 times"):
        two.assert_nothing_ran_twice()
    assert (one.placement().dispatches, two.placement().dispatches) == (1, 2)
    assert one.placement(client="w*").dispatches == 3
    assert one.control("GET", "/api/verdict?client=w1-*").json()["attempts"] == 1
