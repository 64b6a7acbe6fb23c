"""What a node rule is asked, and how it says that the real node would raise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from comfyfarm.sim.files import Files
from comfyfarm.sim.values import Latent, ListValue, Mask, Picture

T = TypeVar("T")

# What Python raises at a value that is no good.  A TypeError or a KeyError is none of them: that would be our mistake.
_BAD_VALUE = (ArithmeticError, MemoryError, RecursionError, SyntaxError, SystemError, ValueError, re.error)


class NodeError(Exception):
    """A node raised while it ran.

    :ivar exception_type: as ComfyUI names it, ``module.Class`` unless it is a built-in.
    :ivar tips: what ComfyUI adds for its user; empty for most errors.
    """

    def __init__(self, exception_type: str, message: str, tips: str = "") -> None:
        super().__init__(exception_type, message)
        self.exception_type = exception_type
        self.message = message
        self.tips = tips


@contextmanager
def raising_as_python() -> Iterator[None]:
    """Let a rule raise what Python itself raises at a bad value, as the real node does.

    :raises NodeError: in its stead.
    """
    try:
        yield
    except _BAD_VALUE as error:
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(error, re.error):
            name = "re.error"       # which Python 3.13 calls re.PatternError: what is shown must not depend on it
        raise NodeError(name, str(error)) from error


@dataclass(frozen=True)
class NodeCall:
    """One node about to run.

    An input that is absent, not known or of a type that the real node cannot be given counts as not known.

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

    def mask(self, name: str) -> Mask:
        """An input that holds masks, of the input picture's size where they are not known."""
        value = self.inputs.get(name)
        return value if isinstance(value, Mask) else Mask(*self.size)

    def latent(self, name: str) -> Latent:
        """An input that holds latents, of the input picture's size where they are not known."""
        value = self.inputs.get(name)
        return value if isinstance(value, Latent) else Latent(*self.size)

    def number(self, name: str, default: float) -> float:
        """An input that holds a number."""
        value = self.inputs.get(name)
        return value if isinstance(value, int | float) else default

    def integer(self, name: str, default: int) -> int:
        """An input that holds a whole number.

        :raises ValueError, OverflowError: as ``int`` does, where it is none.
        """
        return int(self.number(name, default))

    def amount(self, name: str, default: int = 1) -> int:
        """An input that says how many: at least 1."""
        return max(1, self.integer(name, default))

    def flag(self, name: str, *, default: bool) -> bool:
        """An input that holds yes or no; anything that Python takes for either will do."""
        value = self.inputs.get(name)
        return bool(value) if isinstance(value, bool | int | float | str) else default

    def word(self, name: str, default: str = "") -> str:
        """An input that chooses by name."""
        value = self.inputs.get(name)
        return value if isinstance(value, str) else default

    def text(self, name: str, default: str | None = None) -> str | None:
        """An input that holds a text; ``None`` where it is not known."""
        value = self.inputs.get(name, default)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, bool | int | float) else None

    def group(self, name: str) -> dict[str, Any]:
        """The members of a growing input, which a prompt names ``images.image0``, ``images.image1`` ..., in order."""
        dotted = f"{name}."
        found = {key.removeprefix(dotted): value for key, value in self.inputs.items() if key.startswith(dotted)}
        return dict(sorted(found.items(), key=lambda item: _numbered(item[0])))

    def items(self, name: str) -> tuple[Any, ...]:
        """An input that may hold a list, as its items."""
        value = self.inputs.get(name)
        return value.items if isinstance(value, ListValue) else (value,)


def first(call: NodeCall, *kinds: type[T]) -> T | None:
    """The first input of one of these kinds."""
    return next((value for value in call.inputs.values() if isinstance(value, kinds)), None)


def _numbered(name: str) -> tuple[str, int]:
    """``image10`` comes after ``image9``."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :][:9] or 0)
