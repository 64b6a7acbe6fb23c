"""Farms inside a test: in memory on a clock that the test moves, or in the test's own reactor.

Users get them through the fixtures ``memory_farm`` and ``twisted_farm`` (docs/testing.md).
"""

from .configs import as_config, check_config
from .in_reactor import TwistedFarm, TwistedInstance
from .memory import MemoryFarm, MemoryInstance

__all__ = ["MemoryFarm", "MemoryInstance", "TwistedFarm", "TwistedInstance", "as_config", "check_config"]
