"""The table of node rules, and the words that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from farm.sim.files import Files, Folder
from farm.sim.values import Latent, Mask, Picture

__all__ = ["Call", "NodeError", "Outcome", "Rule", "Save", "first", "rule", "run"]

T = TypeVar("T")


class NodeError(Exception):
    """A node raised while it ran.

    :ivar exception_type: as ComfyUI names it, ``module.Class`` unless it is a built-in.
    """

    def __init__(self, exception_type: str, message: str) -> None:
        super().__init__(exception_type, message)
        self.exception_type = exception_type
        self.message = message


@dataclass(frozen=True)
class Call:
    """One node about to run.

    :ivar inputs: by name; links are replaced by what the other node made (``None`` where nobody knows).
    :ivar outputs: the declared output types, by slot.
    :ivar shows: whether its type is an output by declaration, or unknown and without a consumer.
    :ivar size: width and height of the instance's input picture, for pictures of unknown size.
    """

    class_type: str
    inputs: Mapping[str, Any]
    outputs: tuple[str, ...]
    shows: bool
    size: tuple[int, int]
    files: Files

    def picture(self, name: str) -> Picture:
        """An input that holds pictures; the instance's own input picture where they are not known."""
        value = self.inputs.get(name)
        return value if isinstance(value, Picture) else Picture(*self.size)

    def number(self, name: str, default: float) -> float:
        """An input that holds a number; ``default`` where it is absent or not known."""
        value = self.inputs.get(name)
        return value if isinstance(value, int | float) else default

    def integer(self, name: str, default: int) -> int:
        """An input that holds a whole number, at least 1 of it; ``default`` where it is absent or not known."""
        return max(1, int(self.number(name, default)))


@dataclass(frozen=True)
class Save:
    """Pictures to be written.

    :ivar prefix: ComfyUI's ``filename_prefix``; ``None`` for a preview under a temporary name.
    :ivar suffix: of the file name, ``.png`` or another.
    :ivar animated: all pictures go into one file.
    """

    picture: Picture
    folder: Folder
    prefix: str | None
    suffix: str = ".png"
    animated: bool = False
    key: str = "images"


@dataclass(frozen=True)
class Outcome:
    """What a node comes to.

    :ivar values: by output slot.
    :ivar steps: how many steps it reports progress for; 0 for none.
    :ivar latent: what it samples, for the size of previews.
    :ivar saves: pictures that it writes.
    :ivar sends: pictures that it sends over the websocket instead.
    :ivar ui: what it shows apart from files, or ``None`` for nothing.
    :ivar text: what it tells every websocket while it runs.
    """

    values: tuple[Any, ...] = ()
    steps: int = 0
    latent: Latent | None = None
    saves: tuple[Save, ...] = ()
    sends: Picture | None = None
    ui: Mapping[str, Any] | None = None
    text: str | None = None


Rule = Callable[[Call], Outcome]


@dataclass
class _Table:
    rules: dict[str, Rule] = field(default_factory=dict)


_TABLE = _Table()


def rule(*class_types: str) -> Callable[[Rule], Rule]:
    """Make a function the rule of these node types."""

    def add(function: Rule) -> Rule:
        _TABLE.rules.update(dict.fromkeys(class_types, function))
        return function

    return add


def run(call: Call) -> Outcome:
    """Say what a node makes of its inputs.

    :raises NodeError: where the real node would raise.
    """
    return _TABLE.rules.get(call.class_type, _pass_through)(call)


def first(call: Call, kind: type[T]) -> T | None:
    """The first input of a kind."""
    return next((value for value in call.inputs.values() if isinstance(value, kind)), None)


def _pass_through(call: Call) -> Outcome:
    """An unknown type: each output is the first input of its kind; one that shows something saves its pictures."""
    picture = first(call, Picture)
    if call.shows and (picture is not None or not call.outputs):
        prefix = call.inputs.get("filename_prefix")
        name = prefix if isinstance(prefix, str) else "ComfyUI"
        return Outcome(saves=(Save(picture or Picture(*call.size), "output", name),))
    return Outcome(values=tuple(_like(call, kind) for kind in call.outputs) or (picture,))


def _like(call: Call, kind: str) -> Any:
    known: dict[str, type[Any]] = {"IMAGE": Picture, "LATENT": Latent, "MASK": Mask}
    return first(call, known[kind]) if kind in known else None
