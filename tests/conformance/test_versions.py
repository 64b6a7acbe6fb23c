"""Each recorded version is compared with its own recordings; without ``--versions``, only the oldest one.

The page docs/fidelity.md shows the scores; a score that is not there fails its test.
"""

from pathlib import Path
from typing import Any

import pytest

from comfyfarm.conformance.suite import chosen
from comfyfarm.testing.child import run_farm
from comfyfarm.versions import RECORDED
from tests.support.conforming import ConformProcess

PAGE = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text("utf-8")
SCENARIOS = [scenario.name for scenario in chosen() if scenario.family != "sampling"]
SAMPLING = [scenario.name for scenario in chosen(family="sampling")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "version" in metafunc.fixturenames:
        is_whole = metafunc.config.getoption("--versions")
        metafunc.parametrize("version", RECORDED if is_whole else RECORDED[:1])


def farm_of(version: str) -> dict[str, Any]:
    """Return the configuration of what the recorded servers had; docs/fidelity.md, "The score"."""
    timing = {"nodes": {"ImageScale": "300ms"}}
    alike = {"comfyui_version": version, "mode": "dynamic", "cache": "ram", "timing": timing}
    return {
        "farm": {"seed": 25},
        "instance": [
            {**alike, "name": "recorded-{n}", "count": 4, "open_models": False},
            {**alike, "name": "sampling"},
        ],
    }


def test_a_version_behaves_as_recorded(version: str, tmp_path: Path) -> None:
    """A client sees no difference from a real server of that version, and samplers keep its rules."""
    with run_farm(farm_of(version)) as farm:
        sampling = ConformProcess(tmp_path / "sampling", [farm["sampling"].url], SAMPLING)
        urls = [farm[f"recorded-{number}"].url for number in range(1, 5)]
        recorded = ConformProcess(tmp_path / "recorded", urls, SCENARIOS).outcomes()
        outcomes = {**recorded, **sampling.outcomes()}
    differing = {name: outcome["differences"] for name, outcome in outcomes.items() if outcome["differences"]}
    assert differing == {}
    rules = sum(outcomes[name]["skipped"] is None for name in SAMPLING)
    same = sum(outcomes[name]["skipped"] is None for name in SCENARIOS)
    assert f"| {version} | {len(SCENARIOS)} recorded | **{same}** | {rules} of {len(SAMPLING)} |" in PAGE
