"""Reasons for which a node fails before it does anything, although validation has let it pass."""

from collections.abc import Mapping
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.dynamic_inputs import unchosen
from comfyfarm.sim.catalogue.node_types import NodeType
from comfyfarm.sim.nodes import NodeError


def check_choices(catalogue: Catalogue, node_type: NodeType | None, inputs: Mapping[str, Any]) -> None:
    """Check that each dynamic combo has a valid choice; others are not passed to the node's function.

    :raises NodeError: if one has none, unless ``validation`` lets any choice pass.
    """
    if node_type is not None and catalogue.validation == "strict":
        for name in unchosen(node_type, inputs):
            message = f"{node_type.name}.execute() missing 1 required positional argument: '{name}'"
            raise NodeError("TypeError", message)


def check_api_key(*, has_key: bool) -> None:
    """Check the key for a node that calls a paid service.

    :raises NodeError: if there is none.
    """
    if not has_key:
        raise NodeError("Exception", "Unauthorized: Please login first to use this node.")
