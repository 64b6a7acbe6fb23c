"""Rules that compute what a node makes of its inputs, as far as possible without pixels and models.

:func:`run` looks up the rule of a node type in a table.  Node types without a rule pass their inputs through.  To add
a node type, write a function with ``@rule("ItsClass")`` in the module of its family.
"""

from comfyfarm.sim.nodes import (
    batches,
    geometry,
    images,
    latents,
    loaders,
    masks,
    maths,
    media,
    new_latents,
    outputs,
    regexes,
    sampling,
    scaling,
    texts,
    vae,
)
from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, Save
from comfyfarm.sim.nodes.table import known_types, run

__all__ = ["NodeCall", "NodeError", "NodeOutcome", "Save", "known_types", "run"]

# Importing a family registers its rules.
_FAMILIES = (
    *(batches, geometry, images, latents, loaders, masks, maths, media, new_latents, outputs, regexes, sampling),
    *(scaling, texts, vae),
)
