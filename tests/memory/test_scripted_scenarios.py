"""Scenarios at play: each step at its moment, the same every time, and all well after a heal."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.config import ConfigError
from comfyfarm.config.scenarios import incidents
from comfyfarm.events import (
    FaultArmed,
    FaultExpired,
    FaultFired,
    Finished,
    Interrupted,
    PromptRefused,
    ServerStarted,
    StepTaken,
    Submitted,
    Unsubmitted,
)
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]


def play(start: Start, *steps: dict[str, Any], **more: Any) -> MemoryFarm:
    """A farm of two, and one scenario."""
    instance = more.pop("instance", {})
    two = {"name": "gpu-{n}", "count": 2, "port": 0, **instance}
    return start({"instance": [two], "scenario": [{"name": "play", "step": list(steps), **more}]})


def taken(farm: MemoryFarm) -> list[tuple[int, str, tuple[str, ...], str]]:
    return [(each.at_ms, each.action, each.on, each.refused) for each in farm.farm.log.of(StepTaken)]


def submitted(farm: MemoryFarm) -> list[tuple[int, str, str]]:
    return [(each.at_ms, each.instance, each.job) for each in farm.farm.log.of(Submitted)]


def post(farm: MemoryFarm, name: str, seed: int = 0, **body: Any) -> str:
    answer = farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(seed), **body})
    assert answer.status == 200, answer.body
    return str(answer.json()["prompt_id"])


# Steps.


def test_a_scenario_that_begins_with_the_first_job_counts_its_times_from_then(memory_farm: Start) -> None:
    """Those of its faults, too; and neither its own load nor a second job begins it again."""
    farm = play(
        memory_farm,
        {"at": "0s", "pause": "gpu-1"},
        {"at": "1s", "load": {"jobs": 1, "on": "gpu-2"}},
        {"at": "2s", "fault": {"at": "submit", "do": "status", "status": 503, "after": "3s", "until": "4s"}},
        begins="first job",
    )
    farm.advance("10s")
    assert taken(farm) == []
    post(farm, "gpu-2")
    farm.advance("2999ms")
    post(farm, "gpu-2", seed=1)
    assert [(at_ms, action) for at_ms, action, _, _ in taken(farm)] == [
        (10_000, "pause"),
        (11_000, "load"),
        (12_000, "fault"),
    ]
    farm.advance("1ms")
    assert farm["gpu-2"].ask("POST", "/prompt", json={"prompt": text_to_image(2)}).status == 503
    farm.advance("1s")
    post(farm, "gpu-2", seed=3)


def test_each_step_is_taken_at_its_moment_and_told(memory_farm: Start) -> None:
    """Whatever the order in which they are written, and all of them shifted by after."""
    farm = play(
        memory_farm,
        {"at": "4s", "heal": True},
        {"at": "1s", "pause": "gpu-2"},
        {"at": "2500ms", "clear_history": "gpu-*"},
        after="10s",
    )
    assert farm.run_until_idle() == 14_000
    assert taken(farm) == [
        (11_000, "pause", ("gpu-2",), ""),
        (12_500, "clear_history", ("gpu-1", "gpu-2"), ""),
        (14_000, "heal", (), ""),
    ]
    assert {each.scenario for each in farm.farm.log.of(StepTaken)} == {"play"}


def test_of_steps_at_the_same_moment_the_first_one_is_taken_first(memory_farm: Start) -> None:
    """The job comes, is cancelled, and stops where it looks next; the other way round the interrupt hits nobody."""
    load, interrupt = {"at": "1s", "load": {"jobs": 1, "on": "gpu-1"}}, {"at": "1s", "interrupt": "gpu-1"}
    farm = play(memory_farm, load, interrupt)
    farm.run_until_idle()
    assert [event.at_ms for event in farm.farm.log.of(Interrupted)] == [1003]
    farm = play(memory_farm, interrupt, load)
    farm.run_until_idle()
    assert not list(farm.farm.log.of(Interrupted))


def test_what_is_due_at_once_has_happened_when_the_farm_is_there(memory_farm: Start) -> None:
    """A client's own job stands behind those of the load."""
    farm = play(memory_farm, {"at": "0s", "load": {"jobs": 3, "on": "gpu-1"}})
    assert farm["gpu-1"].ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 3}}


def test_a_process_is_restarted_stopped_crashed_and_started(memory_farm: Start) -> None:
    """Each epoch begins with an empty queue; what is stopped cannot be stopped again."""
    farm = play(
        memory_farm,
        {"at": "1s", "load": {"jobs": 9, "on": "gpu-1", "steps": 1000}},
        {"at": "2s", "restart": "gpu-1"},
        {"at": "3s", "stop": "gpu-1"},
        {"at": "4s", "crash": "*"},
        {"at": "5s", "start": "gpu-1"},
    )
    farm.advance("2s")
    assert farm["gpu-1"].ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 0}}
    farm.advance("1s")
    with pytest.raises(ConnectionRefusedError):
        farm["gpu-1"].ask("GET", "/prompt")
    farm.run_until_idle()
    assert [each.state for each in farm.farm.backends.values()] == ["running", "stopped"]
    assert [(each.at_ms, each.epoch) for each in farm.farm.log.of(ServerStarted)] == [(2000, 2), (5000, 3)]
    assert taken(farm)[3] == (4000, "crash", ("gpu-1", "gpu-2"), "gpu-1 is stopped")


def test_somebody_else_cancels_and_clears(memory_farm: Start) -> None:
    """As any client can: whatever runs, whatever waits, whatever has ended."""
    farm = play(
        memory_farm,
        {"at": "1s", "interrupt": "gpu-1"},
        {"at": "2s", "clear_queue": "gpu-1"},
        {"at": "3s", "clear_history": "gpu-1"},
        instance={"timing": {"step": "1s"}},
    )
    first, second, third = (post(farm, "gpu-1", seed) for seed in range(3))
    farm.advance("1500ms")
    assert farm["gpu-1"].ask("GET", f"/history/{first}").json()[first]["status"]["status_str"] == "error"
    farm.advance("1s")
    queue = farm["gpu-1"].ask("GET", "/queue").json()
    assert [[job[1] for job in queue[key]] for key in ("queue_running", "queue_pending")] == [[second], []]
    farm.advance("1s")
    assert farm["gpu-1"].ask("GET", "/history").json() == {}
    assert third not in [event.prompt_id for event in farm.farm.log.of(Finished)]


def test_nobody_cancels_where_nobody_answers(memory_farm: Start) -> None:
    """The step is told as refused there; the other instance hears it."""
    farm = play(memory_farm, {"at": "1s", "stop": "gpu-1"}, {"at": "2s", "interrupt": "*"})
    farm.run_until_idle()
    assert taken(farm)[1] == (2000, "interrupt", ("gpu-1", "gpu-2"), "gpu-1 is stopped")


def test_an_instance_is_drained_and_forgets_all_whether_it_runs_or_not(memory_farm: Start) -> None:
    farm = play(
        memory_farm,
        {"at": "1s", "drain": "*"},
        {"at": "2s", "undrain": "gpu-1"},
        {"at": "3s", "pause": "gpu-1"},
        {"at": "3s", "stop": "gpu-2"},
        {"at": "4s", "reset": "*"},
    )
    post(farm, "gpu-1")
    farm.run_until_idle()
    states = farm.control("GET", "/api/instances").json()
    assert [(state["state"], state["draining"]) for state in states.values()] == [("running", False), ("stopped", True)]
    assert farm["gpu-1"].ask("GET", "/history").json() == {}
    assert {refused for *_, refused in taken(farm)} == {""}


def test_a_virtual_clock_has_no_speed_that_a_step_could_change(memory_farm: Start) -> None:
    farm = play(memory_farm, {"at": "1s", "speed": 2})
    farm.advance("1s")
    assert taken(farm)[0][3].startswith("this farm's clock is virtual")


def test_settings_change_while_it_runs(memory_farm: Start) -> None:
    """As by PATCH: the running job hears of it at its next step."""
    farm = play(
        memory_farm,
        {"at": "10500ms", "change": {"on": "gpu-1", "timing": {"step": "10s"}}},
        instance={"timing": {"step": "1s"}},
    )
    post(farm, "gpu-1")
    assert farm.run_until_idle() == 11_000 + 9 * 10_000 + 31


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 1}, "scenario[0].step[0].change.port: cannot change while it runs (what may: mode, naming,"),
        ({"cash": "ram"}, "scenario[0].step[0].change.cash: unknown key (what may: mode, naming,"),
        ({"missing_nodes": ["KSamplr"]}, "scenario[0].step[0].change.missing_nodes[0]: there is no node type"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_before_the_farm_begins(
    memory_farm: Start, change: dict[str, Any], said: str
) -> None:
    """With its place."""
    with pytest.raises(ConfigError) as caught:
        play(memory_farm, {"at": "1s", "change": change})
    assert str(caught.value).startswith(said)


# Faults and heal.


def test_a_fault_of_a_scenario_is_armed_when_it_begins(memory_farm: Start) -> None:
    """And one of a step at its step; from then on their time counts."""
    fault = {"at": "start", "do": "delay", "duration": "1s", "ttl": "2s"}
    farm = play(memory_farm, {"at": "3s", "fault": {**fault, "on": "gpu-2"}}, fault=[fault], after="1s")
    farm.run_until_idle()
    assert [(each.at_ms, each.id, each.on) for each in farm.farm.log.of(FaultArmed)] == [
        (1000, "play", ("gpu-1", "gpu-2")),
        (4000, "play-2", ("gpu-2",)),
    ]
    assert [(each.at_ms, each.id) for each in farm.farm.log.of(FaultExpired)] == [(3000, "play"), (6000, "play-2")]


def test_a_fault_whose_name_was_taken_meanwhile_is_refused_and_the_play_goes_on(memory_farm: Start) -> None:
    """It is told with the step."""
    hang = {"id": "mine", "at": "node", "do": "hang"}
    farm = play(memory_farm, {"at": "1s", "fault": hang}, {"at": "2s", "pause": "*"})
    answer = farm.control("POST", "/api/faults", json=hang)
    assert answer.status == 200, answer.body
    farm.run_until_idle()
    told = [(action, refused) for _, action, _, refused in taken(farm)]
    assert told == [("fault", "id: 'mine' is armed already"), ("pause", "")]


def test_heal_lets_everything_end(memory_farm: Start) -> None:
    """A job that hung goes on, and what was stopped is up."""
    farm = play(
        memory_farm,
        {"at": "1s", "stop": "gpu-2"},
        {"at": "5s", "heal": True},
        fault=[{"at": "node", "do": "hang", "on": "gpu-1"}],
    )
    prompt_id = post(farm, "gpu-1")
    farm.run_until_idle()
    assert [(each.at_ms, each.prompt_id) for each in farm.farm.log.of(Finished)] == [(5331, prompt_id)]
    assert post(farm, "gpu-2")


# Load.


def test_a_load_gives_each_instance_its_jobs(memory_farm: Start) -> None:
    """One after another, each with a name of its own, and all of them run."""
    farm = play(memory_farm, {"at": "1s", "load": {"jobs": 2, "every": "100ms", "steps": 4, "job": "mine"}})
    assert farm.run_until_idle() == 1100 + 4 * 15 + 31
    assert submitted(farm) == [
        (1000, "gpu-1", "mine-1"),
        (1000, "gpu-2", "mine-2"),
        (1100, "gpu-1", "mine-3"),
        (1100, "gpu-2", "mine-4"),
    ]
    assert [each.status for each in farm.farm.log.of(Finished)] == ["success"] * 4


def test_two_loads_never_give_two_jobs_the_same_name(memory_farm: Start) -> None:
    farm = play(memory_farm, {"at": "0s", "load": {"jobs": 1}}, {"at": "1s", "load": {"jobs": 1, "on": "gpu-2"}})
    farm.run_until_idle()
    assert [job for _, _, job in submitted(farm)] == ["load-1", "load-2", "load-3"]


def test_a_client_of_the_loads_name_hears_its_progress(memory_farm: Start) -> None:
    """Others do not; of jobs without a client id everybody hears."""
    farm = play(memory_farm, {"at": "1s", "load": {"jobs": 1}}, {"at": "5s", "load": {"jobs": 1, "client": ""}})
    load, other = farm["gpu-1"].listen("load"), farm["gpu-1"].listen("other")
    farm.advance("4s")
    assert "progress" in [message["type"] for message in load.heard]
    assert {message["type"] for message in other.heard} <= {"status", "feature_flags"}
    farm.advance("4s")
    assert "progress" in [message["type"] for message in other.heard]


def test_a_load_takes_a_checkpoint_that_the_instance_has(memory_farm: Start) -> None:
    """Where it has none, the job is refused as anybody's would be, and the play goes on."""
    farm = play(
        memory_farm,
        {"at": "1s", "load": {"jobs": 1, "on": "gpu-1"}},
        {"at": "2s", "change": {"on": "gpu-1", "models": {"checkpoints": []}}},
        {"at": "3s", "load": {"jobs": 1, "on": "gpu-1"}},
        instance={"models": {"checkpoints": ["mine.safetensors"]}},
    )
    farm.run_until_idle()
    assert submitted(farm) == [(1000, "gpu-1", "load-1")]
    assert [(each.at_ms, each.job) for each in farm.farm.log.of(PromptRefused)] == [(3000, "load-2")]


def test_a_job_for_an_instance_that_is_down_is_lost_and_told(memory_farm: Start) -> None:
    """As a client's would be that asks once; those that come later are taken on."""
    farm = play(
        memory_farm,
        {"at": "0s", "load": {"jobs": 3, "every": "1s", "on": "gpu-1"}},
        {"at": "500ms", "stop": "gpu-1"},
        {"at": "1500ms", "start": "gpu-1"},
    )
    farm.run_until_idle()
    assert [job for _, _, job in submitted(farm)] == ["load-1", "load-3"]
    lost = [(each.at_ms, each.instance, each.epoch, each.job) for each in farm.farm.log.of(Unsubmitted)]
    assert lost == [(1000, "gpu-1", 1, "load-2")]


def test_a_poisonous_load_kills_every_process_that_runs_it(memory_farm: Start) -> None:
    """An incident and a load of one's own, together."""
    farm = memory_farm(
        {
            "instance": [{"name": "gpu-{n}", "count": 2, "port": 0}],
            "scenario": [
                {"use": "F43"},
                {"name": "retries", "step": [{"at": "1s", "load": {"jobs": 1, "job": "poison"}}]},
            ],
        }
    )
    farm.run_until_idle()
    assert [(each.instance, each.id, each.job) for each in farm.farm.log.of(FaultFired)] == [
        ("gpu-1", "F43", "poison-1"),
        ("gpu-2", "F43", "poison-2"),
    ]
    assert [each.epoch for each in farm.farm.backends.values()] == [2, 2]


# The same every time, and well in the end.


def test_a_scenario_is_the_same_every_time(memory_farm: Start) -> None:
    """Same seed, same log; event by event."""
    steps: tuple[dict[str, Any], ...] = (
        {"at": "0s", "load": {"jobs": 10, "every": "250ms"}},
        {"at": "1s", "restart": "gpu-1"},
        {"at": "1200ms", "fault": {"at": "node", "do": "error", "chance": 0.3}},
        {"at": "2s", "interrupt": "*"},
        {"at": "3s", "heal": True},
    )
    fault = {"at": "step", "do": "delay", "duration": "20ms", "chance": 0.2}
    logs = []
    for _ in range(2):
        farm = play(memory_farm, *steps, fault=[fault])
        farm.run_until_idle()
        logs.append(list(farm.farm.log.events))
    assert logs[0] == logs[1]
    assert {each.id for each in logs[0] if isinstance(each, FaultFired)} == {"play", "play-2"}


def test_a_farm_that_stops_takes_no_further_step(memory_farm: Start) -> None:
    farm = play(memory_farm, {"at": "1s", "pause": "*"})
    farm.stop()
    farm.wire.reactor.advance(2)
    assert taken(farm) == []
    assert not farm.wire.reactor.getDelayedCalls()


@pytest.mark.parametrize("incident", incidents())
def test_after_a_heal_every_instance_finishes_new_jobs(memory_farm: Start, incident: str) -> None:
    """Whatever the incident has done until then."""
    farm = memory_farm(
        {
            "instance": [{"name": "gpu-{n}", "count": 2, "port": 0}],
            "scenario": [
                {"use": incident},
                {"name": "jobs", "step": [{"at": "1s", "load": {"jobs": 5, "every": "10s", "job": "poison"}}]},
                {"name": "end", "step": [{"at": "1min", "heal": True}]},
            ],
        }
    )
    farm.advance("61s")
    mine = [_post_whatever_it_takes(farm, name) for name in farm.farm.backends]
    farm.run_until_idle()
    ended = {event.prompt_id: event.status for event in farm.farm.log.of(Finished)}
    assert [ended[prompt_id] for prompt_id in mine] == ["success", "success"]


def _post_whatever_it_takes(farm: MemoryFarm, name: str) -> str:
    """A job with a checkpoint that the instance lists."""
    prompt = text_to_image(1234)
    prompt["4"]["inputs"]["ckpt_name"] = farm[name].ask("GET", "/models/checkpoints").json()[0]
    return str(farm[name].ask("POST", "/prompt", json={"prompt": prompt}).json()["prompt_id"])
