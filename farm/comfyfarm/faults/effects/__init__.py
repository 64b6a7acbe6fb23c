"""The effects of faults, a module for each family; importing this package registers them all."""

from importlib import import_module
from pkgutil import iter_modules

from comfyfarm.faults.fault import EFFECTS, Effect

__all__ = ["EFFECTS", "Effect"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
