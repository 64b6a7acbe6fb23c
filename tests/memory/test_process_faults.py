"""What befalls a process: it crashes, freezes, refuses, flaps, and comes back; in memory, on a clock that is moved."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.events import (
    Event,
    Exchanged,
    FaultExpired,
    FaultFired,
    FaultHealed,
    Finished,
    FrameSent,
    Frozen,
    Healed,
    ModelLoaded,
    NodeStarted,
    Refusing,
    ServerStarted,
    ServerStopped,
    SocketClosed,
    Submitted,
    Thawed,
    Uploaded,
)
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Asking
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
STEP = {"timing": {"step": "1s", "node": "0ms", "save": "0ms"}}
TWO = {"instance": [{"name": "gpu-{n}", "count": 2, **STEP}]}
BOUNDARY = b'--x\r\nContent-Disposition: form-data; name="image"; filename="mine.png"\r\n\r\nbytes\r\n--x--\r\n'
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def post(farm: MemoryFarm, name: str = "gpu-1", steps: int = 20, **body: Any) -> str:
    answer = farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(steps=steps), **body})
    return str(answer.json()["prompt_id"])


def begin(farm: MemoryFarm, method: str, path: str, body: object = None, name: str = "gpu-1") -> Asking:
    """An exchange that may not be answered yet."""
    content = b"" if body is None else json.dumps(body).encode()
    return farm.wire.begin(farm.farm.backends[name].site, method, path, content)


def state(farm: MemoryFarm, name: str = "gpu-1") -> str:
    return str(farm.control("GET", f"/api/instances/{name}").json()["state"])


def control(farm: MemoryFarm, what: str, **body: Any) -> Any:
    return farm.control("POST", f"/api/instances/gpu-1/{what}", json=body).json()


def told(farm: MemoryFarm, *kinds: type[Event], on: str = "gpu-1") -> list[tuple[str, int]]:
    """When which of these happened."""
    events = [each for each in farm.farm.log.events if isinstance(each, kinds) and each.instance == on]
    return [(type(each).__name__, each.at_ms) for each in events]


# Crash.


def test_a_crash_hangs_up_loses_all_and_comes_back_at_its_time(memory_farm: Start) -> None:
    """The socket ends without a goodbye, the port is closed, and the next epoch knows of nothing."""
    farm = memory_farm(TWO)
    ended = post(farm, steps=1)
    farm.run_until_idle()
    listener = farm["gpu-1"].listen("me")
    running, waiting = post(farm), post(farm)
    with farm.fault(do="crash", at="process", on="gpu-1", after="5s", restart_after="3s") as fault:
        farm.advance("4s")
        assert (state(farm), fault.fired) == ("stopped", 1)
        assert listener.lost is not None
        (stopped,) = farm.farm.log.of(ServerStopped)
        assert (stopped.lost, stopped.reason, stopped.kept, stopped.at_ms) == ((running, waiting), "crashed", (), 5000)
        with pytest.raises(ConnectionRefusedError):
            farm["gpu-1"].ask("GET", "/queue")
        farm.advance("3s")
        (started,) = farm.farm.log.of(ServerStarted)
        assert (started.at_ms, started.epoch, state(farm)) == (8000, 2, "running")
        assert farm["gpu-1"].ask("GET", "/history").json() == {}
        assert farm["gpu-1"].ask("GET", "/queue").json() == {"queue_running": [], "queue_pending": []}
    again = post(farm, steps=1)
    assert again not in (ended, running, waiting)
    farm.run_until_idle()
    assert again in farm["gpu-1"].ask("GET", "/history").json()


def test_nothing_of_a_dead_process_happens_any_more(memory_farm: Start) -> None:
    """The jump goes over all that would have been due: the job's steps, its end, the next job."""
    farm = memory_farm(TWO)
    farm["gpu-1"].listen("me")
    post(farm)
    post(farm)
    with farm.fault(do="crash", at={"phase": "step", "step": 3}, on="gpu-1"):
        farm.advance("100s")
        stopped = next(each for each in farm.farm.log.of(ServerStopped))
        after = [each for each in farm.farm.log.events if each.instance == "gpu-1" and each.seq > stopped.seq]
        assert (stopped.at_ms, after) == (3000, [])
        assert told(farm, SocketClosed) == [("SocketClosed", 3000)]
        assert [each.to for each in farm.farm.log.of(FrameSent) if each.at_ms >= 3000] == []


def test_a_crash_keeps_what_it_is_told_to_keep(memory_farm: Start) -> None:
    """Queue, history, uploads and models: the job that ran begins again, before those that waited."""
    farm = memory_farm({"instance": [{"name": "gpu-1", "mode": "dynamic", **STEP}]})
    ended = post(farm, steps=1)
    farm.run_until_idle()
    farm["gpu-1"].ask("POST", "/upload/image", data=BOUNDARY, headers=MULTIPART)
    running, second, third = post(farm), post(farm, steps=1), post(farm, steps=2)
    keep = ["queue", "history", "uploads", "models"]
    with farm.fault(do="crash", at="process", on="gpu-1", after="4s", restart_after="1s", keep=keep):
        loaded = len(list(farm.farm.log.of(ModelLoaded)))
        farm.advance("4s")
        queue = farm["gpu-1"].ask("GET", "/queue").json()
        assert [each[1] for each in queue["queue_running"] + queue["queue_pending"]] == [running, second, third]
        assert list(farm["gpu-1"].ask("GET", "/history").json()) == [ended]
        assert farm["gpu-1"].ask("GET", "/view?filename=mine.png&type=input").status == 200
        kept = [(each.at_ms, each.prompt_id) for each in list(farm.farm.log.of(ModelLoaded))[loaded:]]
        assert kept == [(5000, None)]
        new = post(farm, steps=1)
        farm.run_until_idle()
    (stopped,) = farm.farm.log.of(ServerStopped)
    assert (stopped.lost, stopped.kept) == ((), tuple(keep))
    assert [each.prompt_id for each in farm.farm.log.of(Finished)] == [ended, running, second, third, new]
    begun = [(each.at_ms, each.epoch) for each in farm.farm.log.of(NodeStarted) if each.prompt_id == running]
    assert {epoch for _, epoch in begun} == {1, 2}


def test_a_kept_queue_waits_until_the_boot_is_over(memory_farm: Start) -> None:
    """A second crash during the boot does not lose it, and one that keeps nothing does."""
    farm = memory_farm({"instance": [{"name": "gpu-1", "timing": {"boot": "10s", "step": "1s"}}]})
    farm.advance("10s")
    job = post(farm)
    control(farm, "crash", keep=["queue"])
    assert control(farm, "start")["state"] == "booting"
    farm.advance("5s")
    control(farm, "crash", keep=["queue"])
    control(farm, "start")
    farm.advance("9s")
    assert farm.control("GET", "/api/instances/gpu-1").json()["queue_remaining"] == 0
    farm.advance("2s")
    assert farm.control("GET", "/api/instances/gpu-1").json()["running"] == job
    control(farm, "crash")
    assert [each.lost for each in farm.farm.log.of(ServerStopped)] == [(), (), (job,)]


def test_a_reset_forgets_what_a_crashed_instance_has_kept(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm)
    farm.control("POST", "/api/instances/gpu-1/crash", json={"keep": ["queue", "history"]})
    farm.control("POST", "/api/instances/gpu-1/reset")
    farm.control("POST", "/api/instances/gpu-1/start")
    assert farm["gpu-1"].ask("GET", "/prompt").json()["exec_info"]["queue_remaining"] == 0


def test_without_a_time_a_crash_lasts_until_its_fault_is_taken_off(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="crash", at="process", on="gpu-1"):
        farm.advance("1h")
        assert state(farm) == "stopped"
    assert state(farm) == "running"
    assert [each.reason for each in farm.farm.log.of(FaultHealed)] == ["removed"]


def test_a_crash_lasts_no_longer_than_its_fault(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="crash", at="process", on="gpu-1", ttl="7s", restart_after="1h") as fault:
        farm.advance("6s")
        assert state(farm) == "stopped"
        farm.advance("1s")
        assert (state(farm), fault.state) == ("running", "expired")
    assert told(farm, ServerStarted) == [("ServerStarted", 7000)]


def test_an_instance_that_somebody_starts_before_its_time_is_started_once(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="crash", at="process", on="gpu-1", restart_after="10s"):
        farm.advance("2s")
        farm.control("POST", "/api/instances/gpu-1/start")
        job = post(farm)
        farm.run_until_idle()
    assert told(farm, ServerStarted) == [("ServerStarted", 2000)]
    assert job in farm["gpu-1"].ask("GET", "/history").json()


@pytest.mark.parametrize("what", ["pause", "freeze", "refuse", "boot"])
def test_an_instance_in_any_state_crashes_and_comes_back_sound(memory_farm: Start, what: str) -> None:
    """Paused, frozen, refusing or booting: the new process is none of these."""
    farm = memory_farm({"instance": [{"name": "gpu-1", "timing": {"boot": "5s"}}]})
    if what == "boot":
        farm.advance("1s")
    else:
        farm.advance("5s")
        post(farm)
        if what == "pause":
            control(farm, "pause")
        else:
            farm.control("POST", "/api/faults", json={"do": what, "at": "process"})
        farm.advance(0)
    with farm.fault(do="crash", at="process", restart_after="1s"):
        assert state(farm) == "stopped"
        farm.advance("1s")
        assert state(farm) == "booting"
        farm.advance("5s")
        detail = farm.control("GET", "/api/instances/gpu-1").json()
        assert (detail["state"], detail["refusing"], detail["queue_remaining"]) == ("running", False, 0)
    job = post(farm)
    farm.run_until_idle()
    assert job in farm["gpu-1"].ask("GET", "/history").json()


def test_an_exchange_during_which_its_process_dies_is_never_answered(memory_farm: Start) -> None:
    """After the work: the job was taken on, and nobody hears of it."""
    farm = memory_farm(TWO)
    at = {"phase": "reply", "route": "/prompt", "method": "POST"}
    with farm.fault(do="crash", at=at, on="gpu-1", restart_after="1s"):
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image()})
        farm.advance("10s")
        assert asking.reply() is None
    (submitted,) = farm.farm.log.of(Submitted)
    assert next(farm.farm.log.of(ServerStopped)).lost == (submitted.prompt_id,)
    (exchanged,) = [each for each in farm.farm.log.of(Exchanged) if each.path == "/prompt"]
    assert (exchanged.status, exchanged.epoch) == (0, 1)
    assert list(farm.farm.log.of(Finished)) == []


def test_a_request_that_kills_the_process_is_not_worked_on(memory_farm: Start) -> None:
    """Before the work: there is no job."""
    farm = memory_farm(TWO)
    with farm.fault(do="crash", at="submit", on="gpu-1", restart_after="1s"):
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image()})
        farm.advance("10s")
        assert asking.reply() is None
        assert (list(farm.farm.log.of(Submitted)), state(farm)) == ([], "running")


def test_an_upload_under_way_dies_with_its_process(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1", "timing": {"upload": "10s"}}]})
    site = farm.farm.backends["gpu-1"].site
    asking = farm.wire.begin(site, "POST", "/upload/image", BOUNDARY, MULTIPART)
    with farm.fault(do="crash", at="process", after="5s", restart_after="1s"):
        farm.advance("60s")
    assert asking.reply() is None
    assert farm["gpu-1"].ask("GET", "/view?filename=mine.png&type=input").status == 404


def test_a_crash_of_one_of_three_is_not_noticed_by_the_others(memory_farm: Start) -> None:
    """Fifty jobs pending on it: what the others do and say is the same, but for ``seq``."""
    three = {"farm": {"seed": 5}, "instance": [{"name": "gpu-{n}", "count": 3, "timing": {"jitter": 0.3}}]}
    logs = []
    for with_crash in (False, True):
        farm = memory_farm(three)
        fault = {"do": "crash", "at": "process", "on": "gpu-2", "after": "2s", "restart_after": "1s"}
        if with_crash:
            farm.control("POST", "/api/faults", json=fault)
        for number in range(50):
            for name in ("gpu-1", "gpu-2", "gpu-3"):
                post(farm, name, seed=number) if name == "gpu-2" or number < 10 else None
        farm.run_until_idle()
        logs.append([_without_seq(each) for each in farm.farm.log.events if each.instance in ("gpu-1", "gpu-3")])
    (stopped,) = farm.farm.log.of(ServerStopped)
    assert len(stopped.lost) > 40
    assert logs[0] == logs[1]


def _without_seq(event: Event) -> dict[str, Any]:
    return {key: getattr(event, key) for key in event.__struct_fields__ if key != "seq"} | {"kind": type(event)}


def test_a_job_that_kills_every_process_does_so_again_and_again_while_time_passes(memory_farm: Start) -> None:
    """Its queue is kept, and it comes back at once: a crash loop, not a farm that hangs."""
    farm = memory_farm(TWO)
    with farm.fault(do="crash", at="start", on="gpu-1", restart_after="0s", keep=["queue"]) as fault:
        job = post(farm, steps=1)
        farm.advance("0.05s")
        assert 20 < fault.fired <= 51
    farm.run_until_idle()
    assert [each.prompt_id for each in farm.farm.log.of(Finished)] == [job]


# Freeze.


def test_a_frozen_instance_answers_when_it_thaws_and_in_order(memory_farm: Start) -> None:
    """Connections are accepted, nothing is answered, nothing is said; then all at once."""
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    post(farm, steps=3, client_id="me")
    heard = len(listener.heard)
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="60s"):
        assert state(farm) == "frozen"
        first = begin(farm, "POST", "/prompt", {"prompt": text_to_image(steps=1)})
        second = begin(farm, "GET", "/prompt")
        farm.advance("59s")
        assert (first.reply(), second.reply(), len(listener.heard)) == (None, None, heard)
        farm.advance("1s")
        answer, count = first.end(), second.end()
    assert answer.json()["prompt_id"]
    assert count.json() == {"exec_info": {"queue_remaining": 2}}
    assert told(farm, Frozen, Thawed) == [("Frozen", 0), ("Thawed", 60_000)]
    assert next(farm.farm.log.of(Frozen)).worker
    farm.run_until_idle()
    assert [each.at_ms for each in farm.farm.log.of(Finished)] == [63_000, 64_000]


def test_the_job_of_a_frozen_instance_stands_still_with_the_time_it_had_left(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, steps=2)
    farm.advance("1.4s")
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="10s"):
        farm.run_until_idle()
    assert [each.at_ms for each in farm.farm.log.of(Finished)] == [12_000]


def test_the_worker_may_go_on_while_nobody_is_answered(memory_farm: Start) -> None:
    """Its messages come when it thaws, and only then the log says that they went out."""
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    with farm.fault(do="freeze", at={"phase": "start"}, on="gpu-1", worker="goes on", duration="30s", times=1):
        job = post(farm, steps=2, client_id="me")
        farm.advance("29s")
        assert [each.at_ms for each in farm.farm.log.of(Finished)] == [2000]
        assert "execution_success" not in listener.types()
        farm.advance("1s")
    assert "execution_success" in listener.types()
    sent = [each.at_ms for each in farm.farm.log.of(FrameSent) if each.prompt_id == job]
    assert set(sent) == {30_000}
    order = [each for each in listener.types() if each.startswith("execution_")]
    assert order == ["execution_start", "execution_cached", "execution_success"]


def test_whoever_hangs_up_on_a_frozen_instance_has_asked_all_the_same(memory_farm: Start) -> None:
    """A client gives up and sends its job elsewhere: now it runs twice."""
    farm = memory_farm(TWO)
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="10s"):
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image(steps=1)})
        farm.advance("5s")
        with pytest.raises(AssertionError, match="no answer"):
            asking.end()
        post(farm, "gpu-2", steps=1)
        farm.run_until_idle()
    assert [(each.instance, each.at_ms) for each in farm.farm.log.of(Submitted)] == [("gpu-2", 5000), ("gpu-1", 10_000)]
    assert len(list(farm.farm.log.of(Finished))) == 2


def test_an_upload_under_way_ends_when_its_process_has_thawed(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1", "timing": {"upload": "2s"}}]})
    asking = farm.wire.begin(farm.farm.backends["gpu-1"].site, "POST", "/upload/image", BOUNDARY, MULTIPART)
    with farm.fault(do="freeze", at="process", duration="10s"):
        farm.advance("9s")
        assert (asking.reply(), list(farm.farm.log.of(Uploaded))) == (None, [])
        farm.advance("1s")
        assert asking.end().status == 200
    assert [each.at_ms for each in farm.farm.log.of(Uploaded)] == [10_000]


def test_a_pause_during_a_freeze_keeps_the_time_that_was_left(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, steps=2)
    farm.advance("1.4s")
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="10s"):
        farm.advance("5s")
        farm.control("POST", "/api/instances/gpu-1/pause")
        farm.advance("10s")
        farm.control("POST", "/api/instances/gpu-1/resume")
        farm.run_until_idle()
    assert [each.at_ms for each in farm.farm.log.of(Finished)] == [16_400 + 600]


def test_a_crash_forgets_what_a_frozen_process_has_not_heard(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="freeze", at="process", on="gpu-1"):
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image()})
        farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "1s"})
        farm.advance("10s")
    assert asking.reply() is None
    assert list(farm.farm.log.of(Submitted)) == []
    assert told(farm, Frozen, Thawed) == [("Frozen", 0)]


def test_a_reply_is_held_while_the_process_freezes_at_it(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="freeze", at="reply", on="gpu-1", duration="10s", times=1):
        asking = begin(farm, "GET", "/queue")
        farm.advance("9s")
        assert (asking.reply(), state(farm)) == (None, "frozen")
        farm.advance("1s")
        assert asking.end().status == 200


# Refuse.


def test_a_refusing_instance_takes_nobody_new_and_keeps_whom_it_has(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    job = post(farm, steps=3, client_id="me")
    with farm.fault(do="refuse", at="process", on="gpu-1", duration="10s"):
        detail = farm.control("GET", "/api/instances/gpu-1").json()
        assert (detail["state"], detail["refusing"]) == ("running", True)
        with pytest.raises(ConnectionRefusedError):
            farm["gpu-1"].ask("GET", "/queue")
        farm.advance("5s")
        assert "execution_success" in listener.types()
        farm.advance("5s")
    assert job in farm["gpu-1"].ask("GET", "/history").json()
    refusing = [(each.at_ms, each.on) for each in farm.farm.log.of(Refusing)]
    assert (refusing, listener.lost) == ([(0, True), (10_000, False)], None)


# Flap.


def test_a_flapping_instance_falls_as_often_as_it_is_told(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="flap", at="process", on="gpu-1", after="1s", down="5s", up="10s", times_down=3):
        farm.run_until_idle()
    life = told(farm, ServerStopped, ServerStarted)
    assert life == [
        ("ServerStopped", 1000), ("ServerStarted", 6000),
        ("ServerStopped", 16_000), ("ServerStarted", 21_000),
        ("ServerStopped", 31_000), ("ServerStarted", 36_000),
    ]   # fmt: skip


@pytest.mark.parametrize("at_s", [2, 8])
def test_a_flapping_instance_that_is_let_alone_is_up_and_stays_up(memory_farm: Start, at_s: int) -> None:
    """Taken off while it is down, or while it is up."""
    farm = memory_farm(TWO)
    with farm.fault(do="flap", at="process", on="gpu-1", down="5s", up="10s"):
        farm.advance(at_s)
    assert state(farm) == "running"
    farm.run_until_idle()
    assert len(list(farm.farm.log.of(ServerStopped))) == 1


# Who does it, and who heals.


def test_a_rolling_fault_befalls_one_after_the_other(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-{n}", "count": 3, **STEP}, {"name": "other"}]})
    fault = {"do": "crash", "at": "process", "on": "gpu-*", "after": "10s", "stagger": "2s", "restart_after": "1s"}
    with farm.fault(**fault) as rolling:
        farm.advance("11.5s")
        assert (rolling.fired, rolling.state) == (1, "armed")
        farm.run_until_idle()
        assert (rolling.fired_on, rolling.state) == ({"gpu-1": 1, "gpu-2": 1, "gpu-3": 1}, "expired")
    falls = [(each.instance, each.at_ms) for each in farm.farm.log.of(ServerStopped)]
    assert falls == [("gpu-1", 10_000), ("gpu-2", 12_000), ("gpu-3", 14_000)]
    assert [each.reason for each in farm.farm.log.of(FaultExpired)] == ["spent"]


def test_a_fault_on_a_process_that_is_stopped_counts_and_does_nothing(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.control("POST", "/api/instances/gpu-1/stop")
    with farm.fault(do="freeze", at="process", on="gpu-1", duration="1s") as fault:
        assert fault.fired == 1
        farm.run_until_idle()
    assert (told(farm, Frozen, Thawed), state(farm)) == ([], "stopped")


def test_a_fault_that_is_taken_off_before_its_time_never_fires(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.fault(do="crash", at="process", on="gpu-1", after="10s") as fault:
        farm.advance("5s")
    farm.advance("1h")
    assert (fault.fired, fault.state, list(farm.farm.log.of(FaultFired))) == (0, "removed", [])


def test_taking_one_fault_off_undoes_nothing_else(memory_farm: Start) -> None:
    """What somebody paused or stopped by hand stays so."""
    farm = memory_farm(TWO)
    with farm.fault(do="freeze", at="process", on="gpu-1"):
        farm.control("POST", "/api/instances/gpu-1/pause")
    assert state(farm) == "paused"
    with farm.fault(do="refuse", at="process", on="gpu-1"):
        farm.control("POST", "/api/instances/gpu-1/stop")
    assert state(farm) == "stopped"


def test_heal_has_everything_up_and_at_work(memory_farm: Start) -> None:
    """Crashed, frozen, refusing, paused, stopped by hand, crashed by hand, and jobs that hang."""
    names = ["crashed", "frozen", "refusing", "paused", "stopped", "by-hand", "hanging"]
    farm = memory_farm({"instance": [{"name": name, **STEP} for name in names]})
    for on, do in (("crashed", "crash"), ("frozen", "freeze"), ("refusing", "refuse")):
        farm.control("POST", "/api/faults", json={"do": do, "at": "process", "on": on})
    farm.control("POST", "/api/faults", json={"do": "hang", "at": "node", "on": "hanging"})
    job = post(farm, "hanging", steps=1)
    for name, what in (("paused", "pause"), ("stopped", "stop"), ("by-hand", "crash")):
        farm.control("POST", f"/api/instances/{name}/{what}")
    farm.advance("10s")
    farm.heal()
    assert {name: state(farm, name) for name in names} == dict.fromkeys(names, "running")
    jobs = [post(farm, name, steps=1) for name in names]
    farm.run_until_idle()
    assert {each.prompt_id for each in farm.farm.log.of(Finished)} == {job, *jobs}
    assert [each.at_ms for each in farm.farm.log.of(Healed)] == [10_000]


def test_a_farm_that_is_stopped_while_an_instance_is_down_leaves_nothing_behind(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.control("POST", "/api/faults", json={"do": "crash", "at": "process", "on": "gpu-1", "restart_after": "5s"})
    farm.control("POST", "/api/faults", json={"do": "freeze", "at": "process", "on": "gpu-2"})
    farm.advance("1s")
    farm.stop()
    assert farm.farm.time.clock.getDelayedCalls() == []
    assert not farm.farm.data_dir.exists()


def test_the_same_seed_and_faults_give_the_same_log(memory_farm: Start) -> None:
    def run() -> list[dict[str, Any]]:
        farm = memory_farm({"farm": {"seed": 3}, "instance": [{"name": "gpu-{n}", "count": 3, **STEP}]})
        faults = [
            {"do": "crash", "at": {"phase": "step"}, "chance": 0.05, "restart_after": "2s", "keep": ["queue"]},
            {"do": "freeze", "at": "start", "chance": 0.3, "duration": "3s"},
            {"do": "flap", "at": "process", "on": "gpu-2", "after": "7s", "down": "1s", "up": "2s"},
        ]
        assert farm.control("POST", "/api/faults", json={"faults": faults}).status == 200
        for name in ("gpu-1", "gpu-2", "gpu-3"):
            for _ in range(5):
                begin(farm, "POST", "/prompt", {"prompt": text_to_image(steps=5)}, name)
        farm.run_until_idle()
        assert any(each.instance != "gpu-2" for each in farm.farm.log.of(ServerStopped))
        return [_without_seq(each) for each in farm.farm.log.events]

    assert run() == run()
