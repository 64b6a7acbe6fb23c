"""Nodes that join and split batches of pictures and latents."""

from itertools import groupby
from typing import Any

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, outcome
from comfyfarm.sim.nodes.limits import list_value
from comfyfarm.sim.nodes.shapes import joined, mask_of, part, repeated
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Latent, Picture


@rule("ImageBatch")
def _batch(call: NodeCall) -> NodeOutcome:
    return outcome(joined(call, (call.picture("image1"), call.picture("image2"))))


@rule("BatchImagesNode")
def _batch_group(call: NodeCall) -> NodeOutcome:
    return outcome(joined(call, call.group("images").values()))


@rule("Hunyuan3Dv2ConditioningMultiView")
def _views(call: NodeCall) -> NodeOutcome:
    if not call.inputs:
        raise NodeError("ValueError", "torch.cat(): expected a non-empty list of Tensors")
    return outcome(None, None)


@rule("RepeatImageBatch")
def _repeat(call: NodeCall) -> NodeOutcome:
    return outcome(repeated(call.picture("image"), call.amount("amount")))


@rule("ImageFromBatch")
def _from_batch(call: NodeCall) -> NodeOutcome:
    return outcome(part(call.picture("image"), call.integer("batch_index", 0), call.integer("length", 1)))


@rule("RebatchImages", takes_lists=True)
def _rebatch(call: NodeCall) -> NodeOutcome:
    """Only successive pictures of the same size share a batch, and the last batch of a size may be smaller."""
    size = call.amount("batch_size")
    groups = groupby(_pictures(call), lambda picture: (picture.width, picture.height))
    batches = (joined(call, pictures) for _, pictures in groups)
    parts = (part(batch, start, size) for batch in batches for start in range(0, batch.count, size))
    return outcome(list_value(parts))


@rule("RebatchLatents", takes_lists=True)
def _rebatch_latents(call: NodeCall) -> NodeOutcome:
    size = call.amount("batch_size")
    latents = [item for item in call.items("latents") if isinstance(item, Latent)] or [Latent(*call.size)]
    batches = ([*group] for _, group in groupby(latents, lambda latent: replace(latent, count=1)))
    counts = ((batch[0], sum(latent.count for latent in batch)) for batch in batches)
    parts = (replace(like, count=min(size, count - start)) for like, count in counts for start in range(0, count, size))
    return outcome(list_value(parts))


@rule("MergeImageLists", "ShuffleDataset", "ImageDeduplication", takes_lists=True)
def _list(call: NodeCall) -> NodeOutcome:
    return outcome(list_value(_pictures(call)))


@rule("ShuffleImageTextDataset", takes_lists=True)
def _shuffle_pairs(call: NodeCall) -> NodeOutcome:
    return outcome(list_value(_pictures(call)), list_value(call.items("texts")))


@rule("FrameInterpolate")
def _interpolate(call: NodeCall) -> NodeOutcome:
    frames = call.picture("images")
    if frames.count == 1:
        return outcome(frames)
    times = call.amount("multiplier", 2)
    looks = [replace(look, count=look.count * times) for look in frames.looks]
    looks[-1] = replace(looks[-1], count=looks[-1].count - times + 1)       # none are added after the last frame
    return outcome(frames.showing(looks))


@rule("WanDancerPadKeyframes")
def _pad_keyframes(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(_segment(call))


@rule("WanDancerPadKeyframesList")
def _pad_keyframes_list(call: NodeCall) -> NodeOutcome:
    segments = call.amount("num_segments")
    return outcome(*(list_value(value for _ in range(segments)) for value in _segment(call)))


def _segment(call: NodeCall) -> tuple[Any, ...]:
    frames = replace(call.picture("images").first(), count=call.amount("segment_length", 149))
    return frames, mask_of(frames), call.inputs.get("audio")


def _pictures(call: NodeCall) -> tuple[Picture, ...]:
    return tuple(item if isinstance(item, Picture) else Picture(*call.size) for item in call.items("images"))
