"""Package exports that are imported when they are first used, so that importing a package loads nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy_exports(
    package: str, names_by_module: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], object]]:
    """Return the ``__all__`` and the ``__getattr__`` of a package.

    :param names_by_module: the exported names, by the module that defines them (without ``comfyfarm.``).
    """
    modules = {name: f"comfyfarm.{module}" for module, names in names_by_module.items() for name in names}

    def get_export(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return list(modules), get_export
