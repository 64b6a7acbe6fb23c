"""The farm is held against recordings of a real ComfyUI, and with ``--comfyui URL`` a real one is, too.

All that was selected is run once for the session, by ``comfyfarm conform`` in processes of their own; each test then
says what became of one scenario.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.conformance.suite import chosen
from comfyfarm.testing.child import RunningFarm, run_farm

HERE = Path(__file__).parent
SCENARIOS = {
    "dynamic": [each.name for each in chosen() if each.family != "sampling"],
    "static": [each.name for each in chosen(files=False) if each.family != "sampling"],
    "sampling": [each.name for each in chosen(family="sampling")],
    "comfyui": [each.name for each in chosen()],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each scenario and whom it is run against."""
    if "scenario" in metafunc.fixturenames:
        against = [each for each in SCENARIOS if each != "comfyui" or _comfyui(metafunc.config)]
        cases = [(each, scenario) for each in against for scenario in SCENARIOS[each]]
        metafunc.parametrize(("against", "scenario"), cases, ids=["-".join(case) for case in cases])


def _comfyui(config: pytest.Config) -> str | None:
    """The real one's URL; the option is known only where this directory was named on the command line."""
    url: str | None = config.getoption("--comfyui", default=None)
    return url


@dataclass
class Judge:
    """``comfyfarm conform`` in a process of its own."""

    result: Path
    urls: list[str]
    scenarios: list[str]
    files: bool
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        options = ["--json", str(self.result), "--only", ",".join(self.scenarios)]
        options += [] if self.files else ["--without-files"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comfyfarm.cli.main", "conform", *self.urls, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def outcomes(self) -> dict[str, Any]:
        """Wait for the end, and give what became of each scenario."""
        _, said = self.process.communicate(timeout=300)
        assert self.process.returncode in (0, 1), said
        return dict(json.loads(self.result.read_text("utf-8"))["scenarios"])


@pytest.fixture(scope="session")
def farm() -> Iterator[RunningFarm]:
    """The conformance configuration, alive."""
    with run_farm(HERE / "config.toml") as running:
        yield running


@pytest.fixture(scope="session")
def judges(
    request: pytest.FixtureRequest, farm: RunningFarm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Judge]]:
    """One for each server or group of equal servers, all at work at the same time."""
    folder = tmp_path_factory.mktemp("conformance")
    begun = {}
    for against, scenarios in _selected(request.session).items():
        named = [instance.url for instance in farm.instances.values() if instance.name.partition("-")[0] == against]
        urls = named or [str(_comfyui(request.config))]
        begun[against] = Judge(folder / against, urls, scenarios, files=against != "static")
    yield begun
    for judge in begun.values():
        judge.process.kill()
        judge.process.communicate()


def _selected(session: pytest.Session) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in session.items:
        if isinstance(item, pytest.Function) and item.function is test_it_behaves_as_recorded:
            against, scenario = (str(item.callspec.params[name]) for name in ("against", "scenario"))
            found.setdefault(against, []).append(scenario)
    return found


@pytest.fixture(scope="session")
def outcomes(judges: dict[str, Judge]) -> dict[str, dict[str, Any]]:
    """What became of each scenario, by whom it was run against."""
    return {against: judge.outcomes() for against, judge in judges.items()}


def test_it_behaves_as_recorded(against: str, scenario: str, outcomes: dict[str, dict[str, Any]]) -> None:
    """Nothing that a client can see is different."""
    outcome = outcomes[against][scenario]
    if outcome["skipped"] is not None:
        pytest.skip(outcome["skipped"])
    told = ["{path}\n  ComfyUI {expected}\n  here    {got}".format_map(each) for each in outcome["differences"]]
    if told:
        pytest.fail("\n".join(["it differs:", *told]), pytrace=False)


def test_the_score_is_told(farm: RunningFarm, capfd: pytest.CaptureFixture[str]) -> None:
    """To people, and by the exit status: 0 for a full score."""
    assert _conform(farm["dynamic-1"].url, "--only", "features,err_no_*") == 0
    assert "score: 3/3 (100.0 %)" in capfd.readouterr().out


def test_a_server_that_is_no_comfyui_is_named(farm: RunningFarm, capfd: pytest.CaptureFixture[str]) -> None:
    """In one line, with status 2; so is one that does not answer."""
    assert [_conform(farm.control_url), _conform("127.0.0.1:1")] == [2, 2]
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"comfyfarm conform: {farm.control_url}: answers, but not as a ComfyUI does"
    assert lines[1].startswith("comfyfarm conform: http://127.0.0.1:1: Connection was refused")
    assert len(lines) == 2


def test_a_difference_is_told(farm: RunningFarm, capfd: pytest.CaptureFixture[str]) -> None:
    """With what a ComfyUI says and what this server says, and by status 1: here, one that has model files."""
    assert _conform(farm["sampling"].url, "--only", "models_lists") == 1
    said = capfd.readouterr().out
    assert "step 2, GET /models/checkpoints: json[0]\n    ComfyUI (nothing)\n    here    " in said
    assert "score: 0/1 (0.0 %)" in said


def _conform(*words: str) -> int:
    command = [sys.executable, "-m", "comfyfarm.cli.main", "conform", *words]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False).returncode
