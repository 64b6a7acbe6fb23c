"""The interface of node rules: the call of a node, and its outcome or error."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import msgspec

from comfyfarm.events.base import Folder
from comfyfarm.sim.catalogue.staging import Shown
from comfyfarm.sim.errors import message_of
from comfyfarm.sim.files import Files
from comfyfarm.sim.values import (
    Audio,
    AVLatent,
    BlindLatent,
    Latent,
    ListValue,
    Loaded,
    Mask,
    Model3D,
    Picture,
    Sigmas,
    Video,
)
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

T = TypeVar("T")

MOST_CHARACTERS = 1 << 24
_NUMBERS = (int, float)

_SHAPES: dict[str, tuple[type[Any], ...]] = {
    "AUDIO": (Audio,),
    "FILE_3D": (Model3D,),
    "IMAGE": (Picture,),
    "LATENT": (Latent, AVLatent, BlindLatent),
    "MASK": (Mask,),
    "MESH": (Model3D,),
    "SIGMAS": (Sigmas,),
    "SPLAT": (Model3D,),
    "VIDEO": (Video,),
    "VOXEL": (Model3D,),
}


class NodeError(Exception):
    """A node raised an error while it ran.

    :ivar exception_type: as ComfyUI names it: ``module.Class``, or the bare name of a built-in class.
    :ivar tips: text that ComfyUI adds for its user; empty for most errors.
    """

    def __init__(self, exception_type: str, message: str, tips: str = "") -> None:
        super().__init__(exception_type, message)
        self.exception_type = exception_type
        self.message = message
        self.tips = tips

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return the error of a node that raised this exception."""
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(error, re.error):
            name = "re.error"       # Python 3.13 calls it re.PatternError; the output must not depend on the version
        return cls(name, message_of(error))


class UnknownInput(Exception):
    """An input is not known, or cannot be handled here, so the node's output is not known either."""


class Save(msgspec.Struct, frozen=True):
    """Files that a node writes.

    :ivar picture: the content, one file per picture; for sounds, latents and 3D models only its ``count`` matters.
    :ivar prefix: ComfyUI's ``filename_prefix``; ``None`` for a preview with a temporary name.
    :ivar temp: the first part of a temporary name.
    :ivar underscore: whether the number in the name ends with one, as in ``PREFIX_00001_.png``.
    :ivar fields: what the list's entry has besides ``filename``, ``subfolder`` and ``type``; with places for these.
    :ivar suffix: of the file name; it determines the file format.
    :ivar animated: all pictures go into one file.
    :ivar key: of the list in the node's ``ui`` output that names the files.
    """

    picture: Picture
    folder: Folder
    prefix: str | None
    suffix: str = ".png"
    animated: bool = False
    key: str = "images"
    temp: str = "ComfyUI"
    underscore: bool = True
    fields: Mapping[str, Any] = {}


class NodeOutcome(msgspec.Struct, frozen=True):
    """The outcome of one run of a node.

    :ivar values: the outputs, by slot.
    :ivar steps: number of steps that it reports progress for.
    :ivar latent: the latent that it samples, which determines the size of previews.
    :ivar saves: files that it writes; those with the same key are shown as one list.
    :ivar sends: pictures that it sends over the websocket instead of writing files.
    :ivar ui: its ``ui`` output apart from files; ``None`` if it has none.
    :ivar text: a text that it sends to all websockets.
    """

    values: tuple[Any, ...] = ()
    steps: int = 0
    latent: Latent | None = None
    saves: tuple[Save, ...] = ()
    sends: Picture | None = None
    ui: Mapping[str, Any] | None = None
    text: str | None = None


def previewed(picture: Picture, *values: Any) -> NodeOutcome:
    """Return the outcome of a node of ComfyUI's newer kind that shows a preview, and makes values."""
    return NodeOutcome(values, saves=(Save(picture, "temp", None),), ui={"animated": [False]})


def outcome(*values: Any) -> NodeOutcome:
    """Return the outcome of a node that only makes values."""
    return NodeOutcome(values)


@dataclass(eq=False)
class JobBudget:
    """What one job may still take, in all its nodes and items of lists.

    Regular expressions:

    :ivar steps: of ``re``, which cannot be stopped; about 25 ms.
    :ivar undecided: the number of searches that may be given up after their time.

    Memory:

    :ivar characters: of the texts that nodes make.
    """

    steps: int = 15_000_000
    undecided: int = 2
    characters: int = MOST_CHARACTERS


class NodeCall(msgspec.Struct, frozen=True):
    """One run of a node.

    The methods return an input as the type that the rule needs.  An input that is absent, unknown or of another type
    gets the default; for pictures, masks and latents that is one of the size of the instance's input picture.

    :ivar inputs: by name; links are replaced by the other node's value, ``None`` for an unknown value.
    :ivar outputs: the declared output types, by slot.
    :ivar shows: the node type is declared as an output node, or it is unknown and no other node uses it.
    :ivar size: width and height of the instance's input picture.
    :ivar shown: what a declared node type shows, by key of its ``ui`` output; ``None`` if it does not say.
    :ivar lenient: that picture stands for input files that are missing.
    :ivar behaviour: that of the instance's version.
    :ivar budget: shared by all calls of a job.
    """

    class_type: str
    inputs: Mapping[str, Any]
    outputs: Sequence[str]
    shows: bool
    size: tuple[int, int]
    files: Files
    shown: Mapping[str, Shown] | None = None
    lenient: bool = False
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    budget: JobBudget = msgspec.field(default_factory=JobBudget)

    def picture(self, name: str) -> Picture:
        value = self.inputs.get(name)
        return value if isinstance(value, Picture) else Picture(*self.size)

    def mask(self, name: str, *, as_picture: bool = False) -> Mask:
        """Return an input as a mask; ``as_picture``: the node gives it a dimension for the channel.

        :raises NodeError: if it is empty.
        """
        value = self.inputs.get(name)
        mask = value if isinstance(value, Mask) else Mask(*self.size)
        if not (mask.width and mask.height):
            shape = [-1, 1, mask.height, mask.width] if as_picture else [-1, mask.height, mask.width]
            reason = "because the unspecified dimension size -1 can be any value and is ambiguous"
            raise NodeError("RuntimeError", f"cannot reshape tensor of 0 elements into shape {shape} {reason}")
        return mask

    def latent(self, name: str) -> Latent:
        value = self.inputs.get(name)
        return value if isinstance(value, Latent) else Latent(*self.size)

    def number(self, name: str, default: float) -> float:
        value = self.inputs.get(name)
        return value if isinstance(value, _NUMBERS) else default

    def integer(self, name: str, default: int) -> int:
        """Return an input as an integer, truncated like ``int`` does.

        :raises ValueError: if it is NaN.
        :raises OverflowError: if it is infinite.
        """
        return int(self.number(name, default))

    def amount(self, name: str, default: int = 1) -> int:
        """Return an input as an integer of at least 1."""
        return max(1, self.integer(name, default))

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.inputs.get(name)
        return bool(value) if isinstance(value, bool | int | float | str) else default

    def word(self, name: str, default: str = "") -> str:
        """Return an input that holds a name or a choice."""
        value = self.inputs.get(name)
        return value if isinstance(value, str) else default

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return an input as a text, numbers converted; ``None`` for an unknown text."""
        value = self.inputs.get(name, default)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, bool | int | float) else None

    def known_text(self, name: str, default: str | None = None) -> str:
        """Return an input as a text, numbers converted.

        :raises UnknownInput: if it is not known.
        """
        text = self.text(name, default)
        if text is None:
            raise UnknownInput
        return text

    def group(self, name: str) -> dict[str, Any]:
        """Return the members of a growing input (``images.image0``, ``images.image1`` ... in a prompt), in order."""
        dotted = f"{name}."
        members = {key.removeprefix(dotted): value for key, value in self.inputs.items() if key.startswith(dotted)}
        return dict(sorted(members.items(), key=lambda member: _natural_key(member[0])))

    def items(self, name: str) -> tuple[Any, ...]:
        """Return the items of an input that may be a list."""
        value = self.inputs.get(name)
        return value.items if isinstance(value, ListValue) else (value,)


def first(call: NodeCall, *types: type[T]) -> T | None:
    """Return the first input of one of these types; ``None`` if there is none."""
    for value in call.inputs.values():
        if isinstance(value, types):
            return value
    return None


def like(call: NodeCall, kind: str) -> Any:
    """Return the first input of this declared type (``IMAGE``, ``VAE`` ...); ``None`` if there is none."""
    if kind in _SHAPES:
        return first(call, *_SHAPES[kind])
    for value in call.inputs.values():
        if isinstance(value, Loaded) and value.kind == kind:
            return value
    return None


def by_type(call: NodeCall, **values: Any) -> tuple[Any, ...]:
    """Return a node's outputs: the given value for a declared type, else the first input of that type."""
    return tuple([values[kind] if kind in values else like(call, kind) for kind in call.outputs])


def _natural_key(name: str) -> tuple[str, int]:
    """Return a sort key that puts ``image10`` after ``image9``."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :][:9] or 0)
