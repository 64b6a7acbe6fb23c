"""The workflows of ``tests/workflows/``, of all the kinds that people use: what the farm says of each.

A new one is a file there; ``PYTHONPATH=farm python -m tests.support.workflow_runs`` writes the table, and whoever
adds it checks the new lines against what a real server says.
"""

import json
from typing import Any

import pytest

from tests.support.workflow_runs import EXPECTED, run, workflows

WORKFLOWS = workflows()
TABLE: dict[str, Any] = json.loads(EXPECTED.read_text())


def test_the_table_has_every_workflow() -> None:
    assert TABLE.keys() == WORKFLOWS.keys()


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_workflow_is_refused_or_ends_and_shows_what_it_should(name: str) -> None:
    """By a server that refuses what ComfyUI refuses, and by a lenient one; sent once, and once again."""
    assert run(WORKFLOWS[name]) == TABLE[name]
