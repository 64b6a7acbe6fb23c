"""Incidents of a submit whose answer does not come, or comes late."""



from comfyfarm.workflows import text_to_image
from tests.memory.incidents.asking import begin, entry_of, neighbours, post, queue
from tests.memory.incidents.table import Start, incident, stage


def body(seed: int, **more: object) -> dict[str, object]:
    return {"prompt": text_to_image(seed), "client_id": "me", **more}


@incident("F06")
def accepted_but_the_answer_is_lost_or_late(memory_farm: Start) -> None:
    """The connection ends without a byte, and the job runs; the answer to the second comes when that has long ended."""
    farm = stage(memory_farm, "F06")
    assert neighbours(farm) == [200, 200]       # only submits go wrong
    lost = begin(farm, "POST", "/prompt", body(1))
    farm.advance("0s")
    assert (lost.transport.value(), lost.transport.disconnecting) == (b"", True)
    (first,), _ = queue(farm)
    late = begin(farm, "POST", "/prompt", body(2))
    farm.advance("59999ms")
    assert (late.transport.value(), late.transport.disconnecting) == (b"", False)
    history = farm["gpu-1"].ask("GET", "/history").json()
    assert [entry["prompt"][2]["3"]["inputs"]["seed"] for entry in history.values()] == [1, 2]
    assert [entry["status"]["status_str"] for entry in history.values()] == ["success", "success"]
    assert next(iter(history)) == first
    farm.advance("1ms")
    reply = late.end()
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert reply.json() == {"prompt_id": list(history)[1], "number": 1, "node_errors": {}}
    assert post(farm, seed=3)       # at once


@incident("F07")
def the_same_prompt_id_twice(memory_farm: Start) -> None:
    """No answer, so the same body again: taken on, run twice, and history has only the second run."""
    farm = stage(memory_farm, "F07")
    assert neighbours(farm) == [200, 200]
    chosen = "0b4b3f5e-0d6c-4b6e-9b6e-5f3c1f1d7a11"
    lost = begin(farm, "POST", "/prompt", body(1, prompt_id=chosen))
    farm.advance("0s")
    assert (lost.transport.value(), lost.transport.disconnecting) == (b"", True)
    me = farm["gpu-1"].listen("me")
    reply = farm["gpu-1"].ask("POST", "/prompt", json=body(1, prompt_id=chosen))
    assert (reply.status, reply.json()) == (200, {"prompt_id": chosen, "number": 1, "node_errors": {}})
    assert queue(farm) == ([chosen], [chosen])
    farm.advance("331ms")
    assert entry_of(farm, chosen)["prompt"][0] == 0
    farm.advance("331ms")
    assert entry_of(farm, chosen)["prompt"][0] == 1
    assert list(farm["gpu-1"].ask("GET", "/history").json()) == [chosen]
    assert [each["data"]["prompt_id"] for each in me.heard if each["type"] == "execution_success"] == [chosen] * 2
