"""Rules that compute what a node makes of its inputs, as far as possible without pixels and models.

:func:`run` looks up the rule of a node type in a table.  Node types without a rule pass their inputs through.  To add
a node type, write a function with ``@rule("ItsClass")`` in the module of its family.
"""

from importlib import import_module
from pkgutil import iter_modules

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, Save
from comfyfarm.sim.nodes.table import known_types, lazy_choice, run

__all__ = ["NodeCall", "NodeError", "NodeOutcome", "Save", "known_types", "lazy_choice", "run"]

for _module in iter_modules(__path__):      # importing a family registers its rules
    import_module(f"{__name__}.{_module.name}")
