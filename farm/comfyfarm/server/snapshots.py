"""Long work on the state of the farm, in child processes, so that no instance waits for it.

::

    reactor --- fork ---+--- answers clients, runs jobs, reads the pipe as it is filled ---+--- result or exception
                        |                                                                  |
                        +--- child: the same memory, as it was ---> work() ---> pipe ------+--> ends

A fork is the snapshot: the operating system copies a page of memory only if one of the two processes writes to it.  It
takes about 25 ms for each GiB.  A full garbage collection writes to every page, so there is none while a child lives.

The child owns nothing but the pipe: it has closed every other file, handles no signals and touches neither reactor nor
log.  If the farm is killed, it ends when it writes.

Work on little is done in place, as is all work if the reactor or the operating system cannot do this.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure
from zope.interface import implementer

T = TypeVar("T")

IN_PLACE = 2000     # a size: some milliseconds
_AT_ONCE = 2
_READ_BYTES = 1 << 18
_NICE = 5           # the instances go first
_REAP_S = 0.01
_NEVER = 1_000_000      # collections of the younger objects before a full one


class NoResult(Exception):
    """The child process ended without a result, as if it was killed from outside."""


@dataclass(eq=False)
class Snapshots:
    """Runs work on the state of the farm as it is when the work begins: two at once, the others wait.

    :ivar reactor: reads the pipes.
    """

    reactor: Any
    _slots: DeferredSemaphore = field(default_factory=lambda: DeferredSemaphore(_AT_ONCE))
    _children: dict[_Child, None] = field(default_factory=dict)
    _is_stopped: bool = False
    _thresholds: tuple[int, int, int] = (0, 0, 0)       # of the garbage collector, without children

    async def run(self, work: Callable[[], T], size: int) -> T:
        """Return the result of a function; if the caller is cancelled, the work ends.

        :param work: calls pure code only, which changes nothing that anybody else sees.  Its result, or the exception
            that it raises, is passed on.
        :param size: how many events it concerns, at most; if each is compared with all instances, times these.
        :raises NoResult: if the farm stops, or the child process is killed.
        """
        if size <= IN_PLACE or not hasattr(os, "fork") or not isinstance(self.reactor, PosixReactorBase):
            return work()
        await self._slots.acquire()
        try:
            if self._is_stopped:
                raise NoResult("the farm has stopped")
            child = self._start(work)
            is_result, value = pickle.loads(await child.done)   # noqa: S301 (our own child's)
        finally:
            self._slots.release()
        if is_result:
            result: T = value
            return result
        raise value

    def _start(self, work: Callable[[], Any]) -> _Child:
        child = _Child.start(self.reactor, work)
        if not self._children:
            self._thresholds = gc.get_threshold()
            gc.set_threshold(*self._thresholds[:2], _NEVER)
        self._children[child] = None
        child.ended.addCallback(lambda _: self._forget(child))
        return child

    def _forget(self, child: _Child) -> None:
        del self._children[child]
        if not self._children:
            gc.set_threshold(*self._thresholds)

    async def stop(self) -> None:
        """End all child processes, and the work that waits."""
        self._is_stopped = True
        children = list(self._children)
        for child in children:
            child.kill()
        for child in children:
            await child.ended


@implementer(IReadDescriptor)
@dataclass(eq=False)
class _Child:
    """A child process, and the reader of its pipe.

    :ivar done: fires with all bytes from the pipe, or with :class:`NoResult`; if it is cancelled, the child is killed.
    :ivar ended: fires when the child is gone.
    """

    reactor: Any
    pid: int
    pipe: int
    done: Deferred[bytearray] = field(init=False)
    ended: Deferred[None] = field(default_factory=Deferred)
    _received: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.done = Deferred(lambda _: self.kill())

    @classmethod
    def start(cls, reactor: Any, work: Callable[[], Any]) -> _Child:
        """Start a child process that does the work.

        :raises OSError: if the system has no memory or no process left.
        """
        reading, writing = os.pipe()
        try:
            with warnings.catch_warnings():
                # Python warns of threads, whose locks stay locked in a child.  This one runs pure Python, and imports
                # nothing: it takes no lock but those that Python itself makes anew.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError:
            os.close(reading)
            raise
        else:
            if not pid:
                _work(work, writing)
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        child = cls(reactor, pid, reading)
        reactor.addReader(child)
        return child

    def kill(self) -> None:
        if self.pipe >= 0:      # so it is not reaped yet, and the id is its own
            os.kill(self.pid, signal.SIGKILL)

    def fileno(self) -> int:
        return self.pipe

    def logPrefix(self) -> str:
        return "snapshot"

    def doRead(self) -> Any:     # the interface says Failure, but reactors take the exception
        """Read what is there; the end of it is the end of the child."""
        try:
            part = os.read(self.pipe, _READ_BYTES)
        except BlockingIOError:
            return None
        self._received += part
        return None if part else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        """Pass the result on: the reactor reads no more."""
        os.close(self.pipe)
        self.pipe = -1
        self._reap()

    def _reap(self) -> None:
        status = 1
        with suppress(ChildProcessError):       # somebody else in this process has reaped it
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                self.reactor.callLater(_REAP_S, self._reap)
                return
        self.ended.callback(None)
        if self.done.called:
            return
        if status:
            self.done.errback(NoResult("the process that worked on the answer ended without one"))
        else:
            self.done.callback(self._received)


def _work(work: Callable[[], Any], pipe: int) -> NoReturn:
    """Do the work in the child process, write its result to the pipe, and end."""
    status = 1
    try:
        gc.disable()    # a collection would write to every page
        os.closerange(0, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        os.nice(_NICE)
        content = memoryview(_result_of(work))
        while content:
            content = content[os.write(pipe, content) :]
        status = 0
    finally:
        os._exit(status)    # also after an exception: nothing of the farm's may run here


def _result_of(work: Callable[[], Any]) -> bytes:
    try:
        return pickle.dumps((True, work()))
    except Exception as error:  # noqa: BLE001 (the parent raises it)
        error.add_note(f"in a child process:\n{traceback.format_exc()}")
        return pickle.dumps((False, error))
