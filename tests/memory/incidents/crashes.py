"""Incidents of a process that dies, and what of it outlasts that."""

import pytest
from twisted.internet.error import ConnectionLost

from comfyfarm.testing.listener import Listener
from tests.memory.incidents.asking import data_of, entry_of, fired, heard, post, queue
from tests.memory.incidents.clients import ask_the_queue_after_a_restart, send_all_again_after_a_restart
from tests.memory.incidents.table import Start, incident, stage

SECOND_STEP_MS = 45     # five nodes have begun, and the sampler has taken two steps


def was_reset(listener: Listener) -> bool:
    """Without a goodbye."""
    return listener.lost is not None and listener.lost.check(ConnectionLost) is not None and listener.goodbye is None


@incident("F03")
def a_process_dies_in_the_middle_of_a_job(memory_farm: Start) -> None:
    """The socket is reset, the port refuses until somebody starts it, and the other server has not noticed."""
    farm = stage(memory_farm, "F03")
    me, other = farm["gpu-1"].listen("me"), farm["gpu-2"].listen("me")
    post(farm)
    elsewhere = post(farm, "gpu-2")
    farm.advance((SECOND_STEP_MS - 1) / 1000)
    assert (me.lost, queue(farm)[1]) == (None, [])
    farm.advance("1ms")
    assert was_reset(me)
    assert heard(me)[-2:] == ("executing 3", "progress 1")
    for wait in ("0s", "1s", "24h"):
        farm.advance(wait)
        with pytest.raises(ConnectionRefusedError):
            farm["gpu-1"].ask("GET", "/queue")
        with pytest.raises(ConnectionRefusedError):
            farm["gpu-1"].listen("me")
    assert entry_of(farm, elsewhere, "gpu-2")["status"]["status_str"] == "success"
    assert other.lost is None
    assert farm.control("POST", "/api/instances/gpu-1/start").status == 200
    again = post(farm)
    farm.run_until_idle()
    assert list(farm["gpu-1"].ask("GET", "/history").json()) == [again]


@incident("F04")
def a_crash_and_a_restart_that_nobody_sees(memory_farm: Start) -> None:
    """Fifty milliseconds, and the job is in no queue and in no history; whoever polls saw no refusal."""
    farm = stage(memory_farm, "F04")
    before = post(farm, steps=1)
    farm.advance("100ms")
    me = farm["gpu-1"].listen("me")
    running, waiting = post(farm), post(farm, seed=1)
    farm.advance("15ms")
    assert (queue(farm), entry_of(farm, before) is None) == (([running], [waiting]), False)
    farm.advance((SECOND_STEP_MS - 15 - 15) / 1000)     # the one step of the job before counts as the first
    assert was_reset(me)
    farm.advance("49ms")
    with pytest.raises(ConnectionRefusedError):
        farm["gpu-1"].ask("GET", "/queue")
    farm.advance("1ms")
    assert queue(farm) == ([], [])
    assert farm["gpu-1"].ask("GET", "/history").json() == {}
    assert data_of(farm["gpu-1"].listen("me"), "status")[0]["status"] == {"exec_info": {"queue_remaining": 0}}
    again = post(farm)
    farm.run_until_idle()
    assert list(farm["gpu-1"].ask("GET", "/history").json()) == [again]


@incident("F05")
def a_restart_that_lost_nothing(memory_farm: Start) -> None:
    """After it everything is in the queue still: who sends it again has it all twice."""
    seeds = (1, 2, 3)
    ended = {}
    for client in (send_all_again_after_a_restart, ask_the_queue_after_a_restart):
        farm = stage(memory_farm, "F05")
        sent = client(farm, seeds)
        assert fired(farm) == [(SECOND_STEP_MS, "gpu-1", "F05")]
        running, pending = queue(farm)
        assert [*running, *pending][:3] == sent[:3]
        farm.run_until_idle()
        history = farm["gpu-1"].ask("GET", "/history").json()
        assert [entry["status"]["status_str"] for entry in history.values()] == ["success"] * len(sent)
        ended[client] = [entry["prompt"][2]["3"]["inputs"]["seed"] for entry in history.values()]
    assert ended == {
        send_all_again_after_a_restart: [1, 2, 3, 1, 2, 3],
        ask_the_queue_after_a_restart: [1, 2, 3],
    }
