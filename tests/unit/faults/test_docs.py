"""docs/faults.md: it names every effect, phase, key and event, and its examples are faults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import pytest

from comfyfarm.config import read
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import faults as fault_events
from comfyfarm.events.filters import kind_of
from comfyfarm.faults.effects import EFFECTS, Effect
from comfyfarm.faults.fault import Rule
from comfyfarm.faults.phases import EXCHANGE, JOB, At, Phase, filter_keys

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "faults.md").read_text("utf-8")
CODE = re.compile(r"`([^`]+)`")
DEFAULTS = {key.name: key.default for key in msgspec.structs.fields(Rule)}
GROUPS = {"job": JOB, "http": EXCHANGE}


def rows(section: str, first: str) -> Iterator[tuple[str, ...]]:
    """The rows of the table of a section whose head begins with a word."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    for line in lines[2:]:
        yield tuple(cell.strip() for cell in line.strip("|").split("|"))


def named(cell: str) -> tuple[str, ...]:
    return tuple(CODE.findall(cell))


def test_every_key_of_a_fault_has_its_row_and_its_default() -> None:
    table = {named(key)[0]: named(default) for key, default, _ in rows("The keys of a fault", "key")}
    assert set(table) == {*Rule.__struct_fields__, "do"}
    for key in ("skip", "every", "chance", "sticky"):
        assert table[key] == (msgspec.json.encode(DEFAULTS[key]).decode(),), key
    assert {key for key, default in DEFAULTS.items() if default is msgspec.NODEFAULT} == {"at"}


def test_every_phase_has_its_row_with_its_filters() -> None:
    table = {named(phase)[0]: named(keys) for phase, _, keys in rows("When: phases", "phase")}
    assert set(table) == set(get_args(Phase))
    for phase in get_args(Phase):
        assert sorted(table[phase]) == sorted(filter_keys(phase)), phase


def test_the_phases_of_a_job_stand_in_their_order() -> None:
    phases = [named(phase)[0] for phase, *_ in rows("When: phases", "phase")]
    assert [phase for phase in phases if phase in JOB] == list(JOB)


def test_every_filter_has_its_row() -> None:
    assert {named(key)[0] for key, _ in rows("When: phases", "key")} == {*At.__struct_fields__} - {"phase"}


@pytest.mark.parametrize(("do", "kind"), sorted(EFFECTS.items()))
def test_every_effect_has_its_row_with_its_phases_and_keys(do: str, kind: type[Effect]) -> None:
    """Required keys are bold."""
    ((_, at, keys, what),) = [row for row in rows("What: effects", "effect") if row[0] == f"`{do}`"]
    phases = {*named(at)}.union(*(GROUPS[word] for word in re.findall(r"\b(?:job|http)\b", CODE.sub("", at))))
    assert phases == set(kind.phases)
    assert set(named(keys)) == set(kind.__struct_fields__)
    needed = {key.name for key in msgspec.structs.fields(kind) if key.required}
    assert set(re.findall(r"\*\*`(\w+)`\*\*", keys)) == needed
    assert len(what) > 10


def test_no_row_is_about_an_unknown_effect() -> None:
    """The rows are in alphabetical order."""
    assert [row[0] for row in rows("What: effects", "effect")] == [f"`{do}`" for do in sorted(EFFECTS)]


def test_the_effects_that_last_are_listed() -> None:
    (text,) = re.findall(r"^Some effects last:(.*?)A fault that", PAGE, re.MULTILINE | re.DOTALL)
    listed = {name for name in named(text) if name in EFFECTS}
    assert listed == {do for do, kind in EFFECTS.items() if kind.lasts}


def is_defined_in(module: ModuleType, thing: object) -> bool:
    return isinstance(thing, type) and thing.__module__ == module.__name__


def test_every_event_about_faults_has_its_row() -> None:
    listed = {name for event, _ in rows("What the log says", "event") for name in named(event)}
    assert listed == {kind_of(event) for event in vars(fault_events).values() if is_defined_in(fault_events, event)}


def test_every_example_is_a_configuration_that_reads() -> None:
    """Those without instances are for a farm of three."""
    three = {"instance": [{"name": "gpu-{n}", "count": 3, "port": 0}]}
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    read_faults = [read({**three, **msgspec.toml.decode(block)}, Path()).fault for block in blocks]
    assert [len(faults) for faults in read_faults] == [1, 4, 1, 1]
    assert len(blocks) == PAGE.count("```toml\n")


def test_the_header_of_the_page_is_a_fault() -> None:
    (header,) = re.findall(r"X-Comfyfarm-Fault: (\{.*\})'", PAGE)
    assert read_fault(json.loads(header)).effect.do == "drop"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_front_pages_count_them_right(page: str) -> None:
    assert f"any of {len(EFFECTS)} effects at the phase" in (ROOT / page).read_text("utf-8")
