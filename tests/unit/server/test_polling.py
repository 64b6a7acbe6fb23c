"""The reactor's sockets are called as by Twisted's own reactor."""

from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from comfyfarm.server.polling import poll_without_log_context


class Echo(Protocol):
    """Sends back what it gets; fails at ``fail``."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if data == b"fail":
            raise ValueError("as was wanted")
        self.transport.write(data)


class Asker(Protocol):
    """Sends a word, and stops the reactor when all is answered or the connection is lost."""

    def __init__(self, reactor: Any, word: bytes) -> None:
        self.reactor, self.word, self.answer, self.is_lost = reactor, word, b"", False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.word)

    def dataReceived(self, data: bytes) -> None:
        self.answer += data
        if len(self.answer) == len(self.word):
            self.reactor.stop()

    def connectionLost(self, reason: object = None) -> None:
        self.is_lost = True
        if self.reactor.running:
            self.reactor.stop()


def ask(word: bytes) -> Asker:
    """Run a reactor until a server has answered, or has closed the connection."""
    reactor: Any = EPollReactor()
    poll_without_log_context(reactor)
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    asker = Asker(reactor, word)
    factory = ClientFactory()
    factory.buildProtocol = lambda _: asker  # type: ignore[method-assign, assignment]
    reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
    reactor.callLater(30, reactor.stop)
    reactor.run(installSignalHandlers=False)
    return asker


@pytest.mark.parametrize("size", [4, 5_000_000])
def test_bytes_go_both_ways(size: int) -> None:
    """Also more than a socket takes at once."""
    word = b"word" * (size // 4)
    assert ask(word).answer == word


def test_a_protocol_that_raises_loses_its_connection_only() -> None:
    """And the log says why."""
    with capturedLogs() as logs:
        asker = ask(b"fail")
    assert (asker.answer, asker.is_lost) == (b"", True)
    assert any("as was wanted" in str(log.get("log_text")) for log in logs)


def test_other_reactors_stay_as_they_are() -> None:
    reactor = MemoryReactorClock()
    before = dict(vars(reactor))
    poll_without_log_context(reactor)
    assert vars(reactor) == before
