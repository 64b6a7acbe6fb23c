"""Answers and queries of the control API for the page at ``/``; ``/openapi.json`` shows their docstrings."""

from typing import Literal

import msgspec

from comfyfarm.control.schema.farm import Body


class FieldState(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a fault.

    :ivar type: of its value, as JSON Schema names it; empty if it has several.
    :ivar example: such a value, if its notation is one of its own; else empty.
    :ivar choices: the values that it may have; empty if they cannot be listed.
    :ivar says: its meaning.
    """

    name: str
    type: str
    example: str
    choices: tuple[str, ...]
    is_required: bool
    says: str


class EffectState(msgspec.Struct, frozen=True, kw_only=True):
    """An effect of faults.

    :ivar name: its name in ``do``.
    :ivar phases: where it can happen.
    :ivar fields: its own keys.
    """

    name: str
    phases: tuple[str, ...]
    says: str
    fields: tuple[FieldState, ...]


class ScenarioState(msgspec.Struct, frozen=True, kw_only=True):
    """A ready-made scenario.

    :ivar name: its name in ``use``.
    """

    name: str
    title: str
    says: str


class EffectList(msgspec.Struct, frozen=True, kw_only=True):
    """What can be armed, held and started.

    :ivar common: the keys that every fault may have.
    :ivar filters: for each phase, the keys of ``at`` that narrow it.
    :ivar gate_phases: the phases at which a gate can hold.
    """

    effects: tuple[EffectState, ...]
    common: tuple[FieldState, ...]
    filters: dict[str, tuple[FieldState, ...]]
    gate_phases: tuple[str, ...]
    scenarios: tuple[ScenarioState, ...]


class ScenarioStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario that was started.

    :ivar on: the instances that it is about.
    :ivar steps: the number of its steps.
    """

    name: str
    on: tuple[str, ...]
    steps: int


class PictureQuery(Body, frozen=True, kw_only=True):
    """A file that an instance has written."""

    name: str
    folder: Literal["output", "temp", "input"] = "output"
    subfolder: str = ""


class TestQuery(Body, frozen=True, kw_only=True):
    """A trial, and the form in which it is to be repeated.

    :ivar format: ``pytest``: a test with the marker; ``toml``: a configuration.
    :ivar trial: its name; ``None``: the current one.
    """

    format: Literal["pytest", "toml"] = "pytest"
    trial: str | None = None
