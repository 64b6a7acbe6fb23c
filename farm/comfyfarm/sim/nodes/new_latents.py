"""Nodes that make a latent of a given size: empty ones, and what image-to-video models start from.

What differs between them is the grid: how many pixels and frames one latent value stands for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

from comfyfarm.sim.nodes.call import NodeCall
from comfyfarm.sim.nodes.latents import latent_outcome
from comfyfarm.sim.nodes.limits import allocate
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.passing import by_type
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import BlindLatent, Latent, Picture


class Grid(NamedTuple):
    """How many pixels, across and down, and how many further frames one latent value stands for."""

    block: int
    stride: int = 4


def new_latent(call: NodeCall, grid: Grid, length: int = 1, extra_steps: int = 0, count: int | None = None) -> Latent:
    """A latent of the size that the inputs say.

    :param length: how many frames are wanted; the grid allows one, and whole strides more.
    :param extra_steps: latent steps beyond that.
    """
    columns, rows = call.integer("width", 512) // grid.block, call.integer("height", 512) // grid.block
    steps = (length - 1) // grid.stride + 1 + extra_steps
    batch = call.integer("batch_size", 1) if count is None else count
    allocate(batch, 4, steps, rows, columns)
    frames = (steps - 1) * grid.stride + 1
    return Latent(columns * grid.block, rows * grid.block, batch, frames, grid.block, grid.stride)


_STILL = {
    "EmptyChromaRadianceLatentImage": 1,
    "EmptyFlux2LatentImage": 16,
    "EmptyHiDreamO1LatentImage": 32,
    "EmptyHunyuanImageLatent": 32,
    "EmptyLatentImage": 8,
    "EmptySD3LatentImage": 8,
    "StableZero123_Conditioning": 8,
    "StableZero123_Conditioning_Batched": 8,
}

_MOVING = {
    "ARVideoI2V": Grid(8, 4),
    "BerniniConditioning": Grid(8, 4),
    "CosmosImageToVideoLatent": Grid(8, 8),
    "CosmosPredict2ImageToVideoLatent": Grid(8, 4),
    "EmptyARVideoLatent": Grid(8, 4),
    "EmptyCosmosLatentVideo": Grid(8, 8),
    "EmptyHunyuanLatentVideo": Grid(8, 4),
    "EmptyHunyuanVideo15Latent": Grid(16, 4),
    "EmptyLTXVLatentVideo": Grid(32, 8),
    "EmptyMochiLatentVideo": Grid(8, 6),
    "HunyuanImageToVideo": Grid(8, 4),
    "HunyuanVideo15ImageToVideo": Grid(16, 4),
    "Kandinsky5ImageToVideo": Grid(8, 4),
    "LTXVImgToVideo": Grid(32, 8),
    "VOIDInpaintConditioning": Grid(8, 4),
    "VOIDWarpedNoise": Grid(8, 4),
    "Wan22FunControlToVideo": Grid(8, 4),
    "Wan22ImageToVideoLatent": Grid(16, 4),
    "WanCameraImageToVideo": Grid(8, 4),
    "WanDancerVideo": Grid(8, 4),
    "WanFirstLastFrameToVideo": Grid(8, 4),
    "WanFunControlToVideo": Grid(8, 4),
    "WanFunInpaintToVideo": Grid(8, 4),
    "WanHuMoImageToVideo": Grid(8, 4),
    "WanImageToVideo": Grid(8, 4),
    "WanMoveTrackToVideo": Grid(8, 4),
    "WanPhantomSubjectToVideo": Grid(8, 4),
    "WanSoundImageToVideo": Grid(8, 4),
    "WanTrackToVideo": Grid(8, 4),
}


def _still(block: int, call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=by_type(call, LATENT=new_latent(call, Grid(block))))


def _moving(grid: Grid, call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=by_type(call, LATENT=new_latent(call, grid, call.integer("length", 81))))


for _name, _block in _STILL.items():
    rule(_name)(partial(_still, _block))
for _name, _grid in _MOVING.items():
    rule(_name)(partial(_moving, _grid))

_WAN = Grid(8, 4)


@rule("SVD_img2vid_Conditioning", "SV3D_Conditioning")
def _frames_as_batch(call: NodeCall) -> NodeOutcome:
    """These models know a video as a batch of pictures."""
    return NodeOutcome(values=(None, None, new_latent(call, Grid(8), count=call.integer("video_frames", 14))))


@rule("WanVaceToVideo")
def _vace(call: NodeCall) -> NodeOutcome:
    """A reference picture takes a step of its own at the start, which is to be trimmed."""
    trim = int(isinstance(call.inputs.get("reference_image"), Picture))
    return NodeOutcome(values=(None, None, new_latent(call, _WAN, call.integer("length", 81), trim), trim))


@rule("WanAnimateToVideo")
def _animate(call: NodeCall) -> NodeOutcome:
    """Goes on from the last frames of a part before, whose repetition is to be trimmed."""
    trim, length = int(isinstance(call.inputs.get("reference_image"), Picture)), call.integer("length", 77)
    before, offset, repeats = call.inputs.get("continue_motion"), call.integer("video_frame_offset", 0), 0
    if isinstance(before, Picture):
        taken = min(before.count, call.amount("continue_motion_max_frames", 5))
        offset, repeats = max(0, offset - taken), (taken - 1) // _WAN.stride * _WAN.stride + 1
    latent = new_latent(call, _WAN, length, trim)
    return NodeOutcome(values=(None, None, latent, trim, repeats, offset + length))


@rule("WanInfiniteTalkToVideo")
def _talk(call: NodeCall) -> NodeOutcome:
    repeats = call.integer("motion_frame_count", 9) if isinstance(call.inputs.get("previous_frames"), Picture) else 0
    latent = new_latent(call, _WAN, call.integer("length", 81))
    return NodeOutcome(values=(None, None, None, latent, repeats))


@rule("WanSCAILToVideo")
def _scail(call: NodeCall) -> NodeOutcome:
    length = call.integer("length", 81)
    latent = new_latent(call, _WAN, length)
    return NodeOutcome(values=(None, None, latent, call.integer("video_frame_offset", 0) + length))


@rule("WanSoundImageToVideoExtend")
def _extend(call: NodeCall) -> NodeOutcome:
    """In the size of the video that it extends."""
    given, length = call.latent("video_latent"), call.integer("length", 77)
    allocate(length)
    return NodeOutcome(values=(None, None, replace(given, frames=(length - 1) // given.stride * given.stride + 1)))


@rule("EmptyQwenImageLayeredLatentImage")
def _layers(call: NodeCall) -> NodeOutcome:
    """A step in time for each layer, and one for the whole."""
    return latent_outcome(new_latent(call, Grid(8), extra_steps=call.integer("layers", 3)))


@rule("StableCascade_EmptyLatentImage")
def _cascade(call: NodeCall) -> NodeOutcome:
    small, large = Grid(call.amount("compression", 42)), Grid(4)
    return NodeOutcome(values=(new_latent(call, small), new_latent(call, large)))


@rule("SD_4XUpscale_Conditioning")
def _upscale_x4(call: NodeCall) -> NodeOutcome:
    """The pictures' size times the ratio; its VAE knows blocks of four pixels."""
    pictures, ratio = call.picture("images"), call.number("scale_ratio", 4.0)
    columns, rows = (max(1, round(side * ratio) // 4) for side in (pictures.width, pictures.height))
    return NodeOutcome(values=(None, None, Latent(columns * 4, rows * 4, pictures.count, block=4)))


@rule("EmptyLatentHunyuan3Dv2", "TripoSplatConditioning")
def _body(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=by_type(call, LATENT=BlindLatent(call.amount("batch_size"))))


@rule("EmptyLatentAudio", "EmptyAceStepLatentAudio", "EmptyAceStep1.5LatentAudio")
def _sound(call: NodeCall) -> NodeOutcome:
    return latent_outcome(BlindLatent(call.amount("batch_size"), max(0.0, call.number("seconds", 120.0))))


@rule("LTXVEmptyLatentAudio")
def _sound_of_video(call: NodeCall) -> NodeOutcome:
    seconds = call.amount("frames_number", 97) / call.amount("frame_rate", 25)
    return latent_outcome(BlindLatent(call.amount("batch_size"), seconds))
