"""Nodes that encode pictures, sounds and 3D models as latents, and decode them."""

from typing import Any

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeOutcome, outcome
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Audio, AVLatent, BlindLatent, Latent, Loaded, Model3D, Picture

# Part of a VAE's file name, and its grid: pixels in each direction and frames after the first per latent value; None
# for a VAE of still pictures.  The first match counts.
_GRIDS: tuple[tuple[str, int, int | None], ...] = (
    ("pixel_space", 1, None),
    ("flux2", 16, None),
    ("hunyuan_image", 32, None),
    ("hunyuanimage", 32, None),
    ("hunyuanvideo15", 16, 4),
    ("hunyuan_video", 8, 4),
    ("ltx", 32, 8),
    ("mochi", 8, 6),
    ("cosmos", 8, 8),
    ("wan2.2", 16, 4),
    ("wan", 8, 4),
)


@rule("VAEDecode", "VAEDecodeTiled")
def _decode(call: NodeCall) -> NodeOutcome:
    """The frames of all videos become one batch."""
    value = call.inputs.get("samples")
    latent = value.video if isinstance(value, AVLatent) else call.latent("samples")
    picture = Picture(latent.width, latent.height, latent.count * latent.frames)
    return NodeOutcome((picture,), steps=_tiles(call, latent))


@rule("VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint")
def _encode(call: NodeCall) -> NodeOutcome:
    latent = _encoded(call.picture("pixels"), call.inputs.get("vae"))
    return NodeOutcome((latent,), steps=_tiles(call, latent))


@rule("InpaintModelConditioning", "InstructPixToPixConditioning")
def _encode_to_edit(call: NodeCall) -> NodeOutcome:
    return outcome(None, None, _encoded(call.picture("pixels"), call.inputs.get("vae")))


def _encoded(picture: Picture, vae: Any) -> Latent:
    """Return the latent of a batch, cropped to whole blocks; a VAE for videos treats the batch as one video."""
    name = vae.name.lower() if isinstance(vae, Loaded) else ""
    block, stride = next(((block, stride) for part, block, stride in _GRIDS if part in name), (8, None))
    latent = _blocks(picture, block)
    if stride is None:
        return latent
    return replace(latent, count=1, frames=(picture.count - 1) // stride * stride + 1, stride=stride)


def _tiles(call: NodeCall, latent: Latent) -> int:
    """Return the steps that a tiled node reports: it processes each still picture with tiles of three shapes."""
    if not call.class_type.endswith("Tiled") or latent.frames > 1:
        return 0
    tile, overlap = call.amount("tile_size", 512), max(0, call.integer("overlap", 64))
    shapes = ((tile, tile), (tile // 2, tile * 2), (tile * 2, tile // 2))
    return latent.count * sum(
        _tile_count(latent.width, width, overlap) * _tile_count(latent.height, height, overlap)
        for width, height in shapes
    )


def _tile_count(side: int, tile: int, overlap: int) -> int:
    return 1 if side <= tile else max(1, -(-(side - overlap) // max(8, tile - overlap)))


@rule("StableCascade_StageC_VAEEncode")
def _cascade_encode(call: NodeCall) -> NodeOutcome:
    picture, compression = call.picture("image"), call.amount("compression", 42)
    return outcome(_blocks(picture, compression), _blocks(picture, 4))


@rule("StableCascade_SuperResolutionControlnet")
def _cascade_super_resolution(call: NodeCall) -> NodeOutcome:
    picture = call.picture("image")
    return outcome(picture, _blocks(picture, 16), _blocks(picture, 2))


def _blocks(picture: Picture, block: int) -> Latent:
    width, height = (max(block, side // block * block) for side in (picture.width, picture.height))
    return Latent(width, height, picture.count, block=block)


@rule("VAEEncodeAudio", "LTXVAudioVAEEncode")
def _encode_sound(call: NodeCall) -> NodeOutcome:
    sound = call.inputs.get("audio")
    return outcome(BlindLatent(sound.count, sound.seconds) if isinstance(sound, Audio) else BlindLatent())


@rule("VAEDecodeAudio", "VAEDecodeAudioTiled", "LTXVAudioVAEDecode")
def _decode_sound(call: NodeCall) -> NodeOutcome:
    value = call.inputs.get("samples")
    latent = value.sound if isinstance(value, AVLatent) else value
    return outcome(Audio(latent.seconds, count=latent.count) if isinstance(latent, BlindLatent) else Audio(1.0))


@rule("VAEDecodeHunyuan3D", "VAEDecodeTripoSplat")
def _decode_model(call: NodeCall) -> NodeOutcome:
    latent = call.inputs.get("samples")
    return outcome(Model3D(latent.count if isinstance(latent, BlindLatent) else 1))
