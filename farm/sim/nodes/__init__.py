"""What a node makes of its inputs, as far as that can be known without pixels or models.

``run(call)`` is the only question.  The answers stand in a table of small functions by node type; an unknown type
passes its first picture through.  A new node type is one function with ``@rule("ItsClass")`` in the module of its
family.
"""

from . import outputs, pictures, sampling, texts  # their rules join the table by being imported
from .table import Call, NodeError, Outcome, Save, run

__all__ = ["Call", "NodeError", "Outcome", "Save", "outputs", "pictures", "run", "sampling", "texts"]
