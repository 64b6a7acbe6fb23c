"""Nodes that make and change pictures, masks and latents: what size, how many, which colour."""

from __future__ import annotations

from dataclasses import replace

from farm.sim.catalogue import annotated_place
from farm.sim.values import Latent, Mask, Picture

from .table import Call, NodeError, Outcome, rule


@rule("EmptyImage")
def _empty_image(call: Call) -> Outcome:
    colour = int(call.number("color", 0))
    size = call.integer("width", 512), call.integer("height", 512), call.integer("batch_size", 1)
    return Outcome(values=(Picture(*size, colour=colour),))


@rule("LoadImage", "LoadImageOutput")
def _load_image(call: Call) -> Outcome:
    name = call.inputs.get("image")
    place = annotated_place(name) if isinstance(name, str) else None
    size = call.files.size(place) if place else None
    if place is None or size is None:
        raise NodeError("PIL.UnidentifiedImageError", f"cannot identify image file {name!r}")
    picture = Picture(*size, source=call.files.digest(place))
    return Outcome(values=(picture, Mask(*size)))


@rule("ImageScale", "LatentUpscale")
def _scale(call: Call) -> Outcome:
    """A side of 0 keeps the proportions; both 0 keep the picture."""
    known = next((value for value in call.inputs.values() if isinstance(value, Picture | Latent)), None)
    if known is None:
        known = Picture(*call.size) if call.class_type == "ImageScale" else Latent(*call.size)
    width, height = int(call.number("width", 0)), int(call.number("height", 0))
    if width == 0 and height == 0:
        return Outcome(values=(known,))
    width = width or max(1, round(known.width * height / known.height))
    height = height or max(1, round(known.height * width / known.width))
    return Outcome(values=(replace(known, width=width, height=height),))


@rule("ImageScaleBy")
def _scale_by(call: Call) -> Outcome:
    picture, factor = call.picture("image"), call.number("scale_by", 1.0)
    width, height = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return Outcome(values=(replace(picture, width=width, height=height),))


@rule("ImageInvert")
def _invert(call: Call) -> Outcome:
    picture = call.picture("image")
    colour = None if picture.colour is None else 0xFFFFFF - picture.colour
    return Outcome(values=(replace(picture, colour=colour),))


@rule("ImageBatch")
def _batch(call: Call) -> Outcome:
    """The second picture is brought to the size of the first."""
    one, two = call.picture("image1"), call.picture("image2")
    colour = one.colour if one.colour == two.colour else None
    return Outcome(values=(replace(one, count=one.count + two.count, colour=colour),))


@rule("SolidMask")
def _solid_mask(call: Call) -> Outcome:
    size = call.integer("width", 512), call.integer("height", 512)
    return Outcome(values=(Mask(*size, value=call.number("value", 1.0)),))


@rule("MaskToImage")
def _mask_to_image(call: Call) -> Outcome:
    mask = call.inputs.get("mask")
    if not isinstance(mask, Mask):
        return Outcome(values=(Picture(*call.size),))
    grey = None if mask.value is None else round(max(0.0, min(1.0, mask.value)) * 255) * 0x010101
    return Outcome(values=(Picture(mask.width, mask.height, mask.count, colour=grey),))


@rule("EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage")
def _empty_latent(call: Call) -> Outcome:
    size = call.integer("width", 512), call.integer("height", 512), call.integer("batch_size", 1)
    return Outcome(values=(Latent(*size),))


@rule("VAEDecode", "VAEDecodeTiled")
def _decode(call: Call) -> Outcome:
    latent = call.inputs.get("samples")
    if not isinstance(latent, Latent):
        return Outcome(values=(Picture(*call.size),))
    return Outcome(values=(Picture(latent.width, latent.height, latent.count),))


@rule("VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint")
def _encode(call: Call) -> Outcome:
    """A latent holds whole blocks of 8 x 8 pixels."""
    picture = call.picture("pixels")
    width, height = max(8, picture.width // 8 * 8), max(8, picture.height // 8 * 8)
    return Outcome(values=(Latent(width, height, picture.count),))


@rule("RepeatLatentBatch")
def _repeat_latent(call: Call) -> Outcome:
    latent = call.inputs.get("samples")
    known = latent if isinstance(latent, Latent) else Latent(*call.size)
    return Outcome(values=(replace(known, count=known.count * call.integer("amount", 1)),))
