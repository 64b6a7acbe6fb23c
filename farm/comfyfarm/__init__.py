"""A farm of mock ComfyUI servers.

Users import from :mod:`comfyfarm.testing`, :mod:`comfyfarm.clients` and :mod:`comfyfarm.workflows`.
"""

import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import get_data

__all__ = ["__version__"]

__version__ = "0.1.0"

_EXPORT = re.compile(rb"^    from (\S+) import (\w+) as \2$", re.MULTILINE)


def lazy_exports(package: str) -> tuple[list[str], Callable[[str], object]]:
    """Return the ``__all__`` and the ``__getattr__`` of a package whose exports are imported when they are first used.

    They are the lines ``from MODULE import NAME as NAME`` of the package, which stand there for the type checker.
    """
    lines = _EXPORT.findall(get_data(package, "__init__.py") or b"")
    modules = {name.decode(): module.decode() for module, name in lines}

    def get_export(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return list(modules), get_export
