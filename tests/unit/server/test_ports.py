"""A port that is opened, closed and opened again, if closing it takes a turn of the reactor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from comfyfarm.server.ports import BoundPort, PortTaken, ReopenablePort


@dataclass(eq=False)
class Host:
    """A host of ports; it records every call.

    :ivar done: the calls, in order.
    :ivar closing: the ports that will be closed in the reactor's next turn.
    :ivar is_taken: another program has taken the number.
    """

    done: list[str] = field(default_factory=list)
    closing: list[Deferred[None]] = field(default_factory=list)
    is_taken: bool = False
    clock: Clock = field(default_factory=Clock)

    def bind(self, _host: str, number: int) -> BoundPort:
        if self.is_taken:
            raise PortTaken(number, "Address already in use")
        self.done.append("bind")
        return cast(BoundPort, Port(self, number))

    def close_now(self) -> None:
        """Do what the reactor does in its next turn."""
        self.closing.pop(0).callback(None)


@dataclass(eq=False)
class Port:
    """A bound port that may listen."""

    host: Host
    number: int

    def listen(self, factory: Any) -> IListeningPort:
        self.host.done.append(f"listen {factory.name}")
        return cast(IListeningPort, self)

    def stopListening(self) -> Deferred[None]:
        self.host.closing.append(Deferred())
        return self.host.closing[-1]

    def close(self) -> None:
        self.host.done.append("close")


def site(name: str) -> IProtocolFactory:
    factory: Any = Factory()
    factory.name = name
    return cast(IProtocolFactory, factory)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def port(host: Host) -> ReopenablePort:
    return ReopenablePort("127.0.0.1", cast(BoundPort, Port(host, 8188)), host.bind, host.clock)


def test_a_port_that_is_opened_while_it_is_being_closed_listens_right_then(host: Host, port: ReopenablePort) -> None:
    """Never two at once on the same number, and always for the last one that opened it."""
    port.open(site("first"))
    port.close()
    port.open(site("second"))
    port.close()
    port.open(site("third"))
    assert (host.done, port.is_open, port.is_opening) == (["listen first"], False, True)
    host.close_now()
    assert host.done == ["listen first", "close", "bind", "listen third"]
    assert (port.is_open, port.is_opening) == (True, False)
    assert (host.closing, port.number) == ([], 8188)


def test_settled_ends_when_it_is_closed(host: Host, port: ReopenablePort) -> None:
    port.open(site("first"))
    assert port.settled().called
    port.close()
    settled = port.settled()
    assert not settled.called
    host.close_now()
    assert settled.called
    assert (port.is_open, port.is_opening) == (False, False)


def test_a_port_that_is_opened_or_closed_twice_stays_as_it_is(host: Host, port: ReopenablePort) -> None:
    port.close()
    port.open(site("first"))
    port.open(site("first"))
    assert host.done == ["listen first"]
    port.close()
    port.close()
    assert len(host.closing) == 1


def blocked(host: Host, port: ReopenablePort) -> list[str]:
    """Open the port while another program has its number, and return the calls of ``on_open``."""
    port.open(site("first"))
    port.close()
    host.is_taken = True
    host.close_now()
    assert port.error is None       # it shall be closed
    opened: list[str] = []
    port.open(site("second"), lambda: opened.append("second"))
    assert (port.is_open, port.is_opening, opened) == (False, True, [])
    assert port.error == "port 8188 cannot be had again: Address already in use"
    return opened


def test_a_number_that_another_program_took_is_tried_again_each_second(host: Host, port: ReopenablePort) -> None:
    opened = blocked(host, port)
    host.clock.pump([1, 1, 0.9])
    host.is_taken = False
    assert opened == []
    host.clock.advance(0.1)
    assert (port.is_open, port.error, opened) == (True, None, ["second"])
    assert host.done == ["listen first", "close", "bind", "listen second"]
    assert host.clock.getDelayedCalls() == []


def test_a_port_that_shall_be_closed_after_all_is_not_tried_again(host: Host, port: ReopenablePort) -> None:
    opened = blocked(host, port)
    port.close()
    assert (host.clock.getDelayedCalls(), port.error) == ([], None)
    host.is_taken = False
    port.open(site("third"))
    assert (port.is_open, host.done) == (True, ["listen first", "close", "bind", "listen third"])
    assert opened == []


def test_a_port_that_is_given_up_is_not_bound_again(host: Host, port: ReopenablePort) -> None:
    port.open(site("first"))
    giving_up = Deferred.fromCoroutine(port.give_up())
    assert not giving_up.called
    host.close_now()
    assert giving_up.called
    assert host.done == ["listen first", "close", "bind", "close"]
