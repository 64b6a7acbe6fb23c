"""What passes a node unchanged."""

from __future__ import annotations

from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, first
from comfyfarm.sim.nodes.outcome import NodeOutcome, Save
from comfyfarm.sim.values import Audio, AVLatent, BlindLatent, Latent, Loaded, Mask, Model3D, Picture, Sigmas, Video

_KINDS: dict[str, tuple[type[Any], ...]] = {
    "AUDIO": (Audio,),
    "FILE_3D": (Model3D,),
    "IMAGE": (Picture,),
    "LATENT": (Latent, AVLatent, BlindLatent),
    "MASK": (Mask,),
    "MESH": (Model3D,),
    "SIGMAS": (Sigmas,),
    "SPLAT": (Model3D,),
    "VIDEO": (Video,),
    "VOXEL": (Model3D,),
}


def like(call: NodeCall, kind: str) -> Any:
    """The first input of this declared type; ``None`` where there is none."""
    if kind in _KINDS:
        return first(call, *_KINDS[kind])
    models = (value for value in call.inputs.values() if isinstance(value, Loaded) and value.kind == kind)
    return next(models, None)


def by_type(call: NodeCall, **made: Any) -> tuple[Any, ...]:
    """The outputs of a node: what it made where its type is named here, else what passes it."""
    return tuple(made[kind] if kind in made else like(call, kind) for kind in call.outputs)


def pass_through(call: NodeCall) -> NodeOutcome:
    """An unknown type: each output is the first input of its kind; one that shows something saves its pictures."""
    picture = first(call, Picture)
    if call.shows and (picture is not None or not call.outputs):
        return NodeOutcome(
            saves=(Save(picture or Picture(*call.size), "output", call.word("filename_prefix", "ComfyUI")),)
        )
    return NodeOutcome(values=by_type(call) or (picture,))
