"""The farm is compared with recordings of a real ComfyUI; with ``--comfyui URL``, so is a real server.

The selected scenarios run once in a test session, in processes of ``comfyfarm conform``; each test then reports the
outcome of one scenario.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.conformance.suite import chosen
from comfyfarm.testing.child import RunningFarm, run_farm
from tests.support.conforming import ConformProcess

HERE = Path(__file__).parent
SCENARIOS = {
    "dynamic": [scenario.name for scenario in chosen() if scenario.family != "sampling"],
    "static": [scenario.name for scenario in chosen(files=False) if scenario.family != "sampling"],
    "sampling": [scenario.name for scenario in chosen(family="sampling")],
    "comfyui": [scenario.name for scenario in chosen()],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each kind of server and each of its scenarios."""
    if "scenario" in metafunc.fixturenames:
        servers = [server for server in SCENARIOS if server != "comfyui" or _comfyui(metafunc.config)]
        cases = [(server, scenario) for server in servers for scenario in SCENARIOS[server]]
        metafunc.parametrize(("server", "scenario"), cases, ids=["-".join(case) for case in cases])


def _comfyui(config: pytest.Config) -> str | None:
    """Return the URL of a real ComfyUI; the option exists only if this directory is named on the command line."""
    url: str | None = config.getoption("--comfyui", default=None)
    return url


@pytest.fixture(scope="session")
def farm() -> Iterator[RunningFarm]:
    """A running farm with the conformance configuration."""
    with run_farm(HERE / "config.toml") as running:
        yield running


@pytest.fixture(scope="session")
def conform_processes(
    request: pytest.FixtureRequest, farm: RunningFarm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ConformProcess]]:
    """One for each kind of server; all run at the same time."""
    folder = tmp_path_factory.mktemp("conformance")
    processes = {}
    for server, scenarios in _selected(request.session).items():
        own = [instance.url for instance in farm.instances.values() if instance.name.partition("-")[0] == server]
        urls = own or [str(_comfyui(request.config))]
        processes[server] = ConformProcess(folder / server, urls, scenarios, files=server != "static")
    yield processes
    for conform in processes.values():
        conform.process.kill()
        conform.process.communicate()


def _selected(session: pytest.Session) -> dict[str, list[str]]:
    selected: dict[str, list[str]] = {}
    for item in session.items:
        if isinstance(item, pytest.Function) and item.function is test_it_behaves_as_recorded:
            server, scenario = (str(item.callspec.params[name]) for name in ("server", "scenario"))
            selected.setdefault(server, []).append(scenario)
    return selected


@pytest.fixture(scope="session")
def outcomes(conform_processes: dict[str, ConformProcess]) -> dict[str, dict[str, Any]]:
    """The outcome of each scenario, by kind of server."""
    return {server: conform.outcomes() for server, conform in conform_processes.items()}


def test_it_behaves_as_recorded(server: str, scenario: str, outcomes: dict[str, dict[str, Any]]) -> None:
    """A client sees no difference from ComfyUI."""
    outcome = outcomes[server][scenario]
    if outcome["skipped"] is not None:
        pytest.skip(outcome["skipped"])
    line = "{path}\n  ComfyUI {expected}\n  here    {got}"
    differences = [line.format_map(difference) for difference in outcome["differences"]]
    if differences:
        pytest.fail("\n".join(["it differs:", *differences]), pytrace=False)


def test_the_score_is_printed(farm: RunningFarm, capfd: pytest.CaptureFixture[str]) -> None:
    """The exit status is 0 for a full score."""
    assert _conform(farm["dynamic-1"].url, "--only", "features,err_no_*") == 0
    assert "score: 3/3 (100.0 %)" in capfd.readouterr().out


def test_a_server_that_is_not_a_comfyui_is_named(farm: RunningFarm, capfd: pytest.CaptureFixture[str]) -> None:
    """In one line, with status 2; so is a server that does not answer."""
    assert [_conform(farm.control_url), _conform("127.0.0.1:1")] == [2, 2]
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"comfyfarm conform: {farm.control_url}: answers, but not as a ComfyUI does"
    assert lines[1].startswith("comfyfarm conform: http://127.0.0.1:1: Connection was refused")
    assert len(lines) == 2


def test_a_difference_is_printed(farm: RunningFarm, capfd: pytest.CaptureFixture[str]) -> None:
    """With the values of ComfyUI and of this server, which has model files; the status is 1."""
    assert _conform(farm["sampling"].url, "--only", "models_lists") == 1
    output = capfd.readouterr().out
    assert "step 2, GET /models/checkpoints: json[0]\n    ComfyUI (nothing)\n    here    " in output
    assert "score: 0/1 (0.0 %)" in output


def _conform(*arguments: str) -> int:
    command = [sys.executable, "-m", "comfyfarm.cli.main", "conform", *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False).returncode
