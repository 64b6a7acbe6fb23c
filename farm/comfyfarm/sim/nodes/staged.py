"""Node types that a configuration declares with what they show."""

from collections.abc import Mapping
from typing import Any

from comfyfarm.sim.catalogue.staging import Shown, filled
from comfyfarm.sim.nodes.call import NodeCall, NodeOutcome, Save, by_type
from comfyfarm.sim.values import Audio, Picture, Video


def run_staged(call: NodeCall, shows: Mapping[str, Shown]) -> NodeOutcome:
    """Return the outcome of a node that shows these lists."""
    facts = {f"input.{name}": value for name, value in call.inputs.items()}
    ui = {key: filled(shown.values, facts) for key, shown in shows.items() if shown.values is not None}
    saves = (_save(call, key, shown, facts) for key, shown in shows.items() if shown.suffix is not None)
    return NodeOutcome(by_type(call), saves=tuple(saves), ui=ui or None)


def _save(call: NodeCall, key: str, shown: Shown, facts: Mapping[str, Any]) -> Save:
    prefix = call.word("filename_prefix", "ComfyUI") if shown.prefix is None else str(filled(shown.prefix, facts))
    return Save(
        _content(call),
        shown.folder,
        prefix if shown.folder == "output" or shown.prefix is not None else None,
        shown.suffix or "",
        animated=shown.animated,
        key=key,
        underscore=shown.underscore,
        fields=filled(shown.fields, facts),
    )


def _content(call: NodeCall) -> Picture:
    value = next((value for value in call.inputs.values() if isinstance(value, Picture | Video | Audio)), None)
    if isinstance(value, Audio):
        return Picture(1, 1, value.count)
    return value.frames if isinstance(value, Video) else value or Picture(*call.size)
