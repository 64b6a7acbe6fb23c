"""The keys under which the plugin stores things with a test or its report; untyped, so that it imports nothing else."""

from typing import Any

import pytest

MARKER = "comfy_farm"
MARKER_HELP = (
    "comfy_farm(config=None, seed=None, faults=[], scenario=None, delivery=None, verdict=None, jobs=None, no=[]): what "
    "the farms of memory_farm, twisted_farm and comfy_farm are made of, what goes wrong in them, and what they are "
    "judged to be in the end"
)

SESSION: pytest.StashKey[Any] = pytest.StashKey()
"""A ``session.TestSession``: the farms of the test; absent if the test has neither a farm nor a marker."""

WARNING = "comfyfarm_warning"
"""The name of the property of a test's report that holds a line of the terminal summary."""

RERUN: pytest.StashKey[Any] = pytest.StashKey()
"""A ``session.Rerun``, while the test is run again with other faults."""

FAILURE: pytest.StashKey[Any] = pytest.StashKey()
"""A ``shrink.Failure``: the last failure of the test."""
