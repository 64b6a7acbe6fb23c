"""Faults of HTTP exchanges: choose the exchanges that faults may change, and run each of them step by step.

An exchange is one request and its answer. If no armed fault watches any of its phases, the front resource serves it
directly. Otherwise it runs as a :class:`FaultyExchange`, one generator that can pause in simulated time::

    request
       |
       v
    phases before the work     request; then submit, view or upload
       |            |
       |            +-- an effect has set an answer: the work is skipped ----+
       v                                                                     |
    the work                   the route writes into a BufferedChannel,      |
       |                       so nothing goes out yet                       |
       v                                                                     |
    phases after the work      status (for some routes); then reply          |
       |                                                                     |
       v                                                                     |
    ResponseWriter             sends the Exchange as the effects left it <---+

* In each phase the armed faults that match fire, in the order in which they were armed. Their effects modify the fields
  of the :class:`~comfyfarm.faults.targets.Exchange` and may pause.
* An effect that needs an answer to modify, but fires before the work, is kept until the answer exists: until the
  phase ``reply``, or until an earlier effect has set an answer.
* A firing that concerns the whole process (crash, freeze) is passed to ``fire_process``, and the exchange
  waits until the process runs again.
* While the process is frozen no step runs. If the process ends or the client disconnects, the exchange is stopped.
* A websocket handshake has phases before its work only. After them it is handed over and no longer tracked here.

A client may also send a fault for its own request, in the header ``X-Comfyfarm-Fault``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger
from twisted.web.server import Request

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Fault, Firing, Rule, firing_in_order
from comfyfarm.faults.pauses import WAIT, Steps
from comfyfarm.faults.phases import EXCHANGE, Phase
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import Exchange
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.request import header
from comfyfarm.server.http.request_facts import RequestFacts
from comfyfarm.server.http.response_writer import BufferedChannel, ResponseWriter, as_text
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.time.task import SimTask
from comfyfarm.sim.errors import internal_error

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged

_HEADER = "X-Comfyfarm-Fault"
_ALLOWED_RULE_KEYS = ("at", "cites")


class BadFault(Exception):
    """The fault header of a request holds no fault that can fire at it; the message says why."""


@dataclass(eq=False)
class HttpFaultInjector:
    """Runs those HTTP exchanges of one process that faults may change.

    :ivar fire_process: applies a firing that concerns the whole process.
    :ivar is_suspended: returns whether the process is frozen or has ended, so that no exchange may go on.
    :ivar takes_headers: whether clients may send faults in ``X-Comfyfarm-Fault``.
    """

    driver: InstanceDriver
    faults: InstanceFaults
    fire_process: Callable[[Firing], None]
    is_suspended: Callable[[], bool]
    takes_headers: bool = False
    open_exchanges: dict[FaultyExchange, None] = field(default_factory=dict, init=False)

    @property
    def is_idle(self) -> bool:
        """True if no exchange can have a fault."""
        return self.faults.is_quiet and not self.takes_headers

    def exchange_for(self, request: ComfyRequest, *, is_refused: bool) -> FaultyExchange | None:
        """Return the exchange of a request that a fault may change, not yet begun; ``None`` for all other requests.

        :param is_refused: the request never reaches a route; of the phases before the work only ``request`` applies.
        :raises BadFault: if the fault header is invalid.
        """
        if self.is_idle:
            return None
        request_facts = RequestFacts.of(request)
        phases_before = ("request",) if is_refused else request_facts.phases_before
        header_fault = _header_fault(request) if self.takes_headers and not is_refused else None
        if header_fault is None and not any(map(self.faults.watches, (*phases_before, *request_facts.phases_after))):
            return None
        private = self.faults.arm_once(header_fault, self.now_ms()) if header_fault is not None else None
        return FaultyExchange(self, request_facts, request, phases_before, private)

    def now_ms(self) -> int:
        return self.driver.time.now_ms()

    def wake(self) -> None:
        """Resume the exchanges that wait for a change, such as the end of a freeze or a healed fault."""
        for exchange in tuple(self.open_exchanges):
            exchange.wake()

    def stop(self) -> None:
        """Stop all exchanges, because the process has ended."""
        for exchange in tuple(self.open_exchanges):
            exchange.stop()


def _header_fault(request: Request) -> Fault | None:
    """Return the fault in the header of a request: ``do``, its arguments, and ``at`` (default phase ``request``).

    :raises BadFault: if the header is there but holds no such fault.
    """
    text = header(request, _HEADER.lower())
    if text is None:
        return None
    try:
        return _parse_fault(text)
    except (ConfigError, ValueError, RecursionError) as error:
        raise BadFault(f"{_HEADER}: {error}") from error


def _parse_fault(text: str) -> Fault:
    table = json.loads(text)
    if not isinstance(table, dict):
        raise ConfigError(f"expected an object, got {type(table).__name__}")
    for key in table:
        if key in Rule.__struct_fields__ and key not in _ALLOWED_RULE_KEYS:
            raise ConfigError(f"{key}: has no meaning for one request (there are: do, {', '.join(_ALLOWED_RULE_KEYS)})")
    at: Any = table.get("at", {})
    fault = read_fault({**table, "at": {"phase": "request", **at} if isinstance(at, dict) else at})
    if fault.rule.at.phase not in EXCHANGE:
        raise ConfigError(f"at.phase: expected one of {', '.join(EXCHANGE)}, got {fault.rule.at.phase!r}")
    return fault


@dataclass(eq=False)
class FaultyExchange:
    """One exchange that faults may change, from its request to the last byte of its answer.

    :ivar private: the fault that the request's own header armed, or ``None``.
    """

    injector: HttpFaultInjector
    request_facts: RequestFacts
    request: ComfyRequest
    phases_before: tuple[Phase, ...]
    private: ArmedFault | None
    _is_working: bool = field(default=False, init=False)
    _is_handed_over: bool = field(default=False, init=False)
    _kept_for_reply: list[Firing] = field(default_factory=list, init=False)

    def begin(
        self, work: Callable[[], None], hand_over: Callable[[], None], on_end: Callable[[int, int], None]
    ) -> None:
        """Start the exchange and run it up to its first pause.

        :param work: handles the request and writes the answer.
        :param hand_over: handles a websocket handshake, which is no longer tracked here.
        :param on_end: takes the status that was sent (0 for none) and the number of body bytes sent.
        """
        self._work, self._hand_over, self._on_end = work, hand_over, on_end
        self._writer = ResponseWriter(self.request, self.request.channel)
        driver = self.injector.driver
        query = self.request.uri.partition(b"?")[2].decode("utf-8", "replace")
        self._facts = self.request_facts.phase_facts(driver.instance.accepted, driver.instance.names)
        # What is set before the answer is written belongs to every answer.
        default_headers = as_text(self.request.responseHeaders)
        self._exchange = Exchange(self._facts, self.injector.now_ms(), query, default_headers)
        steps = self._until_error(self._unless_suspended(self._steps()))
        self._task = SimTask(driver.time, steps, self._finish, self._fire_process)
        self.request.on_lost = lambda _: self.stop()
        self.injector.open_exchanges[self] = None
        self._task.resume()

    def wake(self) -> None:
        """Resume the exchange if what it waits for has come."""
        self._task.wake()

    def stop(self) -> None:
        """End the exchange early: the client has disconnected, or the process has ended."""
        if not self._task.is_over:
            self._task.stop()
            self._finish()

    def _finish(self) -> None:
        self.request.on_lost = None
        self.injector.open_exchanges.pop(self, None)
        if self.private is not None:
            self.injector.faults.end_once(self.private, self.injector.now_ms())
        if not self._is_handed_over:
            self._complete_record()
            self._on_end(self._writer.status, self._writer.size_bytes)

    def _complete_record(self) -> None:
        record = self.request.record
        # A submit that an effect answered instead of the work is still one of this job.
        if self.request_facts.is_submit and not record.job:
            client = self._facts.client
            record.job, record.client_id = self._facts.job_name, client if isinstance(client, str) else None
        if self._exchange.reply is not None:
            record.update_from(self._exchange.reply)
        record.damage = self._writer.damage(self._exchange)

    def _fire_process(self, firing: Firing) -> None:
        self.injector.fire_process(firing)
        if not self.injector.is_suspended():
            self._task.wake()

    # The steps.

    def _until_error(self, steps: Steps) -> Steps:
        """Run the steps; at an error of comfyfarm's own reset the connection, so that the client need not wait."""
        try:
            yield from steps
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
            _logger.failure("{name}: {request} failed", name=self.injector.faults.name, request=self.request)
            shown = f"{self.request_facts.method} {self.request_facts.route}"
            self.injector.faults.publish(internal_error(error, self.injector.now_ms(), request=shown))
            self._writer.abort()

    def _unless_suspended(self, steps: Steps) -> Steps:
        """Run the steps, but none of them while the process is suspended; keep the time of the exchange up to date."""
        for pause in steps:
            yield pause
            while self.injector.is_suspended():
                yield WAIT
            self._exchange.at_ms = self.injector.now_ms()

    def _steps(self) -> Steps:
        for phase in self.phases_before:
            if not self._exchange.is_decided:
                yield from self._run_phase(phase)
        if self._exchange.is_decided:
            yield from self._apply(self._kept_for_reply)
        elif not self.request_facts.phases_after:
            self._is_handed_over = True
            self._hand_over()
            return
        else:
            yield from self._do_work()
            for phase in self.request_facts.phases_after:
                if phase == "reply":
                    yield from self._apply(self._kept_for_reply)
                yield from self._run_phase(phase)
        yield from self._writer.send(self._exchange)

    def _do_work(self) -> Steps:
        """Do the work, and hold its answer back."""
        channel = self._writer.buffered = BufferedChannel(self.request, self._on_answer)
        self.request.channel = channel
        self._is_working = True
        self._work()
        self._is_working = False
        while channel.reply is None or self.injector.is_suspended():
            yield WAIT
        self._exchange.reply = channel.reply
        self._facts = self.request_facts.with_reply(self._facts, channel.reply, self.injector.driver.instance.accepted)
        self._exchange.facts = self._facts

    def _on_answer(self) -> None:
        if not self._is_working:    # the task cannot be resumed from inside its own step
            self._task.wake()

    def _run_phase(self, phase: Phase) -> Steps:
        is_before = phase in self.phases_before
        if is_before:   # not after the work: an answer goes out before the worker's next step
            self.injector.driver.catch_up()
            self.injector.driver.set_alarm()
        while self.injector.is_suspended():     # catching up may have frozen or ended the process
            yield WAIT
        firings = self.injector.faults.fire(phase, self._facts, self.injector.now_ms(), private=self.private)
        self._kept_for_reply += [firing for firing in firings if is_before and firing.fault.effect.needs_reply]
        yield from self._apply(firing for firing in firings if not (is_before and firing.fault.effect.needs_reply))

    def _apply(self, firings: Iterable[Firing]) -> Steps:
        with firing_in_order(firings) as in_order:
            for firing in in_order:
                effect = firing.fault.effect
                if effect.is_for_process:
                    yield firing
                elif self._exchange.reply is not None or not effect.needs_reply:
                    yield from effect.on_exchange(self._exchange, firing)
