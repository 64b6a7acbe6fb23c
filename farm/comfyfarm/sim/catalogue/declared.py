"""Node types that a configuration declares, such as custom nodes."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from comfyfarm.sim.catalogue.recorded import ModelChoice
from comfyfarm.sim.catalogue.staging import ExpandedNode, Shown, Staging
from comfyfarm.sim.distributions import Distribution

Scalar = str | int | float | bool

_NUMBERS = ("INT", "FLOAT")
_KINDS: dict[str, tuple[type[Any], ...]] = {"INT": (int,), "FLOAT": (int, float), "STRING": (str,), "BOOLEAN": (bool,)}


class DeclaredInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input, written as a table with exactly one of the first three keys.

    :ivar type: ComfyUI's type name, such as ``FLOAT`` or ``IMAGE``.
    :ivar choices: the values of a choice.
    :ivar folder: the model folder whose files are the choices.
    :ivar options: further options in ``/object_info``.
    """

    type: str | None = None
    choices: tuple[Scalar, ...] | None = None
    folder: str | None = None
    default: Scalar | None = None
    min: int | float | None = None
    max: int | float | None = None
    step: int | float | None = None
    multiline: bool | None = None
    tooltip: str | None = None
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        keys = [key for key in ("type", "choices", "folder") if getattr(self, key) is not None]
        if len(keys) != 1:
            raise ValueError(f"expected exactly one of type, choices, folder, got {' and '.join(keys) or 'none'}")
        if self.type in ("", "COMBO"):
            raise ValueError('type: expected a type name such as "IMAGE" (what is chosen from goes into choices)')
        if self.choices == ():
            raise ValueError("choices: expected at least one")
        try:
            json.dumps(self.options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"options: {error}") from error
        for key in ("min", "max", "step"):
            if getattr(self, key) is not None and self.type not in _NUMBERS:
                raise ValueError(f"{key}: only an INT or a FLOAT has one")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min} is more than max, which is {self.max}")
        self._check_default()

    def _check_default(self) -> None:
        if self.default is None:
            return
        kinds = _KINDS.get(self.type or "")
        if self.choices is not None and self.default not in self.choices:
            raise ValueError(f"default: {self.default!r} is none of the choices")
        if kinds and not (isinstance(self.default, kinds) and isinstance(self.default, bool) is (bool in kinds)):
            raise ValueError(f"default: expected what {self.type} takes, got {self.default!r}")
        low = self.min is not None and self.default < self.min  # type: ignore[operator]
        if low or (self.max is not None and self.default > self.max):  # type: ignore[operator]
            raise ValueError(f"default: {self.default} is out of bounds")

    def spec(self) -> list[Any]:
        """Return the input's part of ``/object_info``, in the form of ComfyUI's older nodes."""
        kind = self.type if self.choices is None else list(self.choices)
        keys = ("default", "min", "max", "step", "multiline", "tooltip")
        options = {key: getattr(self, key) for key in keys if getattr(self, key) is not None} | self.options
        return [[] if kind is None else kind, *([options] if options else [])]


Inputs = dict[str, str | tuple[Scalar, ...] | DeclaredInput]


class DeclaredType(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[instance.node_types.NAME]``: a node type.

    An input is a type name, a list of choices, or a table.

    :ivar inputs: the required ones; ``optional``: the others.
    :ivar hidden: the values that the server adds, such as ``{ prompt = "PROMPT", unique_id = "UNIQUE_ID" }``.
    :ivar outputs: their types by slot, or their names and types.
    :ivar shows: what an output node shows, by key of its ``ui`` output; empty: it saves its pictures.
    :ivar expands: the nodes that it puts in its place while it runs, by their ids within the expansion.
    :ivar duration: ``None`` for that of any node.
    """

    inputs: Inputs = {}
    optional: Inputs = {}
    hidden: dict[str, str] = {}
    outputs: tuple[str, ...] | dict[str, str] = ()
    output_node: bool = False
    shows: dict[str, Shown] = {}
    expands: dict[str, ExpandedNode] = {}
    category: str = "custom"
    display_name: str | None = None
    description: str = ""
    python_module: str = "custom_nodes.declared"
    duration: Distribution | None = None

    def __post_init__(self) -> None:
        twice = sorted(self.inputs.keys() & self.optional.keys())
        if twice:
            raise ValueError(f"optional: {twice[0]!r} is among the inputs already")
        for group in ("inputs", "optional"):
            for name, value in getattr(self, group).items():
                if value in ((), "", "COMBO"):
                    expected = "at least one choice" if value == () else "a type name, or a list of choices"
                    raise ValueError(f"{group}.{name}: expected {expected}, got {value or 'none'}")

    def entry(self, name: str) -> dict[str, Any]:
        """Return the node type's entry in ``/object_info``."""
        groups: dict[str, dict[str, Any]] = {
            "required": _specs(self.inputs), "optional": _specs(self.optional), "hidden": dict(self.hidden)
        }
        groups = {group: specs for group, specs in groups.items() if specs or group == "required"}
        outputs = self.outputs if isinstance(self.outputs, dict) else dict(enumerate(self.outputs))
        kinds = list(outputs.values())
        return {
            "input": groups,
            "input_order": {group: list(specs) for group, specs in groups.items()},
            "is_input_list": False,
            "output": kinds,
            "output_is_list": [False] * len(kinds),
            "output_name": list(self.outputs),
            "name": name,
            "display_name": self.display_name or name,
            "description": self.description,
            "python_module": self.python_module,
            "category": self.category,
            "output_node": self.output_node,
            "has_intermediate_output": False,
            "search_aliases": [],
        }

    @property
    def staging(self) -> Staging:
        return Staging(self.shows, self.expands)

    def model_choices(self, name: str) -> Iterator[ModelChoice]:
        """Yield the inputs that choose a model file."""
        for key, value in (*self.inputs.items(), *self.optional.items()):
            if isinstance(value, DeclaredInput) and value.folder is not None:
                yield ModelChoice(name, key, value.folder)


def _specs(inputs: Inputs) -> dict[str, list[Any]]:
    return {name: _spec(value) for name, value in inputs.items()}


def _spec(value: str | tuple[Scalar, ...] | DeclaredInput) -> list[Any]:
    if isinstance(value, DeclaredInput):
        return value.spec()
    return [value if isinstance(value, str) else list(value)]
