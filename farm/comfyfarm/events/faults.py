"""Events of faults."""

from typing import Any

from comfyfarm.events.base import Event


class FaultArmed(Event, frozen=True, kw_only=True):
    """A fault was armed.

    :ivar fault: its keys and values as in the configuration.
    :ivar on: the instances that it may fire on.
    """

    id: str
    fault: dict[str, Any]
    on: tuple[str, ...]


class FaultFired(Event, frozen=True, kw_only=True):
    """A fault fired on this instance.

    Fields that the phase does not have keep their defaults.

    :ivar do: the effect.
    """

    id: str
    do: str
    phase: str
    prompt_id: str | None = None
    job: str = ""
    client_id: str | None = None
    node: str = ""
    route: str = ""
    type: str = ""


class FaultExpired(Event, frozen=True, kw_only=True):
    """A fault ended by itself.

    :ivar reason: ``spent`` (it fired as often as it may), ``until``, ``ttl``, or ``over`` (it was armed for one
        request, which ended).
    """

    id: str
    reason: str


class FaultHealed(Event, frozen=True, kw_only=True):
    """A fault was removed, and everything that it held was released.

    :ivar reason: ``healed`` (with all other faults) or ``removed`` (alone).
    """

    id: str
    reason: str


class Healed(Event, frozen=True, kw_only=True):
    """All faults were removed; from here on every job is expected to succeed."""


class Frozen(Event, frozen=True, kw_only=True):
    """A process stopped responding, with its port open; with ``worker`` its running job is suspended as well."""

    worker: bool


class Thawed(Event, frozen=True, kw_only=True):
    """A frozen process continued."""


class Refusing(Event, frozen=True, kw_only=True):
    """A process closed its port to new connections (``on``), or opened it again."""

    on: bool
