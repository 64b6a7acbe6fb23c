"""Incidents of a websocket that falls silent, breaks, or is forgotten."""

from twisted.internet.error import ConnectionDone, ConnectionLost

from comfyfarm.workflows import text_to_image
from tests.memory.incidents.asking import USUAL, begin, entry_of, heard, neighbours, post, queue
from tests.memory.incidents.table import Start, incident, stage

GREETING = "status 0"


@incident("F08")
def open_but_mute(memory_farm: Start) -> None:
    """From the job's start on nothing comes, for this job and the next; history knows the end at its moment."""
    farm = stage(memory_farm, "F08")
    me, idle = farm["gpu-1"].listen("me"), farm["gpu-1"].listen("idle")
    prompt_id = post(farm)
    farm.advance("330ms")
    assert entry_of(farm, prompt_id) is None
    farm.advance("1ms")
    assert entry_of(farm, prompt_id)["status"]["status_str"] == "success"
    post(farm, client_id="somebody")
    farm.advance("1h")
    assert (heard(me), me.lost, me.goodbye) == ((GREETING, "status 1", "status 1"), None, None)
    assert heard(idle) == (GREETING, *["status 1", "status 1", "status 0"] * 2)


@incident("F09")
def events_before_anybody_listens(memory_farm: Start) -> None:
    """Both jobs have ended long before their submits are answered; whoever connects then hears a greeting only."""
    farm = stage(memory_farm, "F09")
    body = {"prompt": text_to_image(), "client_id": "me"}
    for ends_after in ("331ms", "0ms"):     # the second is answered from the cache
        already = len(farm["gpu-1"].ask("GET", "/history").json())
        asking = begin(farm, "POST", "/prompt", body)
        farm.advance(ends_after)
        assert len(farm["gpu-1"].ask("GET", "/history").json()) == already + 1
        assert (asking.reply(), neighbours(farm)) == (None, [200, 200])
        farm.advance("9s")
        assert asking.reply() is None
        farm.advance("1s")
        reply = asking.end()
        late = farm["gpu-1"].listen("me")
        farm.advance("1h")
        assert (reply.status, heard(late)) == (200, (GREETING,))
        assert entry_of(farm, reply.json()["prompt_id"])["status"]["completed"] is True
        late.transport.loseConnection()


@incident("F10")
def the_end_falls_into_a_gap(memory_farm: Start) -> None:
    """A reset in place of the end; the new socket is not even greeted, and hears again after five seconds."""
    farm = stage(memory_farm, "F10")
    me = farm["gpu-1"].listen("me")
    prompt_id = post(farm)
    farm.advance("330ms")
    assert me.lost is None
    farm.advance("1ms")
    assert heard(me)[1:] == USUAL[: USUAL.index("execution_success")]
    assert me.lost is not None
    assert (me.lost.check(ConnectionLost), me.goodbye) == (ConnectionLost, None)
    again = farm["gpu-1"].listen("me")
    farm.advance("4999ms")
    post(farm, client_id="other")
    assert again.heard == []
    farm.advance("1ms")
    post(farm, client_id="other")
    assert heard(again) == ("status 2",)
    farm.run_until_idle()
    already = len(heard(again))
    post(farm)
    farm.run_until_idle()
    assert heard(again)[already:] == USUAL
    assert entry_of(farm, prompt_id)["status"]["status_str"] == "success"


@incident("F11")
def a_clean_close_in_the_middle(memory_farm: Start) -> None:
    """The first progress is the last word, and a proper goodbye; the job ends well, and a new socket hears how."""
    farm = stage(memory_farm, "F11")
    me = farm["gpu-1"].listen("me")
    prompt_id = post(farm)
    farm.advance("30ms")
    assert heard(me)[1:] == USUAL[: USUAL.index("progress 1") + 1]
    assert me.lost is not None
    assert (me.lost.check(ConnectionDone), me.goodbye) == (ConnectionDone, (1000, ""))
    assert queue(farm) == ([prompt_id], [])
    again = farm["gpu-1"].listen("me")
    farm.advance("301ms")
    assert heard(again) == ("status 1", "executing 3", *USUAL[USUAL.index("progress 8") :])
    assert entry_of(farm, prompt_id)["status"]["status_str"] == "success"


@incident("F12")
def the_new_socket_is_forgotten(memory_farm: Start) -> None:
    """It breaks at the first node; the new one is greeted, told which node runs, and then never told anything."""
    farm = stage(memory_farm, "F12")
    me = farm["gpu-1"].listen("me")
    prompt_id = post(farm)
    assert heard(me)[1:] == USUAL[:4]
    assert me.lost is not None
    assert (me.lost.check(ConnectionLost), me.goodbye) == (ConnectionLost, None)
    farm.advance("1ms")
    again, fresh = farm["gpu-1"].listen("me"), farm["gpu-1"].listen("me-2")
    farm.advance("1h")
    post(farm)
    farm.advance("1h")
    assert (heard(again), again.lost) == (("status 1", "executing 4"), None)
    assert heard(fresh) == ("status 1", "status 0", "status 1", "status 1", "status 0")
    assert entry_of(farm, prompt_id)["status"]["status_str"] == "success"
    third = farm["gpu-1"].listen("me")
    post(farm)
    farm.advance("331ms")
    assert heard(third)[1:] == USUAL


@incident("F13")
def the_start_is_missed(memory_farm: Start) -> None:
    """All other messages come, in their order, for every job."""
    farm = stage(memory_farm, "F13")
    me = farm["gpu-1"].listen("me")
    for _ in range(2):
        post(farm)
        farm.advance("331ms")
    assert heard(me)[1:] == tuple(each for each in USUAL if each != "execution_start") * 2
