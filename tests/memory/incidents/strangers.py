"""A server is not one's own: others fill its queue and its history, clear them, and cancel what runs."""

from __future__ import annotations

from comfyfarm.events import Submitted
from comfyfarm.testing import MemoryFarm
from tests.memory.incidents.asking import data_of, entry_of, post, queue
from tests.memory.incidents.dealers import remaining
from tests.memory.incidents.moments import ended_ms, now_ms
from tests.memory.incidents.table import Start, incident, stage

QUICK_MS, STRANGERS_MS = 331, 3031      # a job of 20 steps, and the strangers' of 200
STRANGERS = {("strangers", "strangers")}


def whose(farm: MemoryFarm) -> set[tuple[str | None, str]]:
    """The client ids and the kinds of logical jobs that others have sent."""
    told = farm.farm.log.of(Submitted)
    return {(each.client_id, each.job.rpartition("-")[0]) for each in told if each.client_id != "me"}


@incident("F26")
def somebody_else_interrupts(start: Start) -> None:
    """At 3, 13 and 23 seconds whatever runs is stopped at its next step; what waits is not touched."""
    farm = stage(start, "F26", instances=1)
    me = farm["gpu-1"].listen("me")
    first, second = post(farm), post(farm, seed=1)
    farm.advance("4s")
    (told,) = data_of(me, "execution_interrupted")
    assert told == {
        "prompt_id": first,
        "node_id": "3",
        "node_type": "KSampler",
        "executed": ["4", "5", "7", "6"],
        "timestamp": 1_700_000_003_015,
    }
    status = entry_of(farm, first)["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert status["messages"][-1] == ["execution_interrupted", told]
    assert entry_of(farm, first)["outputs"] == {}
    assert queue(farm) == ([second], [])
    assert farm["gpu-1"].ask("POST", "/interrupt", json={"prompt_id": first}).status == 200
    farm.advance("8s")
    assert queue(farm) == ([second], []), "who names a job hits no other"
    farm.run_until_idle()

    farm = stage(start, "F26", instances=1)
    sent = [post(farm)]
    while ended_ms(farm, sent[-1]) is None:
        farm.advance("1s")
        if entry_of(farm, sent[-1]) is not None and ended_ms(farm, sent[-1]) is None:
            sent.append(post(farm))     # it was not I who stopped it
    assert [ended_ms(farm, each) for each in sent] == [None, None, None, 34_031]


# F32: is the farm down, or is there much to do?


def _fails_after_a_minute(farm: MemoryFarm, name: str) -> tuple[str, str]:
    """Fall for it: what is not done within a minute has failed."""
    prompt_id = post(farm, name)
    while ended_ms(farm, prompt_id, name) is None:
        if now_ms(farm) >= 60_000:
            return prompt_id, "failed"
        farm.advance("1s")
    return prompt_id, "done"


def _waits_in_the_queue(farm: MemoryFarm, name: str) -> tuple[str, str]:
    """Wait for as long as the queue has it."""
    prompt_id = post(farm, name)
    while any(prompt_id in jobs for jobs in queue(farm, name)):
        farm.advance("1s")
    return prompt_id, "failed" if ended_ms(farm, prompt_id, name) is None else "done"


@incident("F32")
def all_are_busy(start: Start) -> None:
    """Thirty strangers' jobs stand before one's own on every server, each three seconds long; all of them end well."""
    ended_at = 30 * STRANGERS_MS + QUICK_MS
    for client, told in ((_fails_after_a_minute, "failed"), (_waits_in_the_queue, "done")):
        farm = stage(start, "F32")
        for name in ("gpu-1", "gpu-2"):
            running, pending = queue(farm, name)
            assert (len(running), len(pending), remaining(farm, name)) == (1, 29, 30)
        prompt_id, became = client(farm, "gpu-2")
        assert became == told
        farm.run_until_idle()
        assert ended_ms(farm, prompt_id, "gpu-2") == ended_at
        entries = farm["gpu-2"].ask("GET", "/history").json().values()
        assert [each["status"]["status_str"] for each in entries] == ["success"] * 31
        assert whose(farm) == STRANGERS


# F33: who has my job?


def _asks_anybody(farm: MemoryFarm, prompt_id: str) -> str:
    """Fall for it: one server is as good as another."""
    return _state_at(farm, prompt_id, "gpu-1")


def _asks_where_it_went(farm: MemoryFarm, prompt_id: str) -> str:
    """The client has sent it there, and knows."""
    return _state_at(farm, prompt_id, "gpu-2")


def _state_at(farm: MemoryFarm, prompt_id: str, name: str) -> str:
    running, pending = queue(farm, name)
    if prompt_id in running or prompt_id in pending:
        return "running" if prompt_id in running else "waiting"
    return "unknown" if entry_of(farm, prompt_id, name) is None else "ended"


@incident("F33")
def asked_at_the_wrong_server(start: Start) -> None:
    """Each has one of three strangers' jobs running; of another's job none knows anything, at any moment."""
    farm = stage(start, "F33")
    mine = post(farm, "gpu-2", steps=400)
    assert [remaining(farm, name) for name in ("gpu-1", "gpu-2")] == [3, 4]
    known = {name: {*queue(farm, name)[0], *queue(farm, name)[1]} for name in ("gpu-1", "gpu-2")}
    assert known["gpu-1"].isdisjoint(known["gpu-2"])
    assert whose(farm) == STRANGERS
    seen = []
    for wait in ("0s", "18093ms", "6031ms"):
        farm.advance(wait)
        seen.append((_asks_anybody(farm, mine), _asks_where_it_went(farm, mine)))
    assert seen == [("unknown", "waiting"), ("unknown", "running"), ("unknown", "ended")]
    for asked in (mine, "never-was"):
        reply = farm["gpu-1"].ask("GET", f"/history/{asked}")
        assert (reply.status, reply.body) == (200, b"{}"), "no error says that it is the wrong one"


@incident("F36")
def a_queue_without_bounds(start: Start) -> None:
    """All of it is told by ``GET /queue``, the number alone by ``GET /prompt``; a further job is taken on."""
    farm = stage(start, "F36", instances=1)
    assert farm["gpu-1"].ask("GET", "/prompt").body == b'{"exec_info": {"queue_remaining": 2000}}'
    whole = farm["gpu-1"].ask("GET", "/queue")
    assert len(whole.body) > 1_800_000
    assert int(whole.headers["content-length"]) == len(whole.body)
    assert [len(each) for each in whole.json().values()] == [1, 1999]
    assert whose(farm) == STRANGERS
    mine = post(farm)
    farm.advance("5min")
    running, pending = queue(farm)
    assert (len(running), len(pending), mine in pending) == (1, 2000 - 906, True)
    assert farm.run_until_idle() == ended_ms(farm, mine) == 2001 * QUICK_MS


@incident("F37")
def the_whole_history_again_and_again(start: Start) -> None:
    """Without an id a thousand entries come, each with its whole prompt; with one, or a limit, a thousandth of it."""
    farm = stage(start, "F37", instances=1)
    farm.advance("46s")
    assert whose(farm) == STRANGERS
    mine = post(farm)
    farm.advance("1s")
    gpu = farm["gpu-1"]
    whole, one, last = (gpu.ask("GET", f"/history{more}") for more in ("", f"/{mine}", "?max_items=1"))
    assert (len(whole.json()), whole.status, len(whole.body) > 1_500_000) == (1001, 200, True)
    assert list(one.json()) == list(last.json()) == [mine]
    assert one.body == last.body
    assert len(one.body) < 2000


@incident("F38")
def history_is_evicted_or_cleared(start: Start) -> None:
    """The first job's entry lives for a second; later ones until somebody clears all: 200, and ``{}``."""
    farm = stage(start, "F38", instances=1)
    me = farm["gpu-1"].listen("me")
    sent = []
    for posted_ms, gone_ms in ((0, 1331), (2000, 5000), (7000, 10_000), (12_000, 15_000)):
        _advance_to(farm, posted_ms)
        sent.append(post(farm, seed=posted_ms))
        _advance_to(farm, gone_ms - 1)
        assert ended_ms(farm, sent[-1]) == posted_ms + QUICK_MS
        farm.advance("1ms")
        reply = farm["gpu-1"].ask("GET", f"/history/{sent[-1]}")
        assert (reply.status, reply.body) == (200, b"{}"), "as if it had never been"
    told = [each for each in data_of(me, "executed") if each["prompt_id"] == sent[0]]
    assert [each["output"]["images"][0]["type"] for each in told] == ["output"], "the events had told it"
    assert [each["prompt_id"] for each in data_of(me, "execution_success")] == sent


def _advance_to(farm: MemoryFarm, at_ms: int) -> None:
    farm.advance((at_ms - now_ms(farm)) / 1000)
