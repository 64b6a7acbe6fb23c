"""A server that answers nobody, is off, dies, or comes and goes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image
from tests.memory.incidents.asking import USUAL, begin, data_of, entry_of, fired, heard, post, queue, submit
from tests.memory.incidents.dealers import Sent
from tests.memory.incidents.moments import ended_ms, now_ms
from tests.memory.incidents.table import Start, incident, stage

QUICK_MS = 331


def is_up(farm: MemoryFarm, name: str = "gpu-1") -> bool:
    """Whether a server answers, or refuses the connection."""
    try:
        return farm[name].ask("GET", "/prompt").status == 200
    except ConnectionRefusedError:
        return False


@incident("F25")
def the_port_is_open_and_nobody_answers(start: Start) -> None:
    """The submit is the last that is answered; the job ends in time, which is told when the server comes back."""
    farm = stage(start, "F25")
    me = farm["gpu-1"].listen("me")
    prompt_id = post(farm)
    asked = [begin(farm, "GET", path) for path in ("/queue", "/system_stats", f"/history/{prompt_id}")]
    given_up = begin(farm, "POST", "/prompt", {"prompt": text_to_image(1)})
    farm.advance("10min")
    given_up.channel.connectionLost(Failure(ConnectionDone()))     # the client has a time limit, and hangs up
    assert heard(me) == ("status 0", *USUAL[:2])
    assert (me.lost, me.goodbye) == (None, None)
    for each in (*asked, given_up):
        assert (each.transport.value(), each.transport.disconnecting) == (b"", False)
    assert is_up(farm, "gpu-2")

    farm.heal()
    farm.advance("10s")
    assert heard(me)[:1 + len(USUAL)] == ("status 0", *USUAL)
    assert ended_ms(farm, prompt_id) == QUICK_MS, "long before anybody could hear of it"
    replies = [each.end() for each in asked]
    assert [each.status for each in replies] == [200, 200, 200]
    assert list(replies[2].json()) == [prompt_id]
    (unheard,) = set(farm["gpu-1"].ask("GET", "/history").json()) - {prompt_id}
    assert ended_ms(farm, unheard) == 600_000 + QUICK_MS, "the submit that was given up runs all the same"

    farm = stage(start, "F25")
    post(farm)
    assert begin(farm, "GET", "/queue").reply() is None
    farm.control("POST", "/api/instances/gpu-1/restart")
    again = post(farm)
    farm.advance("1s")
    assert ended_ms(farm, again) == QUICK_MS, "a restart is a cure, too"


# F30: may others pass?

JOBS = ("gpu-1", "gpu-2", "gpu-2", "gpu-2")     # where each has to run: with its model, or its input


def _waits_for_the_first(farm: MemoryFarm) -> list[Sent]:
    """Fall for it: one after another, and each for as long as it takes."""
    sent: list[Sent] = []
    while len(sent) < len(JOBS) and now_ms(farm) < 3_600_000:
        if is_up(farm, JOBS[len(sent)]):
            sent.append(Sent(JOBS[len(sent)], post(farm, JOBS[len(sent)])))
        else:
            farm.advance("10s")
    return sent


def _lets_others_pass(farm: MemoryFarm) -> list[Sent]:
    """Send what can be sent; give the rest up after a minute."""
    sent, waiting = [], list(JOBS)
    while waiting and now_ms(farm) < 60_000:
        able = [name for name in waiting if is_up(farm, name)]
        sent += [Sent(name, post(farm, name)) for name in able]
        waiting = [name for name in waiting if name not in able]
        farm.advance("10s")
    return sent


@incident("F30")
def one_job_waits_for_a_server_that_is_off(start: Start) -> None:
    """gpu-1 refuses every connection; gpu-2 has nothing to do for a client that keeps its order."""
    ran: dict[Callable[[MemoryFarm], list[Sent]], list[int | None]] = {}
    for client in (_waits_for_the_first, _lets_others_pass):
        farm = stage(start, "F30")
        farm.advance(0)
        ran[client] = [each.ended_ms(farm) for each in client(farm)]
        assert (is_up(farm, "gpu-1"), is_up(farm, "gpu-2")) == (False, True)
    assert ran == {_waits_for_the_first: [], _lets_others_pass: [QUICK_MS, 2 * QUICK_MS, 3 * QUICK_MS]}


# F43: where to next with a job whose server has died?


def _tries(farm: MemoryFarm, *, at_most: int) -> list[str]:
    """Send a poisonous job to one server after the other; the answer is who took it on."""
    took = []
    for name in ("gpu-1", "gpu-2", "gpu-3")[:at_most]:
        assert submit(farm, name, extra_data={"comfyfarm_job": "poison-7"}).status == 200
        took.append(name)
        farm.advance("100ms")
        if is_up(farm, name):
            break
    return took


@incident("F43")
def a_job_kills_every_server(start: Start) -> None:
    """The first node is told, then the websocket is reset; five seconds later a server is there that knows nothing."""
    farm = stage(start, "F43", instances=3)
    me = farm["gpu-1"].listen("me")
    sound, _, behind = (post(farm, seed=seed, extra_data={"comfyfarm_job": job})
                        for seed, job in enumerate(("sound", "poison", "also-sound")))
    farm.advance("331ms")
    assert [each["prompt_id"] for each in data_of(me, "execution_success")] == [sound]
    assert fired(farm) == [(QUICK_MS, "gpu-1", "F43")]
    assert heard(me)[-2:] == ("execution_cached", "executing 4")
    assert (me.goodbye, me.lost is None, is_up(farm)) == (None, False, False)
    farm.advance("4999ms")
    assert not is_up(farm)
    farm.advance("1ms")
    assert is_up(farm)
    assert (queue(farm), entry_of(farm, sound), entry_of(farm, behind)) == (([], []), None, None)

    farm = stage(start, "F43", instances=3)
    assert _tries(farm, at_most=3) == ["gpu-1", "gpu-2", "gpu-3"]
    assert not any(is_up(farm, name) for name in ("gpu-1", "gpu-2", "gpu-3"))

    farm = stage(start, "F43", instances=3)
    assert _tries(farm, at_most=2) == ["gpu-1", "gpu-2"]
    assert [is_up(farm, name) for name in ("gpu-1", "gpu-2", "gpu-3")] == [False, False, True]


@incident("F44")
def a_server_comes_and_goes(start: Start) -> None:
    """Down for five seconds, up for ten, six times; each time it has lost all, and no goodbye is said."""
    farm = stage(start, "F44")
    farm.advance("5s")
    me = farm["gpu-1"].listen("me")
    lost = post(farm, steps=4000)
    farm.advance("9999ms")
    assert queue(farm) == ([lost], [])
    assert data_of(me, "progress")[-1]["value"] > 600
    farm.advance("1ms")
    assert (is_up(farm), me.goodbye, me.lost is None) == (False, None, False)
    ups = []
    for _ in range(16):
        ups.append(is_up(farm))
        if ups[-1]:
            assert (queue(farm), entry_of(farm, lost)) == (([], []), None)
        farm.advance("5s")
    # from 15 s on, every five seconds: down, up, up ... and for good from 80 s
    assert ups == [False, True, True] * 5 + [True]
    assert is_up(farm, "gpu-2")
