"""Who may use the control server (docs/control-api.md, "Access")."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import Endpoint
from comfyfarm.testing import ConfigError, MemoryFarm

StartFarm = Callable[..., MemoryFarm]

TOKEN = "correct-horse-battery"  # noqa: S105 (of farms that live for one test)
CLOSED = {"farm": {"control_token": TOKEN}, "instance": [{"name": "gpu-1"}]}
OPEN_TO_OTHERS = {"farm": {"host": "0.0.0.0"}, "instance": [{"name": "gpu-1"}]}

ROUTES = [
    (endpoint.method, re.sub(r"\{\w+\}", "gpu-1", endpoint.path))
    for endpoint in vars(endpoints).values()
    if isinstance(endpoint, Endpoint)
]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8188"},       # a page that an instance serves
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8180"},
        {"Host": ""},
        {"Host": "[::1"},
    ],
    ids=str,
)
def test_a_foreign_page_or_name_is_refused_on_every_route_and_changes_nothing(
    headers: dict[str, str], memory_farm: StartFarm
) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1"}]})
    seq = farm.farm.log.seq
    for method, path in ROUTES:
        reply = farm.control(method, path, headers=headers)
        assert (method, path, reply.status) == (method, path, 403)
        assert reply.json()["error"].startswith(("Host: ", "Origin: "))
    assert farm.farm.log.seq == seq


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8180"},
        {"Host": "farm.localhost"},
        {"Host": "[::1]:8180", "Origin": "http://[::1]:8180"},
        {"Host": "10.0.0.7:8180", "Origin": "https://10.0.0.7:8180", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_a_client_on_this_machine_and_the_farms_own_pages_are_served(
    headers: dict[str, str], memory_farm: StartFarm
) -> None:
    assert memory_farm().control("GET", "/api/farm", headers=headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN}"},
        {"Cookie": f"theme=dark; comfyfarm_token={TOKEN}"},
    ],
    ids=str,
)
def test_who_has_the_token_is_served(headers: dict[str, str], memory_farm: StartFarm) -> None:
    assert memory_farm(CLOSED).control("GET", "/api/farm", headers=headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \xe9"},
        {"Cookie": "comfyfarm_token=wrong"},
        {"Cookie": "comfyfarm_token"},
    ],
    ids=str,
)
def test_who_has_no_token_gets_401_on_every_route(headers: dict[str, str], memory_farm: StartFarm) -> None:
    farm = memory_farm(CLOSED)
    seq = farm.farm.log.seq
    for method, path in ROUTES:
        reply = farm.control(method, path, headers=headers)
        expected = 200 if path == "/healthz" else 401
        assert (method, path, reply.status) == (method, path, expected)
    assert farm.farm.log.seq == seq


def test_the_url_of_the_log_gives_a_browser_the_cookie(memory_farm: StartFarm) -> None:
    farm = memory_farm(CLOSED)
    reply = farm.control("GET", f"/api/report?trial=a%20b&token={TOKEN}")
    assert (reply.status, reply.headers["location"]) == (303, "/api/report?trial=a+b")
    cookie = reply.headers["set-cookie"]
    assert cookie == f"comfyfarm_token={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert farm.control("GET", "/api/farm", headers={"Cookie": cookie.partition(";")[0]}).status == 200
    assert farm.control("GET", "/api/report?token=wrong").status == 401


def test_a_client_may_use_the_name_that_the_farm_tells(memory_farm: StartFarm) -> None:
    """Such as that of its service in a compose file."""
    farm = memory_farm({"farm": {"advertise_host": "Farm"}, "instance": [{"name": "gpu-1"}]})
    served = [farm.control("GET", "/api/farm", headers={"Host": name}).status for name in ("farm:1", "FARM", "farm2")]
    assert served == [200, 200, 403]


def test_a_farm_that_is_open_to_other_machines_draws_a_token(memory_farm: StartFarm) -> None:
    farm = memory_farm(OPEN_TO_OTHERS)
    token = farm.app.described()["control_token"]
    assert len(token) > 20
    assert farm.control("GET", "/api/farm").status == 401
    assert farm.control("GET", "/api/farm", headers={"Authorization": f"Bearer {token}"}).status == 200
    assert token not in farm.control("GET", f"/api/log?token={token}").body.decode()


@pytest.mark.parametrize("token", ["", "short", "with a space in it", 'quote"quote'])
def test_a_token_that_protects_nothing_is_refused(token: str, memory_farm: StartFarm) -> None:
    config: dict[str, Any] = {"farm": {"control_token": token}, "instance": [{"name": "gpu-1"}]}
    with pytest.raises(ConfigError, match="control_token: expected at least 8 letters"):
        memory_farm(config)


def test_pages_of_the_control_server_load_nothing_from_elsewhere(memory_farm: StartFarm) -> None:
    policy = memory_farm().control("GET", "/api/report").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'sha256-" in policy
