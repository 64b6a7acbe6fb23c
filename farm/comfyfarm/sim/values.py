"""What flows along a workflow's links, as far as a mock can know it.

ComfyUI passes tensors; we pass their shape.  ``None`` stands for everything a mock knows nothing about
(a model, a conditioning, the meaning of a prompt).  Texts, numbers and dictionaries are themselves.  Each shape
says as a text what Python would print for the real thing, as far as that goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

_MOST_LOOKS = 256       # of a mixed batch; what is more varied than that is shown as the input picture


@dataclass(frozen=True)
class Appearance:
    """So many pictures of a batch that look alike; see :class:`Picture`."""

    count: int
    colour: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class Picture:
    """A batch of pictures: ComfyUI's ``IMAGE``.

    :ivar width: in pixels, at least 1, as are ``height`` and ``count``.
    :ivar count: how many pictures the batch holds.
    :ivar colour: ``0xRRGGBB`` where every pixel is known to be the same, else ``None``: the instance's input picture.
    :ivar source: the digest of the uploaded file whose pixels these are, or ``None``.
    :ivar mixed: what the pictures show, in their order, where they do not all show the same; then ``colour`` and
        ``source`` are ``None``.
    """

    width: int
    height: int
    count: int = 1
    colour: int | None = None
    source: str | None = None
    mixed: tuple[Appearance, ...] = ()

    def __str__(self) -> str:
        """As PyTorch prints it."""
        return _tensor(self.count, self.height, self.width, 3)

    @property
    def looks(self) -> tuple[Appearance, ...]:
        """What the pictures show, in their order."""
        return self.mixed or (Appearance(self.count, self.colour, self.source),)

    def each(self) -> Iterator[Picture]:
        """The pictures, one by one."""
        for look in self.looks:
            yield from repeat(Picture(self.width, self.height, 1, look.colour, look.source), look.count)

    def first(self) -> Picture:
        """As many pictures, each like the first."""
        look = self.looks[0]
        return Picture(self.width, self.height, self.count, look.colour, look.source)

    def showing(self, looks: Iterable[Appearance]) -> Picture:
        """A batch of the same size that shows other things."""
        known = tuple(looks)
        count = sum(look.count for look in known)
        if len({(look.colour, look.source) for look in known}) == 1:
            return Picture(self.width, self.height, count, known[0].colour, known[0].source)
        return Picture(self.width, self.height, count, mixed=known if len(known) <= _MOST_LOOKS else ())


@dataclass(frozen=True)
class Mask:
    """A batch of masks.

    :ivar value: what every pixel holds, from 0.0 to 1.0, where that is known.
    """

    width: int
    height: int
    count: int = 1
    value: float | None = None

    def __str__(self) -> str:
        """As PyTorch prints it."""
        return _tensor(self.count, self.height, self.width)


@dataclass(frozen=True)
class Latent:
    """A batch of latents, measured in the pixels they decode to: ComfyUI's ``LATENT``.

    :ivar frames: how many pictures one of them decodes to; more than 1 for a video.
    :ivar block: how many pixels, across and down, one latent value stands for.
    :ivar stride: how many frames a further latent step stands for (the first step stands for one).
    :ivar guides: how many of the latent steps are guides at its end, which a later node crops.
    """

    width: int
    height: int
    count: int = 1
    frames: int = 1
    block: int = 8
    stride: int = 4
    guides: int = 0

    def __str__(self) -> str:
        """As Python prints the dictionary that it is."""
        return f"{{'samples': {_tensor(self.count, 4, self.steps, self.rows, self.columns)}}}"

    @property
    def columns(self) -> int:
        """How many latent values lie side by side."""
        return max(1, self.width // self.block)

    @property
    def rows(self) -> int:
        """How many latent values lie upon each other."""
        return max(1, self.height // self.block)

    @property
    def steps(self) -> int:
        """How many latent steps there are in time."""
        return (self.frames - 1) // self.stride + 1


@dataclass(frozen=True)
class BlindLatent:
    """A batch of latents that decode to no picture: to a sound, or to a body.

    :ivar seconds: how long the sound is.
    """

    count: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        """As Python prints the dictionary that it is."""
        return f"{{'samples': {_tensor(self.count)}}}"


@dataclass(frozen=True)
class AVLatent:
    """A video and its sound, to be sampled together."""

    video: Latent
    sound: BlindLatent

    def __str__(self) -> str:
        """As Python prints the dictionary that it is."""
        return str(self.video)


@dataclass(frozen=True)
class Sigmas:
    """A noise schedule.

    :ivar steps: how many steps a sampler takes along it.
    """

    steps: int

    def __str__(self) -> str:
        """As PyTorch prints it."""
        return _tensor(self.steps + 1)


@dataclass(frozen=True)
class Audio:
    """A batch of sounds: ComfyUI's ``AUDIO``.

    :ivar rate: samples per second.
    """

    seconds: float
    rate: int = 44100
    channels: int = 2
    count: int = 1

    def __str__(self) -> str:
        """As Python prints the dictionary that it is."""
        samples = int(min(self.seconds, 1e9) * self.rate)
        return f"{{'waveform': {_tensor(self.count, self.channels, samples)}, 'sample_rate': {self.rate}}}"


@dataclass(frozen=True)
class Video:
    """Moving pictures: ComfyUI's ``VIDEO``.

    :ivar frames: the pictures, one after another.
    :ivar rate: frames per second.
    """

    frames: Picture
    rate: float
    sound: Audio | None = None
    bit_depth: int = 8

    def __str__(self) -> str:
        """As Python prints it."""
        return "<comfy_api.latest._input_impl.video_types.VideoFromComponents object>"


@dataclass(frozen=True)
class Model3D:
    """A batch of bodies: a mesh, voxels, splats or a file of such.

    :ivar suffix: of the file that it comes from or goes to.
    :ivar name: of the file, where there is one.
    """

    count: int = 1
    suffix: str = ".glb"
    name: str | None = None

    def __str__(self) -> str:
        """As Python prints it, or the name of the file."""
        return self.name or "<comfy_api.latest._util.geometry_types.MESH object>"


@dataclass(frozen=True)
class Loaded:
    """A model of which nothing but its name is known.

    :ivar kind: its type as outputs declare it: ``VAE``, ``UPSCALE_MODEL`` ...
    """

    kind: str
    name: str

    def __str__(self) -> str:
        """As Python prints it."""
        return f"<comfy.{'sd.VAE' if self.kind == 'VAE' else 'model_patcher.ModelPatcher'} object>"


@dataclass(frozen=True)
class ListValue:
    """A list of values, for each of which the nodes that follow run once.

    :ivar items: at least two, none of them a list again.
    """

    items: tuple[Any, ...]

    def __str__(self) -> str:
        """Its first items."""
        return f"[{', '.join(str(item) for item in self.items[:3])}]"


def _tensor(*size: int) -> str:
    """How PyTorch prints a tensor whose numbers it does not show."""
    return f"tensor(..., size=({', '.join(str(side) for side in size)}{',' * (len(size) == 1)}))"
