"""The clients of the control server: each method asks for an endpoint of the table, and each endpoint has a handler."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.control import FarmControl, SyncFarmControl
from comfyfarm.clients.control_calls import Call
from comfyfarm.clients.control_methods import ControlMethods
from comfyfarm.control import server as service
from comfyfarm.control.routing import ROUTES
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import Endpoint, Table

TABLE = {name: value for name, value in vars(endpoints).items() if isinstance(value, Endpoint)}
ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "instance": (("gpu-1",), {}),
    "change": (("gpu-1",), {"mode": "dynamic"}),
    "stop": (("gpu-1",), {}),
    "start": (("gpu-1",), {}),
    "restart": (("gpu-1",), {}),
    "crash": (("gpu-1", ["queue"], 1.5), {}),
    "pause": (("gpu-1",), {}),
    "resume": (("gpu-1",), {}),
    "drain": (("gpu-1",), {"on": False}),
    "reset": (("gpu-1",), {"files": True}),
    "arm": ((), {"do": "crash", "at": "step"}),
    "arm_all": (([{"do": "crash", "at": "step"}],), {}),
    "fault": (("f/1",), {}),
    "remove_fault": (("f/1",), {}),
    "hold": ((), {"on": "gpu-1", "at": "history"}),
    "gate": (("g 1",), {}),
    "release": (("g 1", 2), {}),
    "open_gate": (("g 1",), {}),
    "advance": (("10s",), {}),
    "run_until_idle": ((60,), {}),
    "auto": ((), {"quiet": "1ms"}),
    "speed": ((2.0,), {}),
    "wait": ((), {"idle": True, "timeout_s": 1.0}),
    "log": ((), {"kind": "finished", "limit": None}),
    "events": ((), {"since": 3}),
    "journal": ((), {"route": "/history*"}),
    "verdict": ((), {"reaction": 5}),
    "placement": ((), {"fresh": "2s"}),
    "timeline_as": (("svg",), {}),
    "trial": (("t1",), {"jobs": 3}),
    "delivered": (("j1",), {"picture": b"png", "instance": "gpu-1"}),
}
METHODS = [name for name, _ in inspect.getmembers(ControlMethods, inspect.isfunction) if not name.startswith("_")]


class Recorder(ControlMethods):
    """A client that sends nothing."""

    def _send(self, call: Call[Any]) -> Call[Any]:
        return call


def made(name: str, *positional: Any, **named: Any) -> Call[Any]:
    """The call that a method makes."""
    method: Callable[..., Call[Any]] = getattr(Recorder(), name)
    return method(*positional, **named)


def example(name: str) -> Call[Any]:
    positional, named = ARGUMENTS.get(name, ((), {}))
    return made(name, *positional, **named)


def test_every_endpoint_has_one_handler_and_is_served() -> None:
    """The table, the handlers and the server's own map are the same."""
    assert len(ROUTES) == len(TABLE)
    assert {route.endpoint for route in ROUTES} == set(TABLE.values())
    rules = list(service.ControlApi.app.url_map.iter_rules())
    served = {(method, re.sub("<(.*?)>", r"{\1}", rule.rule)) for rule in rules for method in rule.methods or ()}
    assert served - {("HEAD", path) for _, path in served} == {(each.method, each.path) for each in TABLE.values()}


def test_the_clients_can_ask_for_every_endpoint_that_is_for_tests() -> None:
    """Health, metrics, OpenAPI document, effects and pictures are for others, the farm's state has the instances."""
    asked = {example(name).endpoint for name in METHODS} | {made("reset").endpoint}
    left = {name for name, endpoint in TABLE.items() if endpoint not in asked}
    for_others = {"GET_HEALTH", "GET_METRICS", "GET_OPENAPI", "GET_PICTURE", "LIST_EFFECTS"}
    assert left == for_others | {"LIST_INSTANCES", "STREAM_LOG"}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_asks_for_an_endpoint_of_the_table(name: str) -> None:
    """Its path is whole, and it sends the keys that the endpoint reads."""
    call = example(name)
    endpoint = call.endpoint
    assert endpoint in TABLE.values()
    path, _, query = call.path.partition("?")
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/{} ]+", endpoint.path), path)
    assert {pair.partition("=")[0] for pair in query.split("&") if query} <= keys_of(endpoint.query)
    if endpoint.body != Table:
        assert set(call.body or {}) <= keys_of(endpoint.body)


def keys_of(kind: type[msgspec.Struct] | None) -> set[str]:
    return set() if kind is None else {field.name for field in msgspec.structs.fields(kind)}


def test_a_wait_that_is_not_met_is_a_timeout_and_other_refusals_stay_what_they_are() -> None:
    """Whichever client asked."""
    late, wrong = (
        HttpStatusError(504, b'{"error": "after 1s"}'),
        HttpStatusError(422, b'{"error": "idle: expected true"}'),
    )
    assert isinstance(made("wait", idle=True).error(late), TimeoutError)
    assert str(made("wait", idle=True).error(late)) == "after 1s"
    assert made("wait", idle=True).error(wrong) is wrong
    assert made("state").error(late) is late


@pytest.mark.parametrize("client", [SyncFarmControl, FarmControl])
def test_help_shows_parameters_result_and_text_of_a_method(client: type[ControlMethods]) -> None:
    """As if the method were written in the class."""
    change = inspect.getattr_static(client, "change")
    assert str(inspect.signature(change)) == "(self, /, name: 'str', **settings: 'Any') -> 'InstanceDetail'"
    assert (inspect.getdoc(change) or "").startswith("Change settings while an instance runs")
