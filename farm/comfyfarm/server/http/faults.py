"""What goes wrong at one process's HTTP exchanges: asked before their work and after it, told as one story each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Firing, firing_in_order
from comfyfarm.faults.pauses import WAIT, Steps
from comfyfarm.faults.phases import Phase
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import Exchange
from comfyfarm.server.http.fault_header import fault_in
from comfyfarm.server.http.request_facts import RequestFacts
from comfyfarm.server.http.response_writer import BufferedChannel, ResponseWriter, usual_headers
from comfyfarm.server.http.site import ComfyRequest
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.time.task import SimTask


@dataclass(eq=False)
class HttpFaultInjector:
    """The faults of one process, as far as its HTTP exchanges meet them.

    :ivar fire_process: called where one befalls the process.
    :ivar is_suspended: whether the process is frozen or has ended: nothing goes on meanwhile.
    :ivar takes_headers: whether a client may bring a fault along (``X-Comfyfarm-Fault``).
    """

    driver: InstanceDriver
    faults: InstanceFaults
    fire_process: Callable[[Firing], None]
    is_suspended: Callable[[], bool]
    takes_headers: bool = False
    _courses: dict[FaultyExchange, None] = field(default_factory=dict, init=False)

    def exchange_of(self, request: ComfyRequest, *, is_refused: bool) -> FaultyExchange | None:
        """The course of an exchange at which something may go wrong; ``None`` for all others.

        :param is_refused: nothing of ComfyUI's will be asked: only the request itself counts, and the answer.
        :raises BadFault: where the client brings a fault along that is none.
        """
        if self.faults.is_quiet and not self.takes_headers:
            return None
        asked = RequestFacts.of(request)
        before = ("request",) if is_refused else asked.before
        brought = fault_in(request) if self.takes_headers and not is_refused else None
        if brought is None and not any(map(self.faults.watches, (*before, *asked.after))):
            return None
        private = self.faults.arm_once(brought, self.now_ms()) if brought is not None else None
        return FaultyExchange(self, asked, request, before, private)

    def now_ms(self) -> int:
        """The simulated moment."""
        return self.driver.time.now_ms()

    def wake(self) -> None:
        """Something may have changed: let go on what waits for it."""
        for exchange_of in tuple(self._courses):
            exchange_of.wake()

    def stop(self) -> None:
        """The process has ended: nothing goes on any more."""
        for exchange_of in tuple(self._courses):
            exchange_of.stop()

    def began(self, exchange_of: FaultyExchange) -> None:
        """Remember who waits."""
        self._courses[exchange_of] = None

    def ended(self, exchange_of: FaultyExchange) -> None:
        """Forget it."""
        self._courses.pop(exchange_of, None)


@dataclass(eq=False)
class FaultyExchange:
    """One exchange, from its request to the last byte of its answer.

    :ivar before: the phases before its work.
    :ivar private: the fault that is for this request alone, or ``None``.
    """

    fault_injector: HttpFaultInjector
    asked: RequestFacts
    request: ComfyRequest
    before: tuple[Phase, ...]
    private: ArmedFault | None
    _is_working: bool = field(default=False, init=False)
    _is_handed_over: bool = field(default=False, init=False)
    _waiting: list[Firing] = field(default_factory=list, init=False)

    def begin(
        self, work: Callable[[], None], hand_over: Callable[[], None], on_end: Callable[[int, int], None]
    ) -> None:
        """Tell it as far as it goes without time passing.

        :param work: does what the request asks, and writes the answer.
        :param hand_over: does it where nothing of it is ours any more: a websocket.
        :param on_end: takes the status that went out, 0 for none, and how many bytes of the body did.
        """
        self._work, self._hand_over, self._on_end = work, hand_over, on_end
        self._outlet = ResponseWriter(self.request, self.request.channel)
        query = self.request.uri.partition(b"?")[2].decode("utf-8", "replace")
        self._facts = self.asked.facts(self.fault_injector.driver.instance.accepted)
        now_ms = self.fault_injector.now_ms()
        self._exchange = Exchange(self._facts, now_ms, query, usual_headers(self.request))
        driver = self.fault_injector.driver
        self._publishing = SimTask(driver.clock, driver.time, self._minding(self._steps()), self._told, self._strike)
        self.request.on_lost = self.stop
        self.fault_injector.began(self)
        self._publishing.resume()

    def wake(self) -> None:
        """Something may have changed."""
        self._publishing.wake()

    def stop(self) -> None:
        """The client has gone, or the process has."""
        if not self._publishing.is_over:
            self._publishing.stop()
            self._told()

    def _told(self) -> None:
        self.request.on_lost = None
        self.fault_injector.ended(self)
        if self.private is not None:
            self.fault_injector.faults.end_once(self.private, self.fault_injector.now_ms())
        if not self._is_handed_over:
            self._note()
            self._on_end(self._outlet.status, self._outlet.size_bytes)

    def _note(self) -> None:
        """Let the log say whose work was not done, and what the answer showed."""
        about = self.request.about
        if self.asked.is_submit and not about.job:
            client = self._facts.client
            about.job, about.client_id = self._facts.job_name, client if isinstance(client, str) else None
        if self._exchange.reply is not None:
            about.read(self._exchange.reply)

    def _strike(self, firing: Firing) -> None:
        """Befall the process, and go on at once where that leaves it alive and awake."""
        self.fault_injector.fire_process(firing)
        if not self.fault_injector.is_suspended():
            self._publishing.wake()

    # The story.

    def _minding(self, story: Steps) -> Steps:
        """The same story, at true moments, standing still while the process does."""
        for pause in story:
            yield pause
            while self.fault_injector.is_suspended():
                yield WAIT
            self._exchange.at_ms = self.fault_injector.now_ms()

    def _steps(self) -> Steps:
        for phase in self.before:
            if not self._exchange.is_decided:
                yield from self._befall(phase)
        if self._exchange.is_decided:
            yield from self._tell(self._waiting)
        elif not self.asked.after:
            self._is_handed_over = True
            self._hand_over()
            return
        else:
            yield from self._do_work()
            yield from self._befall_after()
        yield from self._outlet.send(self._exchange)

    def _do_work(self) -> Steps:
        """Do the work, and keep the answer back."""
        capture = self._outlet.capture = BufferedChannel(self.request, self._worked)
        self.request.channel = capture  # type: ignore[assignment]  # it has what a request needs of one
        self._is_working = True
        self._work()
        self._is_working = False
        while capture.reply is None or self.fault_injector.is_suspended():
            yield WAIT
        self._exchange.reply = capture.reply
        self._facts = self.asked.answered(self._facts, capture.reply, self.fault_injector.driver.instance.accepted)
        self._exchange.facts = self._facts

    def _worked(self) -> None:
        if not self._is_working:
            self._publishing.wake()

    def _befall_after(self) -> Steps:
        for phase in self.asked.after:
            if phase == "reply":
                yield from self._tell(self._waiting)
            yield from self._befall(phase)

    def _befall(self, phase: Phase) -> Steps:
        is_early = phase in self.before
        if is_early:    # after the work nothing more may happen first: an answer goes out before the worker's next step
            self.fault_injector.driver.catch_up()
            self.fault_injector.driver.set_alarm()
        while self.fault_injector.is_suspended():     # what was due has done that
            yield WAIT
        now_ms = self.fault_injector.now_ms()
        firings = self.fault_injector.faults.fire(phase, self._facts, now_ms, private=self.private)
        self._waiting += [each for each in firings if is_early and each.fault.effect.needs_reply]
        yield from self._tell(each for each in firings if not (is_early and each.fault.effect.needs_reply))

    def _tell(self, firings: Iterable[Firing]) -> Steps:
        with firing_in_order(firings) as in_order:
            for firing in in_order:
                effect = firing.fault.effect
                if effect.is_for_process:
                    yield firing
                elif self._exchange.reply is not None or not effect.needs_reply:
                    yield from effect.on_exchange(self._exchange, firing)
