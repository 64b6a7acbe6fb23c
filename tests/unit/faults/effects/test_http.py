"""The effects on HTTP exchanges and ``status`` messages: pure values, no connection."""

import json
from random import Random
from typing import Any

import pytest

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import Event
from comfyfarm.faults.effects.reported_state import Trend
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults
from comfyfarm.faults.targets import Exchange, Frame, HttpReply
from comfyfarm.seeds import Seeds

USUAL = (("Server", "Python"), ("Access-Control-Allow-Origin", "*"))
REPLY = HttpReply(200, USUAL, b"0123456789")


def fire_faults(reply: HttpReply | None = None, *, at: Any = "reply", memory: Any = None, **fault: Any) -> Exchange:
    """An exchange, after all that a fault does to it."""
    facts = fault.pop("facts", PhaseFacts(route="/queue", method="GET"))
    at_ms = fault.pop("at_ms", 0)
    exchange = Exchange(facts, at_ms, fault.pop("query", ""), USUAL, reply)
    made = read_fault({"at": at, **fault})
    firing = Firing(made, "gpu", at_ms, facts, Random(7), memory={} if memory is None else memory)
    assert list(made.effect.on_exchange(exchange, firing)) == []
    return exchange


def heard(at_ms: int = 0, remaining: int = 1, *, memory: Any = None, **fault: Any) -> list[Any]:
    """Return the ``status`` messages that a client gets."""
    data = {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": "me"}
    content = json.dumps({"type": "status", "data": data})
    frame = Frame(PhaseFacts(type="status", route="/ws"), content)
    made = read_fault(fault)
    firing = Firing(made, "gpu", at_ms, frame.facts, Random(7), memory={} if memory is None else memory)
    made.effect.on_frame(frame, firing)
    return [json.loads(message.content) for message in frame.messages]


def body(exchange: Exchange) -> Any:
    assert exchange.reply is not None
    return json.loads(exchange.reply.body)


# Statuses.


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 503}, b"503: Service Unavailable"),
        ({"status": 500}, b"500 Internal Server Error\n\nServer got itself in trouble"),
        ({"status": 413, "like": "aiohttp"}, b"Maximum request body size 104857600 exceeded."),
        ({"status": 599}, b"599: Unknown"),
        ({"status": 503, "message": "later"}, b"later"),
        ({"status": 200, "body": ""}, b""),
        ({"status": 400, "body": "no"}, b"no"),
        ({"status": 400, "json": {"a": [1]}}, b'{"a": [1]}'),
    ],
)
def test_a_status_is_said_in_words(fault: dict[str, Any], said: bytes) -> None:
    exchange = fire_faults(at="request", do="status", **fault)
    assert exchange.is_decided
    assert exchange.reply is not None
    assert (exchange.reply.status, exchange.reply.body) == (fault["status"], said)


def test_a_refusal_of_comfyuis_has_its_form() -> None:
    fault: dict[str, Any] = {"status": 400, "like": "comfyui", "error": "bad", "message": "Bad", "details": "very"}
    error = {"type": "bad", "message": "Bad", "details": "very", "extra_info": {}}
    assert body(fire_faults(at="submit", do="status", **fault)) == {"error": error, "node_errors": {}}


def test_who_speaks_is_seen_in_the_headers() -> None:
    """ComfyUI adds its own for web pages of other origins; aiohttp itself does not, and a proxy has another name."""
    ours = fire_faults(at="request", do="status", status=400, like="comfyui").reply
    theirs = fire_faults(at="request", do="status", status=400).reply
    proxy = fire_faults(at="request", do="status", status=502, like="proxy").reply
    assert ours is not None
    assert theirs is not None
    assert proxy is not None
    assert ours.headers == (*USUAL, ("Content-Type", "application/json; charset=utf-8"))
    assert theirs.headers == (("Server", "Python"), ("Content-Type", "text/plain; charset=utf-8"))
    assert proxy.headers == (("Server", "nginx"), ("Content-Type", "text/html"))


@pytest.mark.parametrize(("wait", "seconds"), [("2s", "2"), ("1500ms", "2"), ("0s", "0"), ("1min", "60")])
def test_retry_after_is_in_whole_seconds(wait: str, seconds: str) -> None:
    reply = fire_faults(at="submit", do="status", status=429, retry_after=wait, headers={"X-Reason": "full"}).reply
    assert reply is not None
    assert reply.headers[-2:] == (("Retry-After", seconds), ("X-Reason", "full"))


# Connections.


@pytest.mark.parametrize(("do", "ending"), [("drop", "close"), ("reset", "reset")])
def test_nothing_is_sent(do: str, ending: str) -> None:
    """In place of the work as well as of its answer."""
    for reply in (None, REPLY):
        exchange = fire_faults(reply, do=do)
        assert (exchange.raw, exchange.ending, exchange.is_decided) == (b"", ending, True)


@pytest.mark.parametrize(
    ("how", "sent"), [({}, 5), ({"share": 0.25}, 2), ({"share": 0}, 0), ({"bytes": "7B"}, 7), ({"bytes": "99B"}, 10)]
)
def test_a_body_is_cut(how: dict[str, Any], sent: int) -> None:
    exchange = fire_faults(REPLY, do="truncate", **how)
    assert (exchange.body_bytes, exchange.ending, exchange.reply) == (sent, "close", REPLY)


def test_noise_is_drawn_from_the_faults_own_chance() -> None:
    noise = Random(7).randbytes(10)
    assert fire_faults(REPLY, do="garbage").reply == HttpReply(200, USUAL, noise)
    assert fire_faults(REPLY, do="garbage", what="http").raw == Random(7).randbytes(64)


@pytest.mark.parametrize(
    ("how", "piece"), [({"piece": "3B"}, 3), ({"pieces": 3}, 4), ({"pieces": 99}, 1), ({"pieces": 1}, 10)]
)
def test_a_body_drips(how: dict[str, Any], piece: int) -> None:
    exchange = fire_faults(REPLY, do="drip", gap="2s", **how)
    assert (exchange.piece_bytes, exchange.gap_ms, exchange.ending) == (piece, 2000, "keep")


@pytest.mark.parametrize(("by", "declared"), [(5, 15), (-5, 5), (-50, 0)])
def test_a_length_is_wrong(by: int, declared: int) -> None:
    exchange = fire_faults(REPLY, do="wrong_length", by=by)
    assert (exchange.declared_bytes, exchange.reply, exchange.ending) == (declared, REPLY, "close")


@pytest.mark.parametrize("do", ["truncate", "garbage", "drip", "wrong_length"])
def test_what_works_on_an_answer_waits_for_it(do: str) -> None:
    needed: dict[str, dict[str, Any]] = {"drip": {"piece": "1B", "gap": "1s"}, "wrong_length": {"by": 1}}
    more = needed.get(do, {})
    for phase in ("request", "submit", "view", "upload", "reply", "status"):
        assert read_fault({"at": phase, "do": do, **more}).effect.needs_reply


def test_a_message_is_dropped_or_dies_with_its_socket() -> None:
    assert heard(at="frame", do="drop") == []
    frame = Frame(PhaseFacts(), "{}")
    fault = read_fault({"at": "frame", "do": "reset"})
    fault.effect.on_frame(frame, Firing(fault, "gpu", 0, frame.facts, Random(0)))
    assert (frame.messages, frame.ending) == ([], "reset")


# False and old numbers.

RUNNING, WAITING = [[4, "a", {"1": {}}, {}, []]], [[5, "b", {}, {}, []], [9, "c", {}, {}, []]]
QUEUE = HttpReply(200, USUAL, json.dumps({"queue_running": RUNNING, "queue_pending": WAITING}).encode())


@pytest.mark.parametrize(
    ("remaining", "running", "pending"),
    [
        (0, [], []),
        (1, ["a"], []),
        (2, ["a"], ["b"]),
        (3, ["a"], ["b", "c"]),
    ],
)
def test_a_queue_is_cut_from_its_end(remaining: int, running: list[str], pending: list[str]) -> None:
    shown = body(fire_faults(QUEUE, at="status", do="lie", queue_remaining=remaining))
    assert [job[1] for job in shown["queue_running"]] == running
    assert [job[1] for job in shown["queue_pending"]] == pending


def test_a_queue_is_filled_up_behind_its_last_job() -> None:
    """With the same jobs, whenever the same fault shows them."""
    memory: dict[str, Any] = {}
    five, six = (
        body(fire_faults(QUEUE, at="status", do="lie", queue_remaining=count, memory=memory))["queue_pending"]
        for count in (5, 6)
    )
    assert [job[0] for job in six] == [5, 9, 10, 11, 12]
    assert six[: len(five)] == five
    assert all(len(job) == 5 for job in six)


def test_a_refusal_cannot_lie() -> None:
    """Nor can a HEAD, which has no body."""
    for reply in (HttpReply(500, (), b"trouble"), HttpReply(200, (), b""), HttpReply(200, (), b"[]")):
        assert fire_faults(reply, at="status", do="lie", queue_remaining=3).reply == reply


def test_a_lie_about_the_queue_leaves_other_answers_alone() -> None:
    for route in ("/jobs", "/system_stats"):
        facts = PhaseFacts(route=route, method="GET")
        reply = HttpReply(200, (), b'{"system": {}, "devices": []}')
        assert body(fire_faults(reply, at="status", do="lie", queue_remaining=3, facts=facts)) == json.loads(reply.body)


def test_a_status_message_lies_like_an_answer() -> None:
    """And still says to whom it is."""
    (message,) = heard(at="status", do="lie", queue_remaining=7)
    assert message["data"] == {"status": {"exec_info": {"queue_remaining": 7}}, "sid": "me"}
    assert heard(at="status", do="lie", ram_free="1GB") == heard(at="frame", do="delay", duration="0s")


@pytest.mark.parametrize(
    ("trend", "values"),
    [
        (Trend(start=10, per_second=-2), [10, 9, 8, 0]),
        (Trend(start=1, per_second=3, most=5), [1, 2, 4, 5]),
        (Trend(least=2), [2, 2, 2, 2]),
    ],
)
def test_a_number_changes_in_time(trend: Trend, values: list[int]) -> None:
    assert [trend.at(ms) for ms in (0, 500, 1000, 60_000)] == values


def test_old_news_stay_until_they_are_refreshed() -> None:
    """Each path has its own, its query included."""
    memory: dict[str, Any] = {}

    def shown(content: bytes, at_ms: int, query: str = "") -> bytes:
        reply = HttpReply(200, (), content)
        after = fire_faults(reply, at="status", do="stale", refresh="5s", memory=memory, at_ms=at_ms, query=query).reply
        assert after is not None
        return after.body

    assert [shown(b"1", 0), shown(b"2", 4999), shown(b"3", 5000), shown(b"4", 6000)] == [b"1", b"1", b"3", b"3"]
    assert shown(b"5", 6000, "limit=1") == b"5"


def test_an_old_number_is_said_to_each_client_in_its_own_message() -> None:
    memory: dict[str, Any] = {}
    data = [heard(ms, ms // 10, memory=memory, at="status", do="stale")[0]["data"] for ms in (10, 20, 90_000)]
    assert data == [{"status": {"exec_info": {"queue_remaining": 1}}, "sid": "me"}] * 3


# Refused when read.

NO_STATUS: dict[str, Any] = {"at": "submit", "do": "status"}
REFUSED: dict[str, Any] = NO_STATUS | {"status": 400}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (NO_STATUS, "status: is missing"),
        (NO_STATUS | {"status": 99}, "status: expected int >= 100"),
        (NO_STATUS | {"status": 600}, "status: expected int <= 599"),
        (REFUSED | {"like": "iis"}, "like: expected one of 'aiohttp', 'comfyui', 'proxy'"),
        (REFUSED | {"body": "", "json": {}}, "body: expected one of body, json and like"),
        (REFUSED | {"error": "x"}, "error: has no meaning without like = 'comfyui'"),
        (REFUSED | {"body": "", "message": "x"}, "message: has no meaning without like = 'aiohttp' or 'comfyui'"),
        (REFUSED | {"headers": {"a\nb": "c"}}, "headers: 'a\\nb' = 'c' cannot be sent"),
        (REFUSED | {"headers": {"a": "c\r\n"}}, "headers: 'a' = 'c\\r\\n' cannot be sent"),
        ({"at": "view", "do": "truncate", "share": 1}, "share: expected float < 1.0"),
        ({"at": "view", "do": "truncate", "share": 0.5, "bytes": "1B"}, "share: expected bytes or share, not both"),
        ({"at": "view", "do": "drip", "gap": "1s"}, "piece: expected either piece or pieces"),
        ({"at": "view", "do": "drip", "gap": "1s", "piece": "0B"}, "piece: expected at least 1B"),
        ({"at": "view", "do": "wrong_length", "by": 0}, "by: expected a number other than 0"),
        ({"at": "status", "do": "lie"}, "queue_remaining: expected at least one of"),
        ({"at": "status", "do": "lie", "queue_remaining": -1}, "queue_remaining: expected 0 or more, got -1"),
        ({"at": "status", "do": "lie", "queue_remaining": 99999}, "queue_remaining: expected at most 10000, got 99999"),
        (
            {"at": "status", "do": "lie", "queue_remaining": {"most": 3_000_000}},
            "queue_remaining.most: expected at most 10000, got 3000000",
        ),
        ({"at": "view", "do": "stale"}, "do: 'stale' cannot happen at phase 'view'"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_read(fault: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_fault(fault)
    assert str(refused.value).startswith(why)


# For one request alone.


def registry() -> tuple[InstanceFaults, list[Event]]:
    events: list[Event] = []
    return InstanceFaults(FaultRegistry(("gpu", "other"), Seeds(0), events.append), "gpu", events.append), events


def test_a_fault_for_one_request_fires_for_no_other() -> None:
    """Nor is it there any more when that is over."""
    faults, _ = registry()
    private = faults.arm_once(read_fault({"at": "request", "do": "drop"}), 0)
    assert not faults.watches("request")
    assert faults.fire("request", PhaseFacts(), 0) == []
    assert faults.fire("reply", PhaseFacts(), 0, private=private) == []
    assert [firing.fault.id for firing in faults.fire("request", PhaseFacts(), 0, private=private)] == ["header-1"]
    assert faults.fire("request", PhaseFacts(), 0, private=private) == []
    faults.end_once(private, 0)
    assert not faults.registry.armed


def test_a_crash_that_one_request_brought_can_still_be_healed() -> None:
    """Its firing lasts longer than the request; the next fault of this kind removes it."""
    faults, _ = registry()
    private = faults.arm_once(read_fault({"at": "request", "do": "crash", "restart_after": "9s"}), 0)
    (firing,) = faults.fire("request", PhaseFacts(), 0, private=private)
    faults.end_once(private, 0)
    assert firing.active
    assert list(faults.registry.armed) == ["header-1"]
    faults.registry.heal(5)
    assert not firing.active
    faults.arm_once(read_fault({"at": "request", "do": "drop"}), 6)
    assert list(faults.registry.armed) == ["header-2"]
