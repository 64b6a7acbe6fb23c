"""A port that is opened, closed and opened again: what happens when, where closing takes a turn of the reactor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory

from comfyfarm.server.ports import BoundPort, PortTaken, ReopenablePort


@dataclass(eq=False)
class Street:
    """Where the ports are; writes down what becomes of them.

    :ivar closing: the ports that are on their way to be closed.
    :ivar is_taken: somebody else has the number by now.
    """

    done: list[str] = field(default_factory=list)
    closing: list[Deferred[None]] = field(default_factory=list)
    is_taken: bool = False

    def bind(self, _host: str, number: int) -> BoundPort:
        if self.is_taken:
            raise PortTaken(number, "Address already in use")
        self.done.append("bind")
        return cast(BoundPort, Port(self, number))

    def close_now(self) -> None:
        """The reactor's next turn."""
        self.closing.pop(0).callback(None)


@dataclass(eq=False)
class Port:
    """A bound port, and the listening on it."""

    street: Street
    number: int

    def listen(self, factory: Any) -> IListeningPort:
        self.street.done.append(f"listen {factory.name}")
        return cast(IListeningPort, self)

    def stopListening(self) -> Deferred[None]:
        self.street.closing.append(Deferred())
        return self.street.closing[-1]

    def close(self) -> None:
        self.street.done.append("close")


def site(name: str) -> IProtocolFactory:
    factory: Any = Factory()
    factory.name = name
    return cast(IProtocolFactory, factory)


@pytest.fixture
def street() -> Street:
    return Street()


@pytest.fixture
def door(street: Street) -> ReopenablePort:
    return ReopenablePort("127.0.0.1", cast(BoundPort, Port(street, 8188)), street.bind)


def test_who_opens_it_while_it_is_being_closed_is_listened_for_right_then(street: Street, door: ReopenablePort) -> None:
    """Never two at once on the same number, and never an older process."""
    door.open(site("first"))
    door.close()
    door.open(site("second"))
    door.close()
    door.open(site("third"))
    assert (street.done, door.is_open, door.is_opening) == (["listen first"], False, True)
    street.close_now()
    assert street.done == ["listen first", "close", "bind", "listen third"]
    assert (door.is_open, door.is_opening) == (True, False)
    assert (street.closing, door.number) == ([], 8188)


def test_whoever_waits_is_told_when_it_is_closed(street: Street, door: ReopenablePort) -> None:
    door.open(site("first"))
    assert door.settled().called
    door.close()
    settled = door.settled()
    assert not settled.called
    street.close_now()
    assert settled.called
    assert (door.is_open, door.is_opening) == (False, False)


def test_opened_twice_or_closed_twice_it_stays_as_it_is(street: Street, door: ReopenablePort) -> None:
    door.close()
    door.open(site("first"))
    door.open(site("first"))
    assert street.done == ["listen first"]
    door.close()
    door.close()
    assert len(street.closing) == 1


def test_a_number_that_somebody_else_took_meanwhile_is_had_again_later(street: Street, door: ReopenablePort) -> None:
    door.open(site("first"))
    door.close()
    street.is_taken = True
    street.close_now()
    door.open(site("second"))
    assert (door.is_open, door.is_opening) == (False, True)
    door.close()
    street.is_taken = False
    door.open(site("third"))
    assert (door.is_open, street.done) == (True, ["listen first", "close", "bind", "listen third"])


def test_given_up_it_is_nobodys(street: Street, door: ReopenablePort) -> None:
    door.open(site("first"))
    giving_up = Deferred.fromCoroutine(door.give_up())
    assert not giving_up.called
    street.close_now()
    assert giving_up.called
    assert street.done == ["listen first", "close", "bind", "close"]
