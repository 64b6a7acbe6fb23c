"""Several servers, and more jobs than one can do: who gets the next?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from comfyfarm.testing import MemoryFarm
from tests.memory.incidents.asking import data_of, post, queue
from tests.memory.incidents.dealers import (
    AddsItsOwn,
    BelievesTheNumber,
    CountsConnections,
    CountsJobs,
    Sent,
    deal,
    ends,
    in_turn,
    remaining,
    when_free,
)
from tests.memory.incidents.moments import ended_ms, now_ms
from tests.memory.incidents.table import Start, incident, stage

JOB_MS = 331            # the standard workflow, unless the incident says otherwise
THREE = ("gpu-1", "gpu-2", "gpu-3")
TWO = THREE[:2]


@incident("F27")
def all_work_goes_to_one_server(start: Start) -> None:
    """A submit takes no time, its job 20 seconds: connections are closed long before a server is free."""
    farm = stage(start, "F27", instances=3)
    falls = deal(farm, CountsConnections(Counter(dict.fromkeys(THREE, 0))), 6)
    assert now_ms(farm) == 0, "every answer came at once"
    assert [remaining(farm, name) for name in THREE] == [6, 0, 0]
    assert farm.run_until_idle() == 6 * 20_031
    assert ends(farm, falls) == [nth * 20_031 for nth in range(1, 7)]

    farm = stage(start, "F27", instances=3)
    does_not = deal(farm, CountsJobs(THREE), 6)
    assert [remaining(farm, name) for name in THREE] == [2, 2, 2]
    assert farm.run_until_idle() == 2 * 20_031
    assert ends(farm, does_not) == [20_031] * 3 + [40_062] * 3


@incident("F28")
def work_waits_behind_a_slow_job(start: Start) -> None:
    """Each step of the first job on gpu-1 takes 7.5 seconds, and the jobs behind it stay where they were sent."""
    slow_ms = 500 * JOB_MS
    farm = stage(start, "F28")
    falls = in_turn(farm, TWO, 6)
    farm.advance("2min")
    on_one = [each.prompt_id for each in falls if each.name == "gpu-1"]
    assert queue(farm, "gpu-1") == (on_one[:1], on_one[1:])
    assert queue(farm, "gpu-2") == ([], [])
    farm.run_until_idle()
    assert ends(farm, falls[0::2]) == [slow_ms, slow_ms + JOB_MS, slow_ms + 2 * JOB_MS]
    assert ends(farm, falls[1::2]) == [JOB_MS, 2 * JOB_MS, 3 * JOB_MS]

    farm = stage(start, "F28")
    does_not = when_free(farm, TWO, 6)
    farm.run_until_idle()
    assert [each.name for each in does_not] == ["gpu-1", *["gpu-2"] * 5]
    assert ends(farm, does_not[:1]) == [slow_ms]
    assert all(at_ms is not None and at_ms < 2000 for at_ms in ends(farm, does_not[1:]))


@incident("F29")
def everybody_follows_an_old_number(start: Start) -> None:
    """``GET /prompt`` and the ``status`` messages say for 30 seconds what was true once."""
    slow = {"timing": {"step": "1s"}}
    farm = stage(start, "F29", instances=3, **slow)
    me = farm["gpu-1"].listen("me")
    falls = deal(farm, BelievesTheNumber(THREE), 6)
    assert [each.name for each in falls] == ["gpu-1"] * 6
    assert data_of(me, "status")[0] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}
    assert {str(each) for each in data_of(me, "status")[1:]} == {"{'status': {'exec_info': {'queue_remaining': 0}}}"}
    assert len(data_of(me, "status")) >= 7, "each job was told, with the old number"
    farm.advance("29999ms")
    assert [remaining(farm, name) for name in THREE] == [0, 0, 0]
    farm.advance("1ms")
    assert [remaining(farm, name) for name in THREE] == [5, 0, 0], "one has ended at 20.031 s"

    farm = stage(start, "F29", instances=3, **slow)
    does_not = deal(farm, AddsItsOwn(THREE), 6)
    assert Counter(each.name for each in does_not) == dict.fromkeys(THREE, 2)


@incident("F31")
def unequal_machines(start: Start) -> None:
    """gpu-1 takes 3.31 seconds for what the others do in 0.331, so that it finds time to tell of every step."""
    farm = stage(start, "F31", instances=3)
    heard = {name: farm[name].listen("me") for name in THREE}
    jobs = {name: post(farm, name) for name in THREE}
    farm.run_until_idle()
    assert {name: ended_ms(farm, jobs[name], name) for name in THREE} == {"gpu-1": 3310, "gpu-2": 331, "gpu-3": 331}
    steps = {name: [each["value"] for each in data_of(heard[name], "progress")] for name in THREE}
    assert steps == {"gpu-1": list(range(1, 21)), "gpu-2": [1, 8, 15, 20], "gpu-3": [1, 8, 15, 20]}

    for way, last_ms in ((in_turn, 3 * 3310), (when_free, 3310)):
        farm = stage(start, "F31", instances=3)
        sent = way(farm, THREE, 9)
        farm.run_until_idle()
        assert max(filter(None, ends(farm, sent))) == last_ms


# When is a server free again?


def _forgets(farm: MemoryFarm, last: Sequence[Sent]) -> list[str]:
    """Fall for F47: after five minutes nobody watches a job any more, and its server counts as free."""
    return [each.name for each in last if now_ms(farm) >= 300_000 or each.ended_ms(farm) is not None]


def _asks_first(farm: MemoryFarm, last: Sequence[Sent]) -> list[str]:
    """Forget no earlier than the server does."""
    return [name for name in _forgets(farm, last) if remaining(farm, name) == 0]


@incident("F47")
def longer_than_anybody_watches(start: Start) -> None:
    """The first job on each server takes 331 seconds; what is sent after it waits for its end."""
    farm = stage(start, "F47")
    first = in_turn(farm, TWO, 2)
    farm.advance("5min")
    assert [queue(farm, each.name) for each in first] == [([each.prompt_id], []) for each in first]
    assert (_forgets(farm, first), _asks_first(farm, first)) == (["gpu-1", "gpu-2"], [])
    behind = post(farm, _forgets(farm, first)[0], seed=9)
    farm.advance("30999ms")
    assert queue(farm, "gpu-1") == ([first[0].prompt_id], [behind])
    farm.advance("1ms")
    assert queue(farm, "gpu-1") == ([behind], [])
    assert ends(farm, first) == [1000 * JOB_MS] * 2
    assert _asks_first(farm, first) == ["gpu-2"]
    farm.run_until_idle()
    assert ended_ms(farm, behind) == 1000 * JOB_MS + JOB_MS, "only the first one was so slow"
