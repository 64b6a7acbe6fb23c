"""Scenarios as values: the catalogue of incidents, what a configuration makes of it, and what it refuses."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyfarm.cli.main import main
from comfyfarm.config import ConfigError, FarmConfig, load, read
from comfyfarm.config.scenarios import Incident, incidents
from comfyfarm.config.scenarios.scenario import ActionStep, ArmStep, ChangeStep, HealStep, LoadStep, Step
from comfyfarm.faults.fault import Fault
from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Duration

ROOT = Path(__file__).resolve().parents[4]
THREE: dict[str, Any] = {"instance": [{"name": "gpu-{n}", "count": 3, "port": 0}]}
OWN_DOING = {"F05", "F27", "F28", "F29", "F30", "F32", "F33", "F34", "F42", "F47", "F48"}
ALL = [f"F{number:02}" for number in range(1, 49)]


def farm(*scenarios: dict[str, Any], **more: Any) -> FarmConfig:
    return read({**THREE, **more, "scenario": list(scenarios)}, Path())


def steps(config: FarmConfig, index: int = 0) -> tuple[Step, ...]:
    return config.scenario[index].steps


def faults(config: FarmConfig) -> list[Fault]:
    armed = [step.action for scenario in config.scenario for step in scenario.steps]
    return [action.fault for action in armed if isinstance(action, ArmStep)]


def refusal(toml: str, tmp_path: Path) -> str:
    file = tmp_path / "config.toml"
    file.write_text(f'{toml}\n[[instance]]\nname = "gpu-1"\n', "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value).removeprefix(f"{file}: ")


# The catalogue.


def test_every_incident_has_its_file() -> None:
    assert list(incidents()) == ALL
    assert {incident.id for incident in incidents().values() if incident.own_doing} == OWN_DOING


def test_no_two_incidents_have_the_same_name_or_text() -> None:
    found = list(incidents().values())
    for key in ("name", "what", "good_client"):
        assert len({getattr(incident, key) for incident in found}) == len(found)


@pytest.mark.parametrize("incident", incidents().values(), ids=ALL)
def test_an_incident_says_what_happens_and_what_to_do(incident: Incident) -> None:
    """In sentences; and where it is staged without faults and steps, why that is enough."""
    assert all(text.endswith(".") and "  " not in text for text in (incident.what, incident.good_client))
    assert incident.fault or incident.step or incident.settings
    assert incident.fault or incident.id == "F26" or "needs no fault" in incident.conditions
    assert not incident.own_doing or incident.conditions


@pytest.mark.parametrize("incident", incidents().values(), ids=ALL)
def test_an_incident_can_be_used_by_its_id(incident: Incident) -> None:
    """Its faults decode, bear its id and cite its sources; one that befalls one instance is on the first."""
    config = farm({"use": incident.id})
    (scenario,) = config.scenario
    assert scenario.name == incident.id
    assert scenario.on == (("gpu-1",) if incident.befalls == "one" else ("gpu-1", "gpu-2", "gpu-3"))
    ids = [incident.id, *(f"{incident.id}-{n}" for n in range(2, len(incident.fault) + 1))]
    assert [fault.id for fault in faults(config)] == ids[: len(incident.fault)]
    assert all(fault.rule.cites == incident.sources for fault in faults(config))
    assert len(scenario.steps) == len(incident.fault) + len(incident.step)


@pytest.mark.parametrize("incident", incidents().values(), ids=ALL)
def test_what_show_prints_stages_the_same(incident: Incident) -> None:
    """But for names, citations and places: whoever copies it begins with the incident as it is."""
    copied = read({**THREE, **msgspec.toml.decode(incident.as_own())}, Path())
    used = farm({"use": incident.id})
    assert copied.instance == used.instance
    assert [_bare(step) for step in steps(copied)] == [_bare(step) for step in steps(used)]


def _bare(step: Step) -> tuple[int, Any]:
    action = step.action
    if not isinstance(action, ArmStep):
        return step.at_ms, action
    rule = msgspec.structs.replace(action.fault.rule, id="x", cites=())
    return step.at_ms, Fault(rule, action.fault.effect)


def test_the_page_about_scenarios_lists_every_incident() -> None:
    """One row for each, as its file says it."""
    page = (ROOT / "docs" / "scenarios.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| F")]
    assert rows == [
        f"| {incident.id} | {incident.name} | {incident.what} | {_marks(incident)} |"
        for incident in incidents().values()
    ]


def _marks(incident: Incident) -> str:
    marks = {"one": incident.befalls == "one", "own": incident.own_doing}
    return ", ".join(mark for mark, is_so in marks.items() if is_so)


def test_the_examples_of_the_page_are_configurations() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text("utf-8")
    first, second = (block.split("```")[0] for block in page.split("```toml\n")[1:])
    used = read(msgspec.toml.decode(first), Path())
    assert [(scenario.name, scenario.on) for scenario in used.scenario] == [
        ("F08", ("gpu-1", "gpu-2", "gpu-3")),
        ("F04", ("gpu-2",)),
    ]
    assert [step.at_ms for step in steps(used, 1)] == [60_000]
    own = read({**THREE, **msgspec.toml.decode(second)}, Path())
    assert [step.action.action for step in steps(own)] == ["fault", "load", "restart", "restart", "fault", "heal"]


# What becomes of a scenario.


def test_settings_go_over_the_instances_own() -> None:
    """Only where the scenario is; tables key by key; a later scenario over an earlier one."""
    own = {"name": "gpu-{n}", "count": 2, "port": 0, "cache": "classic", "timing": {"step": "1s", "node": "2s"}}
    config = read(
        {
            "instance": [own],
            "scenario": [
                {"name": "a", "on": "gpu-2", "settings": {"cache": "ram", "timing": {"step": "3s"}}},
                {"name": "b", "on": "gpu-2", "settings": {"timing": {"step": "4s"}}},
            ],
        },
        Path(),
    )
    first, second = config.instance
    assert (first.name, first.cache, first.timing.step) == ("gpu-1", "classic", Distribution.fixed(1000))
    assert (second.name, second.cache, second.timing.step) == ("gpu-2", "ram", Distribution.fixed(4000))
    assert second.timing.node == Distribution.fixed(2000)


def test_everything_is_shifted_by_after() -> None:
    """Faults are armed then; what they say of moments counts from the scenario's beginning, spans stay as they are."""
    fault = {"at": "node", "do": "delay", "duration": "1s", "after": "2s", "until": "3s", "ttl": "4s"}
    config = farm({"name": "later", "after": "10s", "fault": [fault], "step": [{"at": "1s", "heal": True}]})
    assert [(step.at_ms, step.action.action) for step in steps(config)] == [(10_000, "fault"), (11_000, "heal")]
    (armed,) = faults(config)
    assert (armed.rule.after, armed.rule.until, armed.rule.ttl) == (12_000, 13_000, 4000)


def test_names_mean_instances_that_the_scenario_is_on() -> None:
    """If the scenario is on some instances, ``*`` matches those."""
    fault = {"at": "process", "do": "crash"}
    config = farm({"name": "some", "on": ["gpu-2", "gpu-3"], "fault": [fault], "step": [{"at": "0s", "crash": "*"}]})
    assert faults(config)[0].rule.on == ("gpu-2", "gpu-3")
    assert steps(config)[1].action == ActionStep("crash", ("gpu-2", "gpu-3"))
    assert faults(farm({"name": "all", "fault": [fault | {"on": "gpu-*"}]}))[0].rule.on == "gpu-*"


def test_a_fault_may_fire_so_often_on_each_instance_only_if_it_or_its_scenario_names_them() -> None:
    fault = {"at": "node", "do": "error", "times": 1}
    assert faults(farm({"name": "s", "fault": [fault]}))[0].rule.on is None
    assert faults(farm({"name": "s", "on": "*", "fault": [fault]}))[0].rule.on == ("gpu-1", "gpu-2", "gpu-3")
    assert faults(farm({"name": "s", "fault": [fault | {"on": "*"}]}))[0].rule.on == "*"


@pytest.mark.parametrize("incident", [incident for incident in incidents().values() if incident.befalls == "all"])
def test_an_incident_on_all_instances_happens_to_each_of_them(incident: Incident) -> None:
    limited = [fault for fault in faults(farm({"use": incident.id})) if fault.rule.times is not None]
    assert all(fault.rule.on is not None for fault in limited)


def test_the_same_incident_twice_gives_no_fault_the_same_name() -> None:
    """Nor one that stands in the file."""
    config = farm(
        {"use": "F08", "on": "gpu-1"},
        {"use": "F08", "on": "gpu-2"},
        fault=[{"id": "F08", "at": "process", "do": "crash"}],
    )
    assert [fault.id for fault in faults(config)] == ["F08-2", "F08-3"]


def test_steps_come_in_the_order_of_their_moments() -> None:
    """Of those at the same moment the first one first; every kind of step is read."""
    written = [
        {"at": "2s", "pause": "gpu-1"},
        {"at": "1s", "load": {"jobs": 2, "every": "100ms", "steps": 4, "client": "", "job": "mine"}},
        {"at": "1s", "change": {"on": "gpu-3", "cache": "ram"}},
        {"at": "1s", "heal": True},
        {"at": "1s", "fault": {"id": "mine", "at": "node", "do": "hang"}},
    ]
    loaded, changed, healed, armed, paused = (step.action for step in steps(farm({"name": "x", "step": written})))
    names = ("gpu-1", "gpu-2", "gpu-3")
    assert loaded == LoadStep(on=names, jobs=2, every=Duration(100), steps=4, client="", job="mine")
    assert changed == ChangeStep(("gpu-3",), {"cache": "ram"})
    assert healed == HealStep()
    assert isinstance(armed, ArmStep)
    assert armed.fault.id == "mine"
    assert paused == ActionStep("pause", ("gpu-1",))


# What is refused.

ACTIONS = (
    "load, fault, restart, crash, stop, start, pause, resume, reset, drain, undrain, interrupt, "
    "clear_history, clear_queue, change, speed, heal"
)
WRONG = {
    "scenario = 5": "scenario: expected [[scenario]] tables",
    '[scenario]\nuse = "F08"': "scenario: expected [[scenario]] tables",
    "[[scenario]]": 'scenario[0]: expected use = "F08" or a name',
    '[[scenario]]\nuse = "F49"': f"scenario[0].use: there is no incident 'F49' (there are: {', '.join(ALL)})",
    "[[scenario]]\nuse = 8": "scenario[0].use: expected str, got int",
    '[[scenario]]\nuse = "F08"\nonn = "x"': (
        "scenario[0].onn: unknown key (there are: use, on, after, begins); did you mean 'on'?"
    ),
    '[[scenario]]\nuse = "F08"\nname = "x"': "scenario[0].name: unknown key (there are: use, on, after, begins)",
    '[[scenario]]\nuse = "F08"\non = "gpu-7"': "scenario[0].on: 'gpu-7' matches no instance (there are: gpu-1)",
    '[[scenario]]\nuse = "F08"\nafter = 5': (
        'scenario[0].after: expected a duration such as "45ms", "1.5s", "2min" or "1h", got 5'
    ),
    '[[scenario]]\nuse = "F19"\nafter = "5s"': (
        "scenario[0].after: nothing in 'F19' happens at a time; settings hold from the start"
    ),
    '[[scenario]]\nname = "x"\nsteps = []': (
        "scenario[0].steps: unknown key (there are: name, on, after, begins, settings, fault, step); "
        "did you mean 'step'?"
    ),
    '[[scenario]]\nname = ""': "scenario[0].name: expected str of length >= 1",
    '[[scenario]]\nname = "x"\nstep = 5': "scenario[0].step: expected [[scenario.step]] tables",
    '[[scenario]]\nname = "x"\nfault = 5': "scenario[0].fault: expected [[scenario.fault]] tables",
    '[[scenario]]\nname = "x"\nsettings = 5': "scenario[0].settings: expected a table, got int",
    '[[scenario]]\nname = "x"\nsettings.port = 5': "scenario[0].settings.port: cannot be set by a scenario",
    '[[scenario]]\nname = "x"\nsettings.cash = 5': "scenario[0].settings.cash: unknown key; did you mean 'cache'?",
    '[[scenario]]\nname = "x"\nsettings.timing.step = 5': (
        'scenario[0].settings.timing.step: expected a duration such as "45ms", "1.5s", "2min" or "1h", got 5'
    ),
    '[[scenario]]\nname = "x"\n[[scenario.fault]]\nat = "lunch"\ndo = "hang"': (
        "scenario[0].fault[0].at.phase: expected one of 'process', 'request', 'submit', 'reply', 'start', 'node', "
        "'step', 'save', 'success', 'history', 'frame', 'view', 'upload', 'status', got 'lunch'"
    ),
    '[[scenario]]\nname = "x"\n[[scenario.fault]]\nat = "node"\ndo = "hang"\non = "b"': (
        "scenario[0].fault[0].on: 'b' matches no instance (there are: gpu-1)"
    ),
    '[[scenario]]\nname = "x"\nfault = [{at = "node", do = "hang", id = "a"}, {at = "node", do = "hang", id = "a"}]': (
        "scenario[0].fault[1].id: 'a' is there already"
    ),
}
WRONG_STEPS = {
    "5": ": expected a table, got int",
    '{at = "1s"}': f": expected exactly one of {ACTIONS}; got none",
    '{at = "1s", heal = true, crash = "*"}': f": expected exactly one of {ACTIONS}; got heal and crash",
    '{at = "1s", lunch = "*"}': f".lunch: unknown key (there are: at, {ACTIONS})",
    "{heal = true}": '.at: expected when it happens, such as "2s"',
    "{at = 1, heal = true}": '.at: expected a duration such as "45ms", "1.5s", "2min" or "1h", got 1',
    '{at = "1s", heal = false}': ".heal: expected true, got False",
    '{at = "1s", crash = "b*"}': ".crash: 'b*' matches no instance (there are: gpu-1)",
    '{at = "1s", crash = 5}': ".crash: expected str or a list, got int",
    '{at = "1s", load = 5}': ".load: expected a table, got int",
    '{at = "1s", load = {}}': ".load.jobs: expected how many jobs each instance is given",
    '{at = "1s", load = {jobs = "many"}}': ".load.jobs: expected int, got str",
    '{at = "1s", load = {jobs = 0}}': ".load.jobs: expected int >= 1",
    '{at = "1s", load = {jobs = 1, on = "b"}}': ".load.on: 'b' matches no instance (there are: gpu-1)",
    '{at = "1s", load = {job = 1}}': ".load.jobs: expected how many jobs each instance is given",
    '{at = "1s", load = {jobs = 1, speed = 1}}': (
        ".load.speed: unknown key (there are: on, jobs, every, steps, client, job)"
    ),
    '{at = "1s", change = {}}': ".change: expected at least one setting",
    '{at = "1s", change = {on = "b", cache = "ram"}}': ".change.on: 'b' matches no instance (there are: gpu-1)",
    '{at = "1s", fault = 5}': ".fault: expected a table, got int",
    '{at = "1s", fault = {at = "node", do = "mute"}}': (
        ".fault.do: 'mute' cannot happen at phase 'node' (there: "
    ),
}


@pytest.mark.parametrize("toml", WRONG)
def test_a_bad_scenario_is_refused_when_it_is_read(toml: str, tmp_path: Path) -> None:
    """In one line, with its place and what is allowed."""
    assert refusal(toml, tmp_path) == WRONG[toml]


@pytest.mark.parametrize("table", WRONG_STEPS)
def test_a_bad_step_is_refused_when_it_is_read(table: str, tmp_path: Path) -> None:
    """The second of two, by its number."""
    toml = f'[[scenario]]\nname = "x"\nstep = [{{at = "0s", heal = true}}, {table}]'
    assert refusal(toml, tmp_path).startswith(f"scenario[0].step[1]{WRONG_STEPS[table]}")


# The command.


def test_the_command_lists_every_incident(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("F")] == ALL


@pytest.mark.parametrize("incident", incidents().values(), ids=ALL)
def test_the_command_tells_all_about_one(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    """The output has what happens, what a good client does, the sources, and two ways to use it."""
    assert main(["scenarios", "show", incident.id.lower()]) == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    for text in (incident.what, incident.good_client, incident.conditions, *incident.sources):
        assert text in flat
    assert f'[[scenario]]\nuse = "{incident.id}"\n' in out
    assert incident.as_own().rstrip() in out


def test_an_unknown_incident_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2, and those that there are."""
    assert main(["scenarios", "show", "salad-186"]) == 2
    said = f"comfyfarm scenarios: there is no incident 'salad-186' (there are: {', '.join(ALL)})\n"
    assert capsys.readouterr().err == said
