"""Nodes that put batches of pictures together and take them apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall
from comfyfarm.sim.nodes.images import image
from comfyfarm.sim.nodes.limits import several
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.shapes import joined, mask_of, part, repeated
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Latent, Picture


@rule("ImageBatch")
def _batch(call: NodeCall) -> NodeOutcome:
    """The second picture is brought to the size of the first."""
    return image(joined(call, (call.picture("image1"), call.picture("image2"))))


@rule("BatchImagesNode")
def _batch_group(call: NodeCall) -> NodeOutcome:
    return image(joined(call, call.group("images").values()))


@rule("RepeatImageBatch")
def _repeat(call: NodeCall) -> NodeOutcome:
    return image(repeated(call.picture("image"), call.amount("amount")))


@rule("ImageFromBatch")
def _from_batch(call: NodeCall) -> NodeOutcome:
    return image(part(call.picture("image"), call.integer("batch_index", 0), call.integer("length", 1)))


@rule("RebatchImages", takes_lists=True)
def _rebatch(call: NodeCall) -> NodeOutcome:
    """A list of batches of that size; the last one holds the rest, and another size of picture begins another."""
    size = call.amount("batch_size")
    batches = (joined(call, alike) for _, alike in groupby(_known(call, "images"), _size))
    parts = (part(batch, start, size) for batch in batches for start in range(0, batch.count, size))
    return NodeOutcome(values=(several(parts),))


@rule("RebatchLatents", takes_lists=True)
def _rebatch_latents(call: NodeCall) -> NodeOutcome:
    size = call.amount("batch_size")
    latents = [item for item in call.items("latents") if isinstance(item, Latent)] or [Latent(*call.size)]
    batches = ([*alike] for _, alike in groupby(latents, lambda each: replace(each, count=1)))
    counts = ((batch[0], sum(each.count for each in batch)) for batch in batches)
    parts = (replace(like, count=min(size, count - start)) for like, count in counts for start in range(0, count, size))
    return NodeOutcome(values=(several(parts),))


def _size(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height


@rule("MergeImageLists", "ShuffleDataset", "ImageDeduplication", takes_lists=True)
def _list(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(several(_known(call, "images")),))


@rule("ShuffleImageTextDataset", takes_lists=True)
def _shuffle_pairs(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(several(_known(call, "images")), several(call.items("texts"))))


@rule("FrameInterpolate")
def _interpolate(call: NodeCall) -> NodeOutcome:
    """Between each two frames there are new ones."""
    frames = call.picture("images")
    return image(frames if frames.count == 1 else _lengthened(frames, call.amount("multiplier", 2)))


def _lengthened(frames: Picture, times: int) -> Picture:
    looks = [replace(look, count=look.count * times) for look in frames.looks]
    looks[-1] = replace(looks[-1], count=looks[-1].count - times + 1)
    return frames.showing(looks)


@rule("WanDancerPadKeyframes")
def _pad_keyframes(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=_segment(call))


@rule("WanDancerPadKeyframesList")
def _pad_keyframes_list(call: NodeCall) -> NodeOutcome:
    segments = call.amount("num_segments")
    return NodeOutcome(values=tuple(several(value for _ in range(segments)) for value in _segment(call)))


def _segment(call: NodeCall) -> tuple[Any, ...]:
    frames = replace(call.picture("images").first(), count=call.amount("segment_length", 149))
    return frames, mask_of(frames), call.inputs.get("audio")


def _known(call: NodeCall, name: str) -> tuple[Picture, ...]:
    return tuple(item if isinstance(item, Picture) else Picture(*call.size) for item in call.items(name))
