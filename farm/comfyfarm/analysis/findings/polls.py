"""The finding about how often clients ask for the state, and how much they get."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, rule
from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.events import Event, Exchanged

_STATE_ROUTES = ("/history", "/jobs", "/prompt", "/queue", "/system_stats")
_CHECK_ROUTES = frozenset({"/prompt", "/queue", "/system_stats"})
_CHECK_SIZE_BYTES = 4096
_CHECK_INTERVAL_MS = 500
_CHECKS_AT_ONCE = 4
"""The rate of health checks, and how many may come at once, from several balancers."""


@rule("costly_polls")
@dataclass(eq=False)
class CostlyPolls(FindingRule):
    """For each accepted job, state was polled too often, or the answers were too long, on average.

    A poll is a ``GET`` of ``/history``, ``/jobs`` (or one entry of them), ``/prompt``, ``/queue`` or
    ``/system_stats``.  Nothing is found if no job was accepted, or if polls may be those of clients out of scope.  The
    health checks of balancers are no polls.  The log does not name the software that sent a request, so these are
    recognised by route, size and rate.

    :ivar _checks_due_ms: by instance and route, when the next health check is due at their rate.
    """

    severity = "warning"
    handles = tuple(f"GET {route}" for route in _STATE_ROUTES)
    _polls: Counter[str] = field(default_factory=Counter)
    _size_bytes: int = 0
    _checks_due_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if isinstance(event, Exchanged):
            route = route_of(event.path)
            if not self._is_health_check(event, route):
                self._polls["/" + route.split("/")[1]] += 1
                self._size_bytes += event.size_bytes

    def _is_health_check(self, event: Exchanged, route: str) -> bool:
        if route not in _CHECK_ROUTES or event.size_bytes > _CHECK_SIZE_BYTES or event.client_id is not None:
            return False
        key = event.instance, route
        due_ms = max(self._checks_due_ms.get(key, event.began_ms), event.began_ms)
        if due_ms > event.began_ms + (_CHECKS_AT_ONCE - 1) * _CHECK_INTERVAL_MS:
            return False
        self._checks_due_ms[key] = due_ms + _CHECK_INTERVAL_MS
        return True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        if context.tracker.is_scoped:
            return
        jobs = sum(any(attempt.is_accepted for attempt in job.attempts) for job in context.tracker.tested)
        jobs += context.tracker.forgotten.count
        polls, size_bytes, bounds = self._polls.total(), self._size_bytes, context.bounds
        if jobs and (polls > bounds.polls * jobs or size_bytes > bounds.poll_size_bytes * jobs):
            accepted = "1 accepted job" if jobs == 1 else f"{jobs} accepted jobs"
            routes = ", ".join(f"{self._polls[route]} of {route}" for route in _STATE_ROUTES if self._polls[route])
            yield self.found(
                f"For {accepted}, the state was requested {polls} times ({routes}), and the answers had "
                f"{size_bytes} bytes: {polls / jobs:.1f} requests and {size_bytes / jobs:.0f} bytes for each job; "
                f"{bounds.polls} and {bounds.poll_size_bytes} are allowed."
            )
