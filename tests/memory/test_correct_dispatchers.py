"""Correct dispatchers of five styles, whatever happens to the farm: the verdict is pass if all users were served.

COMFYFARM_ALL_SCENES=1 runs all of them against all incidents and two hundred drawn fault sets (``./scripts/nightly``).
"""

from __future__ import annotations

import os

import pytest

from comfyfarm.config.scenarios import incidents
from tests.memory.dispatchers.base import Dispatcher
from tests.memory.dispatchers.correct import CORRECT, FolderOnly
from tests.memory.dispatchers.incidents import drawn_scene, incident_scene
from tests.memory.dispatchers.scenes import Scene, play

IS_WHOLE = bool(os.environ.get("COMFYFARM_ALL_SCENES"))
INCIDENTS = list(incidents()) if IS_WHOLE else ["F04", "F10", "F14", "F26", "F40"]
PAIRS = [(kind, number) for number in range(200) for kind in CORRECT]
SOME_PAIRS = [(CORRECT[number % len(CORRECT)], number) for number in range(20)]


@pytest.mark.parametrize("kind", CORRECT)
@pytest.mark.parametrize("incident_id", INCIDENTS)
def test_a_correct_dispatcher_passes_an_incident(kind: type[Dispatcher], incident_id: str) -> None:
    expect_the_truth(incident_scene(incident_id), kind)


@pytest.mark.parametrize(("kind", "number"), PAIRS if IS_WHOLE else SOME_PAIRS)
def test_a_correct_dispatcher_passes_a_drawn_fault_set(kind: type[Dispatcher], number: int) -> None:
    expect_the_truth(drawn_scene(number), kind)


def expect_the_truth(scene: Scene, kind: type[Dispatcher]) -> None:
    """Expect a pass if each user has the right picture or was told of a failure, and else none.

    A server that hides a job from its queue may have it sent again: then it did run twice.
    """
    result = play(scene, kind, "names", delivery="folder" if kind is FolderOnly else None)
    made_twice = {harm.order for harm in result.harms if harm.what.startswith("was made")}
    findings = [found for found in result.verdict.findings if found.severity in {"error", "unknown"}]
    false = [found for found in findings if found.finding != "ran_twice" or found.job not in made_twice]
    assert bool(result.harms_to_users) == bool(false), f"{result.harms_to_users}\n{result.says}"
