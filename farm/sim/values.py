"""What flows along a workflow's links, as far as a mock can know it.

ComfyUI passes tensors; we pass their shape.  ``None`` stands for everything a mock knows nothing about
(a model, a conditioning, the meaning of a prompt).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Latent", "Mask", "Picture", "Sigmas"]


@dataclass(frozen=True)
class Picture:
    """A batch of pictures: ComfyUI's ``IMAGE``.

    :ivar width: in pixels.
    :ivar height: in pixels.
    :ivar count: how many pictures the batch holds.
    :ivar colour: ``0xRRGGBB`` where every pixel is known to be the same, else ``None``: the instance's input picture.
    :ivar source: the digest of the uploaded file whose pixels these are, or ``None``.
    """

    width: int
    height: int
    count: int = 1
    colour: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class Latent:
    """A batch of latents: ComfyUI's ``LATENT``, measured in the pixels they decode to."""

    width: int
    height: int
    count: int = 1


@dataclass(frozen=True)
class Mask:
    """A batch of masks.

    :ivar value: what every pixel holds, from 0.0 to 1.0, where that is known.
    """

    width: int
    height: int
    count: int = 1
    value: float | None = None


@dataclass(frozen=True)
class Sigmas:
    """A noise schedule.

    :ivar steps: how many steps a sampler takes along it.
    """

    steps: int
