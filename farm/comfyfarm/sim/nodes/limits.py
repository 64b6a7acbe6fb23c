"""How much may a workflow ask for?  As much as a big machine could hold; beyond that it fails as it would there.

The values are shapes, so that a wish for a terabyte costs nothing; but whoever writes the files must be sure that
there is an end to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfyfarm.sim.nodes.call import NodeError
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.values import Audio, AVLatent, BlindLatent, Latent, ListValue, Mask, Model3D, Picture, Sigmas, Video

_MEMORY_BYTES = 64 << 30
_MOST_PIECES = 1 << 16      # in one batch, and files of one node
_MOST_ITEMS = 1 << 12       # of a list: the nodes that follow run once for each
_LONGEST_TEXT = 1 << 22
_LONGEST_NUMBER = 1 << 63


def affordable(outcome: NodeOutcome) -> NodeOutcome:
    """The outcome, where its values and files are of a possible size.

    :raises NodeError: where the real node would run out of memory.
    """
    for value in outcome.values:
        for item in value.items if isinstance(value, ListValue) else (value,):
            _check(_size_bytes(item), _pieces(item))
    pictures = [save.picture for save in outcome.saves]
    _check(sum(map(_size_bytes, pictures)), sum(map(_pieces, pictures)))
    _check(4 * outcome.steps, 1)
    return outcome


def allocate(*sizes: int) -> None:
    """Check the shape of a tensor that a node is about to make.

    :raises NodeError: where PyTorch would, or where somebody would stumble over the empty tensor next.
    """
    negative = next((size for size in sizes if size < 0), None)
    if any(abs(size) >= _LONGEST_NUMBER for size in sizes):
        raise NodeError("RuntimeError", "Overflow when unpacking long long")
    if negative is not None:
        shape = list(sizes)
        raise NodeError("RuntimeError", f"Trying to create tensor with negative dimension {negative}: {shape}")
    if 0 in sizes:
        raise NodeError("IndexError", "index 0 is out of bounds for dimension 0 with size 0")


def bounded_text(length: int) -> None:
    """Check the length of a text that a node is about to make, in characters.

    :raises MemoryError: where it is out of all measure.
    """
    if length > _LONGEST_TEXT:
        raise MemoryError


def several(items: Iterable[Any]) -> Any:
    """A list as the value of an output; a list of one is that one.

    :raises MemoryError: where it is out of all measure.
    """
    known: list[Any] = []
    for item in items:
        known.extend(item.items if isinstance(item, ListValue) else (item,))
        if len(known) > _MOST_ITEMS:
            raise MemoryError
    if not known:
        raise NodeError("IndexError", "list index out of range")    # ComfyUI takes an empty list's last item
    return ListValue(tuple(known)) if len(known) > 1 else known[0]


def _check(size_bytes: int, pieces: int) -> None:
    if size_bytes > _MEMORY_BYTES or pieces > _MOST_PIECES:
        text = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        size = min(max(size_bytes, _MEMORY_BYTES), _LONGEST_NUMBER)
        raise NodeError("RuntimeError", f"{text}allocate {size} bytes. Error code 12 (Cannot allocate memory)")


def _size_bytes(value: Any) -> int:
    """What the tensor behind a value would take."""
    match value:
        case Picture():
            return 12 * value.width * value.height * value.count
        case Mask() | Latent():
            frames = value.frames if isinstance(value, Latent) else 1
            return 4 * value.width * value.height * value.count * frames
        case AVLatent():
            return _size_bytes(value.video)
        case Video():
            return _size_bytes(value.frames)
        case Sigmas():
            return 4 * value.steps
        case _:
            return 0


def _pieces(value: Any) -> int:
    match value:
        case Latent():
            return value.count * value.frames
        case Picture() | Mask() | Audio() | BlindLatent() | Model3D():
            return value.count
        case AVLatent():
            return _pieces(value.video)
        case Video():
            return value.frames.count
        case _:
            return 1
