"""What a node makes of its inputs, as far as that can be known without pixels or models.

``run(call)`` is the only question.  The answers stand in a table of small functions by node type, one module for each
family; an unknown type passes its first picture through.  A new node type is one function with ``@rule("ItsClass")``
in the module of its family.
"""

from __future__ import annotations

from comfyfarm.sim.nodes import (
    batches,
    geometry,
    images,
    latents,
    loaders,
    logic,
    masks,
    maths,
    media,
    new_latents,
    outputs,
    regexes,
    sampling,
    scaling,
    sigmas,
    texts,
    vae,
)
from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.nodes.outcome import NodeOutcome, Save
from comfyfarm.sim.nodes.table import known_types, run

__all__ = [
    "NodeCall",
    "NodeError",
    "NodeOutcome",
    "Save",
    "batches",
    "geometry",
    "images",
    "known_types",
    "latents",
    "loaders",
    "logic",
    "masks",
    "maths",
    "media",
    "new_latents",
    "outputs",
    "regexes",
    "run",
    "sampling",
    "scaling",
    "sigmas",
    "texts",
    "vae",
]
