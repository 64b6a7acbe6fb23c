"""Scenarios and recorded facts belong together."""

import json
from importlib.resources import files

import pytest

from comfyfarm.conformance.facts import as_text, recorded, without_known
from comfyfarm.conformance.families import FAMILIES
from comfyfarm.conformance.normalise import Aliases, normalise
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.suite import NoSuchScenario, ScenarioResult, chosen, judged
from comfyfarm.versions import RECORDED, REFERENCE, neighbour


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_scenario_has_its_facts(family: Family) -> None:
    """There are no facts without a scenario, and each scenario has a description."""
    assert recorded(family.name).keys() == {scenario.name for scenario in family.scenarios}
    assert all(scenario.about.endswith(".") for scenario in family.scenarios)


def test_all_of_the_recording_is_there() -> None:
    """93 scenarios were recorded, and the five of the sampler are checked by rules."""
    names = [scenario.name for scenario in chosen()]
    assert len(names) == len(set(names)) == 93 + 5


@pytest.mark.parametrize("version", RECORDED)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_facts_are_normalised(family: Family, version: str) -> None:
    """They have nothing that depends on a run, and a run with the same steps has the full score."""
    for scenario in family.scenarios:
        facts = recorded(family.name, version)[scenario.name]
        assert normalise(facts, Aliases()) == facts
        assert judged(ScenarioResult(scenario, facts, 0.0, version)).is_same


@pytest.mark.parametrize("version", sorted(set(RECORDED) - {REFERENCE}))
def test_of_a_version_only_its_differences_are_stored(version: str) -> None:
    """From its neighbour; a number stands for a step that is the same."""
    stored = json.loads(files("comfyfarm.conformance.facts").joinpath(f"versions/{version}.json").read_bytes())
    assert stored
    for family, changed in stored.items():
        base = recorded(family, neighbour(version))
        assert without_known(recorded(family, version), base) == changed
        assert all(recorded(family, version)[name] != base[name] for name in changed)


def test_versions_differ_where_they_should() -> None:
    """The first one has no jobs API, and its messages no ``progress_state``."""
    assert recorded("queue", "0.3.40")["jobs_api_queries"][0]["status"] == 404
    assert "progress_state" not in json.dumps(recorded("running", "0.3.40")["run_preview"])
    assert "progress_state" in json.dumps(recorded("running", "0.3.64")["run_preview"])


def test_a_difference_is_named_by_its_step() -> None:
    """So that people find the request."""
    (scenario,) = chosen("get_queue_empty")
    steps = [dict(step) for step in recorded("http")["get_queue_empty"]]
    steps[1]["status"] = 500
    (difference,) = judged(ScenarioResult(scenario, steps, 0.0)).differences
    assert (difference.path, difference.expected) == ("step 2, GET /api/queue: status", "200")


def test_a_scenario_that_ended_early_differs_at_that_step() -> None:
    """The steps that it did not reach are not reported one by one."""
    (scenario,) = chosen("get_queue_empty")
    steps = recorded("http")["get_queue_empty"][:1]
    (difference,) = judged(ScenarioResult(scenario, steps, 0.0, broke_off="KeyError: 'x'")).differences
    assert (difference.path, difference.got) == ("step 2: it could not be gone on", "KeyError: 'x'")


def test_scenarios_are_chosen_by_pattern_and_family() -> None:
    """Scenarios about output files can be left out."""
    by_pattern = chosen("features, err_no_*")
    assert [scenario.name for scenario in by_pattern] == ["features", "err_no_prompt", "err_no_outputs"]
    assert {scenario.family for scenario in chosen(family="users")} == {"users"}
    assert not any(scenario.of_files for scenario in chosen(files=False))


@pytest.mark.parametrize(
    ("names", "family", "message"),
    [
        ("run_*,nope", None, "no scenario 'nope'"),
        ("features", "users", "no scenario 'features' in the family users"),
        (None, "nope", "no family 'nope'; there are: http, "),
    ],
)
def test_a_selection_that_matches_nothing_is_an_error(names: str | None, family: str | None, message: str) -> None:
    """The message names the pattern or family."""
    with pytest.raises(NoSuchScenario) as raised:
        chosen(names, family)
    assert str(raised.value).startswith(message)


def test_facts_are_written_with_one_line_per_step() -> None:
    """Reading them gives the same facts."""
    facts = {"b": [{"status": 200, "ask": "GET /é"}], "a": []}
    text = as_text(facts)
    assert json.loads(text) == facts
    assert '{"ask": "GET /é", "status": 200}' in text.splitlines()
