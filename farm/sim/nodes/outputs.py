"""Nodes that show something: what they write, and what they send."""

from __future__ import annotations

from farm.sim.values import Mask, Picture

from .table import Call, Outcome, Save, rule


@rule("SaveImage")
def _save_image(call: Call) -> Outcome:
    return Outcome(saves=(Save(call.picture("images"), "output", _prefix(call)),))


@rule("PreviewImage")
def _preview_image(call: Call) -> Outcome:
    return Outcome(saves=(Save(call.picture("images"), "temp", None),))


@rule("MaskPreview")
def _mask_preview(call: Call) -> Outcome:
    mask = call.inputs.get("mask")
    picture = Picture(mask.width, mask.height, mask.count) if isinstance(mask, Mask) else Picture(*call.size)
    return Outcome(saves=(Save(picture, "temp", None),))


@rule("SaveAnimatedWEBP")
def _save_animated_webp(call: Call) -> Outcome:
    picture = call.picture("images")
    save = Save(picture, "output", _prefix(call), suffix=".webp", animated=True)
    return Outcome(saves=(save,), ui={"animated": [picture.count != 1]})


@rule("SaveAnimatedPNG")
def _save_animated_png(call: Call) -> Outcome:
    save = Save(call.picture("images"), "output", _prefix(call), animated=True)
    return Outcome(saves=(save,), ui={"animated": [True]})


@rule("SaveImageWebsocket")
def _save_image_websocket(call: Call) -> Outcome:
    return Outcome(sends=call.picture("images"))


def _prefix(call: Call) -> str:
    prefix = call.inputs.get("filename_prefix", "ComfyUI")
    return prefix if isinstance(prefix, str) else str(prefix)
