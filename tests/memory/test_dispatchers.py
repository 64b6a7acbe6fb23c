"""Small dispatchers with one bug each: whom they harm is found if the orders are reported by name."""

from __future__ import annotations

import pytest

from tests.memory.dispatchers.base import Dispatcher
from tests.memory.dispatchers.bugs import BUGS
from tests.memory.dispatchers.reports import LEVELS
from tests.memory.dispatchers.scenes import Scene, play
from tests.memory.dispatchers.table import outcome, table, table_on_page

SCENES = list({id(scene): scene for scene in BUGS.values()}.values())


def test_there_are_at_least_forty() -> None:
    assert len(BUGS) >= 40
    assert len({kind.__doc__ for kind in BUGS}) == len(BUGS)


@pytest.mark.parametrize("kind", BUGS)
def test_each_bug_harms_somebody_and_is_found_with_names(kind: type[Dispatcher]) -> None:
    """It bites at each level, so that a pass is wrong.

    With names, an error names somebody who was harmed, or a server.
    """
    assert all(outcome(kind, level).harms for level in LEVELS)
    result = outcome(kind, "names")
    errors = [found for found in result.verdict.findings if found.severity == "error"]
    harmed = {harm.order for harm in result.harms}
    assert any(not found.job or found.job in harmed for found in errors), result.says


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: next(kind for kind in BUGS if BUGS[kind] is scene).__name__)
def test_where_a_bug_bites_a_dispatcher_without_it_passes(scene: Scene) -> None:
    result = play(scene, Dispatcher, "names")
    assert (result.harms, result.verdict.verdict) == ((), "pass"), result.says


def test_the_table_in_the_docs_is_what_the_dispatchers_get() -> None:
    assert table_on_page() == table(), "write it: PYTHONPATH=farm python -m tests.memory.dispatchers.table"
