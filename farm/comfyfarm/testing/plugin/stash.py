"""What the plugin keeps with a test while it runs; untyped, so that looking for it imports nothing."""

from __future__ import annotations

from typing import Any

import pytest

MARKER = "comfy_farm"
WORDS = (
    "comfy_farm(config=None, seed=None, faults=[], scenario=None, verdict=None): what the farms of memory_farm, "
    "twisted_farm and comfy_farm are made of, what goes wrong in them, and what they are judged to be in the end"
)

SESSION: pytest.StashKey[Any] = pytest.StashKey()
"""A ``session.TestSession``: the test's farms; absent if it has neither a farm nor a marker."""

RERUN: pytest.StashKey[Any] = pytest.StashKey()
"""A ``session.Rerun``, while the test is run again with other faults."""

FAILURE: pytest.StashKey[Any] = pytest.StashKey()
"""A ``shrink.Failure``: how the test failed the last time."""
