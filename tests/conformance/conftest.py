"""What is different for tests whose servers are other processes."""

import pytest


@pytest.fixture(autouse=True)
def meant_errors() -> None:
    """Do not look for what a test left behind: all runs in other processes, and to look takes longer than a test."""
