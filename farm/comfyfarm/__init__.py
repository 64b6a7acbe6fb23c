"""A farm of mock ComfyUI servers.

Users import from :mod:`comfyfarm.testing`, :mod:`comfyfarm.clients` and :mod:`comfyfarm.workflows`.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

__all__ = ["__version__"]

__version__ = "0.1.0"


def lazy_exports(
    package: str, names_by_module: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], object]]:
    """Return the ``__all__`` and the ``__getattr__`` of a package whose exports are imported when they are first used.

    :param names_by_module: the exported names, by the module that defines them (without ``comfyfarm.``).
    """
    modules = {name: f"comfyfarm.{module}" for module, names in names_by_module.items() for name in names}

    def get_export(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return list(modules), get_export
