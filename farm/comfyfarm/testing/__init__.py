"""Farms inside a test: in memory on a clock that the test moves, or in the test's own reactor.

Users get them through the fixtures ``memory_farm`` and ``twisted_farm`` (docs/testing.md).  A name is imported when it
is first used: :mod:`comfyfarm.testing.child` needs :mod:`comfyfarm.testing.remote`, and must not load Klein and treq
with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfyfarm.testing.configs import as_config, check_config
    from comfyfarm.testing.memory_farm import MemoryFarm, MemoryInstance
    from comfyfarm.testing.twisted_farm import TwistedFarm, TwistedInstance
else:
    _MODULES = {
        **dict.fromkeys(("as_config", "check_config"), "configs"),
        **dict.fromkeys(("TwistedFarm", "TwistedInstance"), "twisted_farm"),
        **dict.fromkeys(("MemoryFarm", "MemoryInstance"), "memory_farm"),
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = ["MemoryFarm", "MemoryInstance", "TwistedFarm", "TwistedInstance", "as_config", "check_config"]
