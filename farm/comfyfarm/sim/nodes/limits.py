"""Limits on the sizes of values and files, about those of a large real machine.

Values are only shapes, which cost no memory whatever their size.  The limits bound the files that are written from
them, and make a workflow that is too large for a real server fail as it does there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from comfyfarm.sim.nodes.call import MOST_CHARACTERS, NodeCall, NodeError, NodeOutcome
from comfyfarm.sim.values import Audio, AVLatent, BlindLatent, Latent, ListValue, Mask, Model3D, Picture, Sigmas, Video

_MEMORY_BYTES = 64 << 30
_MAX_PIECES = 1 << 16       # pictures in one batch, and files of one node
_MAX_ITEMS = 1 << 12        # of a list: the nodes that follow run once per item
_MAX_TEXT = 1 << 22
_MAX_INTEGER = 1 << 63


def check_outcome(outcome: NodeOutcome) -> NodeOutcome:
    """Return the outcome, if its values and files are within the limits.

    :raises NodeError: ComfyUI's error for running out of memory, if they are not.
    """
    for item in _items(outcome):
        if (cost := _COSTS.get(type(item))) is not None:
            _check(*cost(item))
    if outcome.saves:
        costs = [_COSTS[Picture](save.picture) for save in outcome.saves]
        _check(sum(size_bytes for size_bytes, _ in costs), sum(pieces for _, pieces in costs))
    if outcome.steps:
        _check(4 * outcome.steps, 1)
    return outcome


def allocate(*sizes: int) -> None:
    """Check the shape of a tensor that a node makes.

    :raises NodeError: if PyTorch would raise, for this shape or for the next use of an empty tensor.
    """
    if max(map(abs, sizes)) >= _MAX_INTEGER:
        raise NodeError("RuntimeError", "Overflow when unpacking long long")
    if min(sizes) < 0:
        negative, shape = next(size for size in sizes if size < 0), list(sizes)
        raise NodeError("RuntimeError", f"Trying to create tensor with negative dimension {negative}: {shape}")
    if 0 in sizes:
        raise NodeError("IndexError", "index 0 is out of bounds for dimension 0 with size 0")


def bounded_text(length: int) -> None:
    """Check the length in characters of a text that a node makes.

    :raises MemoryError: if it exceeds the limit.
    """
    if length > _MAX_TEXT:
        raise MemoryError


def count_characters(call: NodeCall, outcome: NodeOutcome) -> None:
    """Take the characters of new texts out of the job's budget.

    :raises NodeError: if they are too many.
    """
    items = _items(outcome)
    if str not in map(type, items):
        return
    given = {id(value) for value in call.inputs.values()}
    call.budget.characters -= sum(len(item) for item in items if isinstance(item, str) and id(item) not in given)
    if call.budget.characters < 0:
        raise NodeError("MemoryError", f"the texts of this job have more than {MOST_CHARACTERS} characters together")


def list_value(items: Iterable[Any]) -> Any:
    """Return an output value that is a list, with nested lists flattened; the item itself if there is only one.

    :raises MemoryError: if there are more items than the limit.
    :raises NodeError: if there is none.
    """
    flat: list[Any] = []
    for item in items:
        flat.extend(item.items if isinstance(item, ListValue) else (item,))
        if len(flat) > _MAX_ITEMS:
            raise MemoryError
    if not flat:
        raise NodeError("IndexError", "list index out of range")    # ComfyUI reads the last item of an empty list
    return ListValue(tuple(flat)) if len(flat) > 1 else flat[0]


def _items(outcome: NodeOutcome) -> Sequence[Any]:
    """Return the values of all outputs, those of a list one by one."""
    if ListValue not in map(type, outcome.values):
        return outcome.values
    lists = [value.items if isinstance(value, ListValue) else (value,) for value in outcome.values]
    return [item for items in lists for item in items]


def _check(size_bytes: int, pieces: int) -> None:
    if size_bytes > _MEMORY_BYTES or pieces > _MAX_PIECES:
        text = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        size = min(max(size_bytes, _MEMORY_BYTES), _MAX_INTEGER)
        raise NodeError("RuntimeError", f"{text}allocate {size} bytes. Error code 12 (Cannot allocate memory)")


def _pixels(batch: Picture | Mask) -> int:
    return batch.width * batch.height * batch.count


def _latent_cost(latent: Latent) -> tuple[int, int]:
    frames = latent.count * latent.frames
    return 4 * latent.width * latent.height * frames, frames


_COSTS: Mapping[type, Callable[[Any], tuple[int, int]]] = {
    Picture: lambda picture: (12 * _pixels(picture), picture.count),
    Mask: lambda mask: (4 * _pixels(mask), mask.count),
    Latent: _latent_cost,
    AVLatent: lambda latent: _latent_cost(latent.video),
    Video: lambda video: (12 * _pixels(video.frames), video.frames.count),
    Audio: lambda audio: (0, audio.count),
    BlindLatent: lambda latent: (0, latent.count),
    Model3D: lambda model: (0, model.count),
    Sigmas: lambda sigmas: (4 * sigmas.steps, 1),
}
"""Returns the size in bytes of the tensors that a value stands for, and the number of its pieces; else it is small."""
