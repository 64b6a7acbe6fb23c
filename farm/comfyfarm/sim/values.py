"""The values on a workflow's links: shapes instead of ComfyUI's tensors.

``None`` stands for everything that a mock does not know (a model, a conditioning, the meaning of a prompt).  Texts,
numbers and dictionaries are themselves.  ``str()`` of a shape is what Python prints for the real value, with
``...`` in place of the numbers.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import msgspec
from msgspec.structs import replace

_MOST_LOOKS = 256       # in a mixed batch; a batch with more is shown as the input picture


class Appearance(msgspec.Struct, frozen=True):
    """``count`` pictures of a batch that look alike; the other fields are those of :class:`Picture`."""

    count: int
    colour: int | None = None
    source: str | None = None


class Picture(msgspec.Struct, frozen=True):
    """A batch of pictures: ComfyUI's ``IMAGE``.

    :ivar width: in pixels, at least 1, as are ``height`` and ``count``.
    :ivar count: number of pictures in the batch.
    :ivar colour: ``0xRRGGBB`` if every pixel is known to be the same, else ``None``: the instance's input picture.
    :ivar source: the digest of the uploaded file whose pixels these are, or ``None``.
    :ivar mixed: what the pictures show, in their order, if they do not all show the same; then ``colour`` and
        ``source`` are ``None``.
    :ivar channels: 4 if the pictures have an alpha channel.
    """

    width: int
    height: int
    count: int = 1
    colour: int | None = None
    source: str | None = None
    mixed: tuple[Appearance, ...] = ()
    channels: int = 3

    def __str__(self) -> str:
        return _tensor(self.count, self.height, self.width, self.channels)

    @property
    def looks(self) -> tuple[Appearance, ...]:
        """The appearances of the pictures, in their order."""
        return self.mixed or (Appearance(self.count, self.colour, self.source),)

    def each(self) -> Iterator["Picture"]:
        for look in self.looks:
            yield from repeat(replace(self, count=1, colour=look.colour, source=look.source, mixed=()), look.count)

    def first(self) -> "Picture":
        """Return a batch of the same count in which all pictures look like the first."""
        look = self.looks[0]
        return replace(self, colour=look.colour, source=look.source, mixed=())

    def showing(self, looks: Iterable[Appearance]) -> "Picture":
        """Return a batch of the same width and height with these appearances."""
        mixed = tuple(looks)
        count = sum(look.count for look in mixed)
        if len({(look.colour, look.source) for look in mixed}) == 1:
            return replace(self, count=count, colour=mixed[0].colour, source=mixed[0].source, mixed=())
        kept = mixed if len(mixed) <= _MOST_LOOKS else ()
        return replace(self, count=count, colour=None, source=None, mixed=kept)


class Mask(msgspec.Struct, frozen=True):
    """A batch of masks.

    :ivar width: in pixels, as is ``height``; 0 if a mask was cropped outside.
    :ivar value: the value of every pixel, from 0.0 to 1.0, or ``None`` if it is not known.
    """

    width: int
    height: int
    count: int = 1
    value: float | None = None

    def __str__(self) -> str:
        return _tensor(self.count, self.height, self.width)


class Latent(msgspec.Struct, frozen=True):
    """A batch of latents, measured in the pixels they decode to: ComfyUI's ``LATENT``.

    :ivar frames: number of pictures that one of them decodes to; more than 1 for a video.
    :ivar block: side in pixels of the square that one latent value stands for.
    :ivar stride: number of frames that each latent step after the first stands for (the first stands for one).
    :ivar guides: number of latent steps at the end that are guides, which a later node crops.
    """

    width: int
    height: int
    count: int = 1
    frames: int = 1
    block: int = 8
    stride: int = 4
    guides: int = 0

    def __str__(self) -> str:
        return f"{{'samples': {_tensor(self.count, 4, self.steps, self.rows, self.columns)}}}"

    @property
    def columns(self) -> int:
        return max(1, self.width // self.block)

    @property
    def rows(self) -> int:
        return max(1, self.height // self.block)

    @property
    def steps(self) -> int:
        """The number of latent steps in time."""
        return (self.frames - 1) // self.stride + 1


class BlindLatent(msgspec.Struct, frozen=True):
    """A batch of latents that decode to a sound or a 3D body instead of a picture.

    :ivar seconds: length of the sound.
    """

    count: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{{'samples': {_tensor(self.count)}}}"


class AVLatent(msgspec.Struct, frozen=True):
    """The latents of a video and of its sound, which are sampled together."""

    video: Latent
    sound: BlindLatent

    def __str__(self) -> str:
        return str(self.video)


class Sigmas(msgspec.Struct, frozen=True):
    """A noise schedule.

    :ivar steps: number of steps that a sampler takes along it.
    """

    steps: int

    def __str__(self) -> str:
        return _tensor(self.steps + 1)


class Audio(msgspec.Struct, frozen=True):
    """A batch of sounds: ComfyUI's ``AUDIO``.

    :ivar rate: samples per second.
    """

    seconds: float
    rate: int = 44100
    channels: int = 2
    count: int = 1

    def __str__(self) -> str:
        samples = int(min(self.seconds, 1e9) * min(self.rate, 1e9))
        return f"{{'waveform': {_tensor(self.count, self.channels, samples)}, 'sample_rate': {self.rate}}}"


class Video(msgspec.Struct, frozen=True):
    """A video: ComfyUI's ``VIDEO``.

    :ivar rate: frames per second.
    """

    frames: Picture
    rate: float
    sound: Audio | None = None
    bit_depth: int = 8

    def __str__(self) -> str:
        return "<comfy_api.latest._input_impl.video_types.VideoFromComponents object>"


class Model3D(msgspec.Struct, frozen=True):
    """A batch of 3D bodies: a mesh, voxels, splats or a file of them.

    :ivar suffix: of the file that it is read from or written to.
    :ivar name: of the file, or ``None`` if there is none.
    """

    count: int = 1
    suffix: str = ".glb"
    name: str | None = None

    def __str__(self) -> str:
        return self.name or "<comfy_api.latest._util.geometry_types.MESH object>"


class Loaded(msgspec.Struct, frozen=True):
    """A loaded model.

    :ivar kind: its type as outputs declare it: ``VAE``, ``UPSCALE_MODEL`` ...
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"<comfy.{'sd.VAE' if self.kind == 'VAE' else 'model_patcher.ModelPatcher'} object>"


class ListValue(msgspec.Struct, frozen=True):
    """A list of values; the nodes that follow run once for each of them.

    :ivar items: at least two, none of them a list again.
    """

    items: tuple[Any, ...]

    def __str__(self) -> str:
        return f"[{', '.join(str(item) for item in self.items[:3])}]"


def _tensor(*size: int) -> str:
    """Return PyTorch's text of a tensor, without its numbers."""
    return f"tensor(..., size=({', '.join(str(side) for side in size)}{',' * (len(size) == 1)}))"
