"""What a client hears when its websocket misbehaves, message by message; all others hear what they always did."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import FaultFired, FaultHealed, FrameSent, SocketClosed
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.listener import Listener
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

SIZE = {"width": 64, "height": 64, "batch_size": 1, "color": 255}
IMAGE: dict[str, Any] = {"class_type": "EmptyImage", "inputs": SIZE}
SMALL = {"1": IMAGE, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
SLOW = {"timing": {"node": "1s"}}
USUAL = [
    *("status", "status", "status", "execution_start", "execution_cached"),
    *("progress_state", "executing", "progress_state", "progress_state", "executing", "executed", "progress_state"),
    *("execution_success", "status", "executing"),
]


def start(memory_farm: Start, *faults: dict[str, Any], **settings: Any) -> tuple[MemoryFarm, MemoryInstance]:
    """Two instances; the faults are on the first."""
    farm = memory_farm({"instance": [{"name": "gpu", **settings}, {"name": "well", **settings}]})
    arm(farm, *faults)
    return farm, farm["gpu"]


def arm(farm: MemoryFarm, *faults: dict[str, Any]) -> None:
    for fault in faults:
        at = {"phase": "frame", **fault.pop("at", {})}
        farm.farm.fault_controller.arm(read_fault({"on": "gpu", "at": at, **fault}))


def post(gpu: MemoryInstance, client_id: str = "me", **body: Any) -> str:
    reply = gpu.ask("POST", "/prompt", json={"prompt": SMALL, "client_id": client_id, **body})
    return str(reply.json()["prompt_id"])


def run(farm: MemoryFarm, gpu: MemoryInstance, client_id: str = "me") -> tuple[Listener, str]:
    """What one client hears of one job."""
    listener = gpu.listen(client_id)
    prompt_id = post(gpu, client_id)
    farm.advance(10)
    return listener, prompt_id


def told_of(listener: Listener, *kinds: str) -> list[dict[str, Any]]:
    return [each["data"] for each in listener.heard if not isinstance(each, bytes) and each["type"] in kinds]


def sent(farm: MemoryFarm, kind: str) -> list[tuple[int, tuple[str, ...]]]:
    """When messages of a type went out, and to whom, as the log has it."""
    return [(each.at_ms, each.to) for each in farm.farm.log.of(FrameSent) if each.type == kind]


def fired(farm: MemoryFarm) -> list[FaultFired]:
    return list(farm.farm.log.of(FaultFired))


# The socket.


def test_a_mute_socket_stays_open_and_hears_nothing_more(memory_farm: Start) -> None:
    """From the message on at which it fired; the other client and the other instance hear all."""
    farm, gpu = start(memory_farm, {"do": "mute", "at": {"type": "executing", "client": "me"}})
    other, well = gpu.listen("other"), farm["well"].listen("me")
    me, prompt_id = run(farm, gpu)
    post(farm["well"])
    farm.advance(10)
    assert me.types() == USUAL[:6]
    assert me.lost is None
    assert other.types() == ["status"] * 4
    assert well.types() == USUAL
    assert prompt_id in gpu.ask("GET", "/history").json()
    assert [(each.client_id, each.type, each.node, each.prompt_id) for each in fired(farm)] == [
        ("me", "executing", "1", prompt_id)
    ]


def test_a_mute_socket_is_not_said_to_have_heard(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, {"do": "mute", "at": {"type": "execution_success"}})
    gpu.listen("other")
    run(farm, gpu)
    assert sent(farm, "execution_success") == []
    assert sent(farm, "status")[-1][1] == ("other",)


def test_not_even_a_greeting(memory_farm: Start) -> None:
    """Connected but mute, each time that it connects; until the fault is taken off."""
    farm, gpu = start(memory_farm, {"do": "mute", "at": {"client": "me"}, "id": "deaf"})
    me, _ = run(farm, gpu)
    again = gpu.listen("me")
    assert (len(me.heard), len(again.heard), again.lost) == (0, 0, None)
    farm.farm.fault_controller.remove("deaf")
    post(gpu)
    farm.advance(10)
    assert again.types() == USUAL[1:]
    assert me.heard == []       # the newer socket has its place


def test_a_healed_socket_hears_again(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, {"do": "mute", "at": {"type": "execution_start"}, "times": 1})
    me, _ = run(farm, gpu)
    assert me.types() == USUAL[:3]
    farm.farm.fault_controller.heal()
    post(gpu)
    farm.advance(10)
    assert me.types() == [*USUAL[:3], *USUAL[1:]]
    assert len(list(farm.farm.log.of(FaultHealed))) == 1


def test_a_clean_close_in_the_middle_of_a_job(memory_farm: Start) -> None:
    """The message is heard, then comes the close frame; the job goes on."""
    farm, gpu = start(
        memory_farm, {"do": "close", "at": {"type": "executing"}, "code": 1001, "reason": "going away", "times": 1}
    )
    me, prompt_id = run(farm, gpu)
    assert me.types() == USUAL[:7]
    assert me.goodbye == (1001, "going away")
    assert me.lost is not None
    assert me.lost.check(ConnectionDone)
    assert gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]["status"]["completed"]
    assert sent(farm, "executed") == []
    assert [each.client_id for each in farm.farm.log.of(SocketClosed)] == ["me"]


def test_a_reset_comes_in_place_of_the_message(memory_farm: Start) -> None:
    """No close frame; whoever connects again hears again."""
    farm, gpu = start(memory_farm, {"do": "reset", "at": {"type": "execution_success"}, "times": 1})
    other = gpu.listen("other")
    me, _ = run(farm, gpu)
    assert me.types() == USUAL[:-3]
    assert me.lost is not None
    assert (me.lost.check(ConnectionLost), me.goodbye) == (ConnectionLost, None)
    assert (other.types(), other.lost) == (["status"] * 4, None)
    assert sent(farm, "execution_success") == []
    again, _ = run(farm, gpu)
    assert again.types() == USUAL


def test_a_gap_swallows_the_end_of_the_job(memory_farm: Start) -> None:
    """The connection is reset; the client connects at once, and misses all that is said within the gap."""
    farm, gpu = start(
        memory_farm, {"do": "gap", "at": {"type": "executing", "node": "2"}, "duration": "5s"}, **SLOW
    )
    me = gpu.listen("me")
    prompt_id = post(gpu)
    farm.advance(1.5)
    assert me.types() == USUAL[:9]
    assert me.lost is not None
    assert me.lost.check(ConnectionLost)
    assert me.goodbye is None
    again, other = gpu.listen("me"), gpu.listen("other")
    farm.advance(4)
    assert again.heard == []
    assert other.types() == ["status", "status"]
    assert gpu.ask("GET", f"/history/{prompt_id}").json()[prompt_id]["status"]["completed"]
    farm.advance(1)
    farm.farm.fault_controller.heal()
    post(gpu)
    farm.advance(10)
    assert again.types() == USUAL[1:]


def test_healing_ends_a_gap(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, {"do": "gap", "at": {"type": "execution_start"}, "duration": "1h", "times": 1})
    run(farm, gpu)
    farm.farm.fault_controller.heal()
    again, _ = run(farm, gpu)
    assert again.types() == USUAL


def test_a_displaced_socket_is_forgotten(memory_farm: Start) -> None:
    """The message is the last that it hears, of its own jobs and of all others; who connects again hears again."""
    farm, gpu = start(memory_farm, {"do": "displace", "at": {"type": "execution_start"}, "times": 1})
    me, _ = run(farm, gpu)
    post(gpu, "other")
    farm.advance(10)
    assert me.types() == USUAL[:4]
    assert me.lost is None
    again, _ = run(farm, gpu)
    assert again.types() == USUAL
    assert me.types() == USUAL[:4]


def test_a_client_is_displaced_as_it_comes_back(memory_farm: Start) -> None:
    """The greeting is all that it hears: neither which node runs, nor its flags, nor a status."""
    farm, gpu = start(memory_farm, **SLOW)
    gpu.listen("me").transport.loseConnection()
    post(gpu)
    farm.advance(0.5)
    arm(farm, {"do": "displace", "at": {"type": "status", "client": "me"}, "times": 1})
    again = gpu.listen("me")
    again.say({"type": "feature_flags", "data": {}})
    farm.advance(10)
    assert (again.types(), again.lost) == (["status"], None)


# The message.


def test_one_message_is_not_sent(memory_farm: Start) -> None:
    """And the log does not say that it was."""
    farm, gpu = start(memory_farm, {"do": "drop", "at": {"type": "execution_start", "client": "me"}})
    me, _ = run(farm, gpu)
    other, _ = run(farm, gpu, "other")
    assert me.types()[:len(USUAL) - 1] == [each for each in USUAL if each != "execution_start"]
    assert other.types() == USUAL
    assert [to for _, to in sent(farm, "execution_start")] == [("other",)]


def test_the_log_has_the_number_that_was_shown(memory_farm: Start) -> None:
    """The true one without a fault, the false one where a client was lied to."""
    farm, gpu = start(memory_farm)
    farm.farm.fault_controller.arm(read_fault({"on": "gpu", "at": "status", "do": "lie", "queue_remaining": 7}))
    well = farm["well"].listen("me")
    me, _ = run(farm, gpu)
    post(farm["well"])
    farm.advance(10)
    lies, truths = ([each["status"]["exec_info"]["queue_remaining"] for each in told_of(listener, "status")]
                    for listener in (me, well))
    assert (lies, truths) == ([7, 7, 7, 7], [0, 1, 1, 0])
    notes = [(each.instance, each.shown) for each in farm.farm.log.of(FrameSent) if each.type == "status"]
    assert notes == [*[("gpu", 7)] * 3, ("well", 1), ("well", 1), ("well", 0)]


def test_a_message_is_said_again(memory_farm: Start) -> None:
    """To the one that it was for; the log has each."""
    farm, gpu = start(memory_farm, {"do": "duplicate", "at": {"type": "executed"}, "copies": 2})
    me, _ = run(farm, gpu)
    at = USUAL.index("executed")
    assert me.types() == [*USUAL[:at], *["executed"] * 3, *USUAL[at + 1:]]
    executed = told_of(me, "executed")
    assert executed[0] == executed[1] == executed[2]
    assert sent(farm, "executed") == [(16, ("me",))] * 3


def test_the_next_message_overtakes(memory_farm: Start) -> None:
    """``execution_success`` behind the end."""
    farm, gpu = start(memory_farm, {"do": "reorder", "at": {"type": "execution_success"}})
    me, _ = run(farm, gpu)
    assert me.types() == [*USUAL[:-3], "status", "execution_success", "executing"]


def test_neighbours_change_places_where_all_are_reordered(memory_farm: Start) -> None:
    """The last, which none follows, is not heard, and the log does not say so."""
    farm, gpu = start(memory_farm, {"do": "reorder", "at": {"client": "me"}})
    me, _ = run(farm, gpu)
    swapped = [USUAL[index ^ 1] for index in range(len(USUAL) - 1)]
    assert me.types() == swapped
    assert len(sent(farm, "executing")) == 2


def test_a_late_message_is_overtaken_and_told_when_it_goes_out(memory_farm: Start) -> None:
    late = {"do": "delay", "at": {"type": "executing", "node": "1"}, "duration": "1.5s"}
    farm, gpu = start(memory_farm, late, **SLOW)
    me, prompt_id = run(farm, gpu)
    nodes = [each["node"] for each in told_of(me, "executing")]
    assert nodes == ["2", "1", None]
    assert sent(farm, "executing") == [(1000, ("me",)), (1500, ("me",)), (2010, ("me",))]
    assert told_of(me, "executing")[1] == {"node": "1", "display_node": "1", "prompt_id": prompt_id}


def test_what_is_late_is_lost_with_its_socket(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, {"do": "delay", "at": {"type": "execution_start"}, "duration": "1h"})
    me, _ = run(farm, gpu)
    me.transport.loseConnection()
    farm.advance(0)
    again = gpu.listen("me")
    assert farm.run_until_idle() < 3_600_000
    assert again.types() == ["status"]
    assert sent(farm, "execution_start") == []


def test_what_is_late_is_lost_with_its_process(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, {"do": "delay", "at": {"type": "execution_start"}, "duration": "1h"})
    run(farm, gpu)
    farm.control("POST", "/api/instances/gpu/stop")
    farm.advance("2h")
    assert sent(farm, "execution_start") == []


def test_a_message_bears_the_id_of_the_job_before(memory_farm: Start) -> None:
    """The log knows what it bears; another client's job is not taken for one's own."""
    farm, gpu = start(memory_farm)
    me, first = run(farm, gpu)
    post(gpu, "other")
    arm(farm, {"do": "stale_id", "at": {"type": "execution_success"}})
    second = post(gpu)
    farm.advance(10)
    assert [each["prompt_id"] for each in told_of(me, "execution_success")] == [first, first]
    assert told_of(me, "execution_start")[1]["prompt_id"] == second
    notes = [each for each in farm.farm.log.of(FrameSent) if each.type == "execution_success"]
    assert [each.prompt_id for each in notes] == [first, first]
    assert fired(farm)[-1].prompt_id == second


def test_something_unknown_is_said_first(memory_farm: Start) -> None:
    """A type of one's own, and bytes with a number that means nothing; the log has both."""
    farm, gpu = start(
        memory_farm,
        {"do": "unknown", "at": {"type": "executed"}, "type": "crystools.monitor", "data": {"cpu": 5}},
        {"do": "unknown", "at": {"type": "execution_success"}, "binary": 99},
    )
    me, _ = run(farm, gpu)
    assert me.types() == [*USUAL[:10], "crystools.monitor", *USUAL[10:12], "binary", *USUAL[12:]]
    assert me.heard[10] == {"type": "crystools.monitor", "data": {"cpu": 5}}
    assert me.heard[13][:4] == b"\0\0\0\x63"
    assert sent(farm, "crystools.monitor") == sent(farm, "binary-99") == [(16, ("me",))]


def test_a_key_is_missing(memory_farm: Start) -> None:
    farm, gpu = start(memory_farm, {"do": "strip", "at": {"type": "executing", "node": "2"}})
    me, prompt_id = run(farm, gpu)
    one, two, end = told_of(me, "executing")
    assert two == {"node": "2", "display_node": "2"}
    assert one["prompt_id"] == end["prompt_id"] == prompt_id


def test_everybody_hears_what_is_one_clients(memory_farm: Start) -> None:
    """Once, and the log says who; what goes to everybody anyway is not doubled."""
    wrong = [{"do": "broadcast", "at": {"type": kind}} for kind in ("execut*", "status")]
    farm, gpu = start(memory_farm, *wrong)
    other, well = gpu.listen("other"), farm["well"].listen("me")
    me, _ = run(farm, gpu)
    assert me.types() == USUAL
    assert other.types() == ["status", *[each for each in USUAL if each.startswith(("status", "execut"))]]
    assert well.types() == ["status"]
    assert sorted(sent(farm, "executed")) == [(16, ("me",)), (16, ("other",))]
    assert [to for _, to in sent(farm, "status")] == [("other", "me")] * 3


# Which message.


def test_exactly_the_third(memory_farm: Start) -> None:
    """Of its type, over all sockets of the instance in their order; the next job is well."""
    farm, gpu = start(
        memory_farm, {"do": "strip", "at": {"type": "progress_state"}, "skip": 2, "times": 1, "key": "nodes"}
    )
    me, _ = run(farm, gpu)
    post(gpu)
    farm.advance(10)
    assert ["nodes" in each for each in told_of(me, "progress_state")] == [True, True, False] + [True] * 5


def test_the_nth_job_and_no_other(memory_farm: Start) -> None:
    """By its number, or by the name of the logical job; its end belongs to it, a status to none."""
    farm, gpu = start(
        memory_farm,
        {"do": "duplicate", "at": {"job": 2}, "id": "second"},
        {"do": "mute", "at": {"job": "third*"}, "id": "third"},
    )
    me = gpu.listen("me")
    for name in ("first", "second", "third-1"):
        post(gpu, extra_data={"comfyfarm_job": name})
        farm.advance(10)
    doubled = [kind for kind in USUAL[1:] for _ in range(1 if kind == "status" else 2)]
    assert me.types() == [*USUAL, *doubled, "status", "status"]
    assert {each.job for each in fired(farm)} == {"second", "third-1"}


def test_the_sockets_are_asked_in_the_order_in_which_they_opened(memory_farm: Start) -> None:
    """The second status of the second of two clients: the fourth in all, behind two greetings."""
    farm, gpu = start(memory_farm, {"do": "strip", "at": {"type": "status"}, "skip": 3, "times": 1, "key": "status"})
    one, two = gpu.listen("one"), gpu.listen("two")
    post(gpu)
    farm.advance(10)
    assert [each == {} for each in told_of(one, "status")] == [False] * 4
    assert [each == {} for each in told_of(two, "status")] == [False, True, False, False]


def test_a_fault_may_fire_at_what_a_client_is_told_beside_jobs(memory_farm: Start) -> None:
    """The answer to its flags, the server's log, and the node that runs when it comes back."""
    farm, gpu = start(
        memory_farm,
        {"do": "duplicate", "at": {"type": "feature_flags"}},
        {"do": "duplicate", "at": {"type": "logs"}},
        {"do": "duplicate", "at": {"type": "executing", "job": 1, "node": "1"}},
        **SLOW,
    )
    me = gpu.listen("me")
    me.say({"type": "feature_flags", "data": {}})
    farm.advance(0)
    gpu.ask("PATCH", "/internal/logs/subscribe", json={"enabled": True, "clientId": "me"})
    post(gpu)
    farm.advance(0.5)
    assert len(told_of(me, "feature_flags")) == 2
    assert [each["entries"][0]["m"] for each in told_of(me, "logs")] == ["got prompt\n"] * 2
    assert told_of(gpu.listen("me"), "executing") == [{"node": "1"}] * 2


def test_status_is_a_phase_of_its_own(memory_farm: Start) -> None:
    """A fault at ``status`` fires at these messages where it can, and leaves what only HTTP can suffer alone."""
    farm, gpu = start(memory_farm)
    for table in (
        {"do": "delay", "at": {"phase": "status", "route": "/ws"}, "duration": "5s"},
        {"do": "hang", "at": "status", "id": "hang"},
    ):
        farm.farm.fault_controller.arm(read_fault({"on": "gpu", **table}))
    me = gpu.listen("me")
    post(gpu)
    farm.advance(1)
    assert "status" not in me.types()
    farm.advance(5)
    assert told_of(me, "status")[0]["sid"] == "me"
    assert me.types().count("status") == 4
    assert {each.id for each in fired(farm)} == {"delay-1"}
    assert {each.route for each in fired(farm)} == {"/ws"}


def test_two_faults_strike_one_message_in_the_order_in_which_they_were_armed(memory_farm: Start) -> None:
    """Twice, and late; and then the end."""
    farm, gpu = start(
        memory_farm,
        {"do": "duplicate", "at": {"type": "execution_start"}},
        {"do": "delay", "at": {"type": "execution_start"}, "duration": "1s"},
        {"do": "close", "at": {"type": "execution_start"}},
    )
    me, _ = run(farm, gpu)
    assert me.types() == [*USUAL[:3], *USUAL[4:], "execution_start", "execution_start"]
    assert me.goodbye == (1000, "")
    assert sent(farm, "execution_start") == [(1000, ("me",))] * 2


def events(farm: MemoryFarm, but: set[str]) -> list[dict[str, Any]]:
    """The whole log, less these kinds and the numbering."""
    lines = [json.loads(line) for line in farm.control("GET", "/api/log?since=0").body.splitlines()]
    return [{**each, "seq": 0} for each in lines if each["kind"] not in but]


def test_a_fault_that_never_strikes_changes_nothing(memory_farm: Start) -> None:
    """``chance = 0``: every message and every event is the same; so is the other instance's of a fault that fires."""
    logs = []
    for faults in ([], [{"do": "mute", "chance": 0.0}], [{"do": "mute"}]):
        farm, gpu = start(memory_farm, *faults, **SLOW)
        for instance in (gpu, farm["well"]):
            instance.listen("other")
            instance.listen("me")
            post(instance)
        farm.advance(10)
        logs.append(events(farm, but={"fault_armed", "fault_fired"}))
        farm.stop()
    without, inert, muted = logs
    assert inert == without
    well = [[each for each in log if each.get("instance") == "well"] for log in (without, muted)]
    assert well[0] == well[1] != []
    assert muted != without


@pytest.mark.parametrize("frozen", [False, True])
def test_what_comes_due_in_a_frozen_process_goes_out_when_it_thaws(memory_farm: Start, frozen: bool) -> None:
    """And is told then."""
    farm, gpu = start(memory_farm, {"do": "delay", "at": {"type": "execution_start"}, "duration": "2s"})
    me, _ = run(farm, gpu)
    me.heard.clear()
    post(gpu)
    farm.advance(1)
    if frozen:
        gpu.backend.freeze(worker=False)
    farm.advance(4)
    assert ("execution_start" in me.types()) is not frozen
    gpu.backend.thaw()
    farm.advance(0)
    assert me.types().count("execution_start") == 1
    assert sent(farm, "execution_start")[-1] == ((15_000 if frozen else 12_000), ("me",))


def test_a_fault_may_fire_at_pictures_and_steps(memory_farm: Start) -> None:
    """A message in bytes by its number, a step by its node."""
    farm, gpu = start(
        memory_farm,
        {"do": "duplicate", "at": {"type": "binary-1"}, "times": 1},
        {"do": "duplicate", "at": {"type": "progress", "node": "3"}, "skip": 1, "times": 1},
        preview_method="auto",
    )
    me = gpu.listen("me")
    gpu.ask("POST", "/prompt", json={"prompt": text_to_image(steps=3), "client_id": "me"})
    farm.advance(60)
    assert me.types().count("binary") == 4
    assert [each["value"] for each in told_of(me, "progress")] == [1, 2, 2, 3]
