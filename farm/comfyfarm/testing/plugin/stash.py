"""What is kept with a test while it runs; light, for the plugin looks here at every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from comfyfarm.testing.plugin.session import Rerun, TestSession
    from comfyfarm.testing.plugin.shrink import Failure


MARKER = "comfy_farm"
WORDS = (
    "comfy_farm(config=None, seed=None, faults=[], scenario=None, verdict=None): what the farms of memory_farm, "
    "twisted_farm and comfy_farm are made of, what goes wrong in them, and what they are judged to be in the end"
)

TRIAL: pytest.StashKey[TestSession] = pytest.StashKey()
"""Its farms, where it has any or a marker."""

AGAIN: pytest.StashKey[Rerun] = pytest.StashKey()
"""With what it is run again, while that is so."""

FAILURE: pytest.StashKey[Failure] = pytest.StashKey()
"""How it failed the last time."""
