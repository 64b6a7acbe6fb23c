"""Incidents of messages that do not say whose they are, or are somebody else's."""

from tests.memory.incidents.asking import USUAL, data_of, heard, post
from tests.memory.incidents.table import Start, incident, stage


@incident("F15")
def executing_and_progress_do_not_say_whose(memory_farm: Start) -> None:
    """Field by field; the last ``executing``, which tells the end, is nobody's either.  All others say it."""
    farm = stage(memory_farm, "F15")
    me = farm["gpu-1"].listen("me")
    prompt_id = post(farm)
    farm.advance("331ms")
    assert heard(me)[1:] == USUAL
    assert data_of(me, "executing") == [
        *({"node": node, "display_node": node} for node in ("4", "5", "7", "6", "3", "8", "9")),
        {"node": None},
    ]
    assert data_of(me, "progress") == [{"value": value, "max": 20, "node": "3"} for value in (1, 8, 15, 20)]
    others = data_of(me, "execution_start", "execution_cached", "progress_state", "executed", "execution_success")
    assert {each["prompt_id"] for each in others} == {prompt_id}


@incident("F16")
def progress_of_strangers_arrives(memory_farm: Start) -> None:
    """That of the load's five jobs, which have no client, and that of a client with an id; but nothing else of them."""
    farm = stage(memory_farm, "F16")
    mine, theirs = farm["gpu-1"].listen("me"), farm["gpu-1"].listen("you")
    prompt_id = post(farm, client_id="you")
    farm.advance("10s")
    values = [1, 8, 15, 20]
    assert [each["value"] for each in data_of(mine, "progress")] == values * 6
    assert [each["prompt_id"] for each in data_of(mine, "progress")].count(prompt_id) == len(values)
    assert len({each["prompt_id"] for each in data_of(mine, "progress")}) == 6
    kinds = {"status", "progress", "progress_state"}
    assert set(mine.types()) == kinds
    assert data_of(mine, *kinds)[1:] == data_of(theirs, *kinds)[1:]     # all but the greeting, which has its name
    assert [each["prompt_id"] for each in data_of(theirs, "execution_success")] == [prompt_id]
    assert farm["gpu-2"].listen("me").types() == ["status"]
