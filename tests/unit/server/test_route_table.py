"""A table in front of Klein's matcher finds what Klein finds."""

import re
from inspect import iscoroutinefunction, unwrap

import pytest
from klein import Klein
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from comfyfarm.server import routes
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.route_table import RouteTable

assert routes   # imported so that every route is registered
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
_PREFIXED = "/jobs", "/assets", "/tags", "/tasks"
RULES = sorted({rule.rule for rule in ComfyApi.app.url_map.iter_rules()})
PATHS = sorted({re.sub(r"<[^>]*>", name, rule) for rule in RULES for name in ("nope", "cancel", "queue", "a-b_C")})


def matched(url_map: Map, method: str, path: str) -> tuple[Rule, object] | None:
    """Return what Klein's matcher finds."""
    try:
        return url_map.bind("h").match(path, method, return_rule=True)
    except HTTPException:
        return None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_found_is_what_klein_finds(method: str, path: str) -> None:
    """And nothing is left to Klein but routes with a name inside, with a whole path, or with the prefix only."""
    app = ComfyApi.app
    found, there = RouteTable(app).find(method, path), matched(app.url_map, method, path)
    if found is not None:
        assert there is not None
        assert (unwrap(found.handler), found.arguments) == (unwrap(app.endpoints[there[0].endpoint]), there[1])
    elif there is not None:
        rule = there[0].rule
        assert "<path:" in rule or "<" in rule.rpartition("/")[0] or rule.startswith(_PREFIXED)


@pytest.mark.parametrize(
    ("method", "path", "is_found"),
    [
        ("GET", "/queue", True), ("GET", "/api/queue", True), ("POST", "/prompt", True), ("GET", "/", True),
        ("GET", "/history/x", True), ("GET", "/api/jobs/x", True), ("GET", "/api/api/jobs/x", True),
        ("HEAD", "/queue", False), ("PUT", "/queue", False), ("GET", "/jobs", False),
        ("GET", "/api/internal/logs", False),
        ("GET", "/history/", False), ("GET", "/nope", False), ("GET", "/nope/nope", False),
    ],
)  # fmt: skip
def test_common_paths_are_found(method: str, path: str, is_found: bool) -> None:
    assert (RouteTable(ComfyApi.app).find(method, path) is not None) == is_found


def test_the_handler_of_a_coroutine_returns_a_deferred() -> None:
    found = RouteTable(ComfyApi.app).find("POST", "/queue")
    assert found is not None
    assert iscoroutinefunction(unwrap(found.handler))
    assert not iscoroutinefunction(found.handler)


def test_routes_that_are_added_are_found() -> None:
    """Also by a table that has found others, and if they stand before an older route."""
    app = Klein()
    table = RouteTable(app)
    assert table.find("GET", "/things/one") is None
    app.route("/things/<name>", methods=["GET"], endpoint="any")(lambda _self, _request, name: name)
    found = table.find("GET", "/things/one")
    assert found is not None
    assert found.arguments == {"name": "one"}
    app.route("/things/one", methods=["GET"], endpoint="one")(lambda _self, _request: "1")
    found = table.find("GET", "/things/one")
    assert found is not None
    assert (found.handler, found.arguments) == (unwrap(app.endpoints["one"]), {})
