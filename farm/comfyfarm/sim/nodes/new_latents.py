"""Nodes that make a latent of a given size: empty latents, and start values of image-to-video models.

They differ in the grid: how many pixels and frames one latent value stands for.
"""

from typing import NamedTuple

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeOutcome, by_type, outcome
from comfyfarm.sim.nodes.limits import allocate
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import BlindLatent, Latent, Picture


class Grid(NamedTuple):
    """The number of pixels, in each direction, and of frames after the first that one latent value stands for."""

    block: int
    stride: int = 4


def new_latent(call: NodeCall, grid: Grid, length: int = 1, extra_steps: int = 0, count: int | None = None) -> Latent:
    """Return a latent of the size in the inputs.

    :param length: requested number of frames; it is rounded down to 1 plus a multiple of the grid's stride.
    :param extra_steps: additional latent steps.
    :param count: number of latents; ``None`` for the input ``batch_size``.
    """
    columns, rows = call.integer("width", 512) // grid.block, call.integer("height", 512) // grid.block
    steps = (length - 1) // grid.stride + 1 + extra_steps
    batch = call.integer("batch_size", 1) if count is None else count
    allocate(batch, 4, steps, rows, columns)
    frames = (steps - 1) * grid.stride + 1
    return Latent(columns * grid.block, rows * grid.block, batch, frames, grid.block, grid.stride)


_WAN = Grid(8, 4)

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

_LIKE_WAN = (
    *("ARVideoI2V", "BerniniConditioning", "CosmosPredict2ImageToVideoLatent", "EmptyARVideoLatent"),
    *("EmptyHunyuanLatentVideo", "HunyuanImageToVideo", "Kandinsky5ImageToVideo", "VOIDInpaintConditioning"),
    *("VOIDWarpedNoise", "Wan22FunControlToVideo", "WanCameraImageToVideo", "WanDancerVideo"),
    *("WanFirstLastFrameToVideo", "WanFunControlToVideo", "WanFunInpaintToVideo", "WanHuMoImageToVideo"),
    *("WanImageToVideo", "WanMoveTrackToVideo", "WanPhantomSubjectToVideo", "WanSoundImageToVideo", "WanTrackToVideo"),
)
_MOVING = dict.fromkeys(_LIKE_WAN, _WAN) | {
    "CosmosImageToVideoLatent": Grid(8, 8),
    "EmptyCosmosLatentVideo": Grid(8, 8),
    "EmptyHunyuanVideo15Latent": Grid(16, 4),
    "EmptyLTXVLatentVideo": Grid(32, 8),
    "EmptyMochiLatentVideo": Grid(8, 6),
    "HunyuanVideo15ImageToVideo": Grid(16, 4),
    "LTXVImgToVideo": Grid(32, 8),
    "Wan22ImageToVideoLatent": Grid(16, 4),
}


@rule(*_STILL)
def _still(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(by_type(call, LATENT=new_latent(call, Grid(_STILL[call.class_type]))))


@rule(*_MOVING)
def _moving(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(by_type(call, LATENT=new_latent(call, _MOVING[call.class_type], call.integer("length", 81))))


@rule("SVD_img2vid_Conditioning", "SV3D_Conditioning")
def _frames_as_batch(call: NodeCall) -> NodeOutcome:
    # For these models a video is a batch of pictures.
    return outcome(None, None, new_latent(call, Grid(8), count=call.integer("video_frames", 14)))


@rule("WanVaceToVideo")
def _vace(call: NodeCall) -> NodeOutcome:
    """A reference picture adds a step at the start; the output ``trim`` is the number of steps to remove later."""
    trim = int(isinstance(call.inputs.get("reference_image"), Picture))
    return outcome(None, None, new_latent(call, _WAN, call.integer("length", 81), trim), trim)


@rule("WanAnimateToVideo")
def _animate(call: NodeCall) -> NodeOutcome:
    """Continues a video by repeating the last frames of the previous part, which a later node trims."""
    trim, length = int(isinstance(call.inputs.get("reference_image"), Picture)), call.integer("length", 77)
    previous, offset, repeats = call.inputs.get("continue_motion"), call.integer("video_frame_offset", 0), 0
    if isinstance(previous, Picture):
        overlap = min(previous.count, call.amount("continue_motion_max_frames", 5))
        offset, repeats = max(0, offset - overlap), (overlap - 1) // _WAN.stride * _WAN.stride + 1
    latent = new_latent(call, _WAN, length, trim)
    return outcome(None, None, latent, trim, repeats, offset + length)


@rule("WanInfiniteTalkToVideo")
def _talk(call: NodeCall) -> NodeOutcome:
    repeats = call.integer("motion_frame_count", 9) if isinstance(call.inputs.get("previous_frames"), Picture) else 0
    latent = new_latent(call, _WAN, call.integer("length", 81))
    return outcome(None, None, None, latent, repeats)


@rule("WanSCAILToVideo")
def _scail(call: NodeCall) -> NodeOutcome:
    length = call.integer("length", 81)
    latent = new_latent(call, _WAN, length)
    return outcome(None, None, latent, call.integer("video_frame_offset", 0) + length)


@rule("WanSoundImageToVideoExtend")
def _extend(call: NodeCall) -> NodeOutcome:
    latent, length = call.latent("video_latent"), call.integer("length", 77)
    allocate(length)
    return outcome(None, None, replace(latent, frames=(length - 1) // latent.stride * latent.stride + 1))


@rule("EmptyQwenImageLayeredLatentImage")
def _layers(call: NodeCall) -> NodeOutcome:
    # One latent step for each layer, and one for the whole picture.
    return outcome(new_latent(call, Grid(8), extra_steps=call.integer("layers", 3)))


@rule("StableCascade_EmptyLatentImage")
def _cascade(call: NodeCall) -> NodeOutcome:
    small, large = Grid(call.amount("compression", 42)), Grid(4)
    return outcome(new_latent(call, small), new_latent(call, large))


@rule("SD_4XUpscale_Conditioning")
def _upscale_x4(call: NodeCall) -> NodeOutcome:
    pictures, ratio = call.picture("images"), call.number("scale_ratio", 4.0)
    columns, rows = (max(1, round(side * ratio) // 4) for side in (pictures.width, pictures.height))
    return outcome(None, None, Latent(columns * 4, rows * 4, pictures.count, block=4))


@rule("EmptyLatentHunyuan3Dv2", "TripoSplatConditioning")
def _model(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(by_type(call, LATENT=BlindLatent(call.amount("batch_size"))))


@rule("EmptyLatentAudio", "EmptyAceStepLatentAudio", "EmptyAceStep1.5LatentAudio")
def _sound(call: NodeCall) -> NodeOutcome:
    return outcome(BlindLatent(call.amount("batch_size"), max(0.0, call.number("seconds", 120.0))))


@rule("LTXVEmptyLatentAudio")
def _sound_of_video(call: NodeCall) -> NodeOutcome:
    seconds = call.amount("frames_number", 97) / call.amount("frame_rate", 25)
    return outcome(BlindLatent(call.amount("batch_size"), seconds))
