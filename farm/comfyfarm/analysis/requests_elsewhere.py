"""Requests about jobs at instances other than the one that has the job, as behind a round-robin proxy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from comfyfarm.analysis.instance_jobs import file_of, route_of
from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Exchanged, InterruptAsked
from comfyfarm.events.handler import EventHandler, on

_MOST_PENDING = 100     # of one thing within SEARCH_MS; a client that floods an instance needs no exact count
_MOST_RECENT = 5000     # things requested from the right instance: only what was requested just now matters
SEARCH_MS = 250
"""The most time between requests for one thing to several instances, if these are one search for it."""

_Key = tuple[str, ...]
"""What a request is for: its kind and a prompt id, or its kind and the parts of a file's name."""


@dataclass(frozen=True, slots=True)
class RequestElsewhere:
    """A request about a job, to an instance that never had it, while another had it and was available.

    :ivar attempt: the attempt that was meant, at the instance that had it.
    :ivar what: the thing requested: ``history entry``, ``state``, ``file NAME`` or ``interrupt``.
    :ivar is_decisive: the right instance would have answered otherwise; a running job has no history entry anywhere.
    """

    seq: int
    at_ms: int
    instance: str
    attempt: Attempt
    what: str
    is_decisive: bool


@dataclass(eq=False, slots=True)
class RequestsElsewhere:
    """All such requests about one logical job.

    :ivar attempts: the attempts that were meant.
    :ivar whats: the things requested, in the order of their first request.
    :ivar instances: the instances that were requested instead, in that order.
    """

    first: RequestElsewhere
    last: RequestElsewhere
    count: int = 0
    attempts: set[Attempt] = field(default_factory=set)
    whats: dict[str, None] = field(default_factory=dict)
    instances: dict[str, None] = field(default_factory=dict)
    is_decisive: bool = False

    def add(self, request: RequestElsewhere) -> None:
        self.first = min(self.first, request, key=lambda request: request.seq)
        self.last = max(self.last, request, key=lambda request: request.seq)
        self.count += 1
        self.attempts.add(request.attempt)
        self.whats[request.what] = self.instances[request.instance] = None
        self.is_decisive = self.is_decisive or request.is_decisive

    def copy(self) -> RequestsElsewhere:
        return replace(self, attempts=set(self.attempts), whats=dict(self.whats), instances=dict(self.instances))


def _add(request: RequestElsewhere, by_job: dict[str, RequestsElsewhere]) -> None:
    by_job.setdefault(request.attempt.job, RequestsElsewhere(request, request)).add(request)


@dataclass(eq=False)
class RequestTracker(EventHandler):
    """Follows requests about jobs; the tracker of jobs and the fleet have processed each event before."""

    tracker: JobTracker
    fleet: FleetState
    _last_right_ms: dict[_Key, int] = field(default_factory=dict)
    _earlier_right_ms: dict[_Key, int] = field(default_factory=dict)
    _settled: dict[str, RequestsElsewhere] = field(default_factory=dict)
    _result: tuple[int, dict[str, RequestsElsewhere]] | None = None     # with the time for which it holds
    _pending: dict[_Key, list[RequestElsewhere]] = field(default_factory=dict)

    def by_job(self) -> dict[str, RequestsElsewhere]:
        """Return the requests by logical job, without the farm's load and without searches.

        A search is a request for the same thing to a wrong and to the right instance within ``SEARCH_MS``.
        """
        now_ms = self.tracker.at_ms
        if self._result is None or self._result[0] != now_ms:
            result = {job: requests.copy() for job, requests in self._settled.items()}
            for request in (request for requests in self._pending.values() for request in requests):
                if now_ms - request.at_ms > SEARCH_MS:
                    _add(request, result)
            self._result = now_ms, result
        return self._result[1]

    def jobs(self) -> set[str]:
        """Return the jobs that such requests were about, those that may be searches included."""
        pending = {request.attempt.job for requests in self._pending.values() for request in requests}
        return pending.union(self._settled)

    def _settle(self, key: _Key, now_ms: int) -> None:
        """Count the requests that can no longer be part of a search."""
        recent = []
        for request in self._pending.pop(key, ()):
            if now_ms - request.at_ms <= SEARCH_MS:
                recent.append(request)
            else:
                _add(request, self._settled)
        if recent:
            self._pending[key] = recent

    @on("GET /history", "GET /jobs")
    def _on_result_requested(self, event: Exchanged) -> None:
        parts = route_of(event.path).split("/")
        if len(parts) == 3:
            what = "history entry" if parts[1] == "history" else "state"
            self._on_request(event, what, unquote(parts[2]), event.began_ms)

    @on("POST /jobs")
    def _on_job_posted(self, event: Exchanged) -> None:
        parts = route_of(event.path).split("/")
        if len(parts) == 4 and parts[3] == "cancel":
            self._on_request(event, "interrupt", unquote(parts[2]), event.began_ms)

    @on(InterruptAsked)
    def _on_interrupt_asked(self, event: InterruptAsked) -> None:
        if event.prompt_id is not None and not event.job:   # One that names its logical job is understood anywhere.
            self._on_request(event, "interrupt", event.prompt_id, event.at_ms)

    def _on_request(self, event: Exchanged | InterruptAsked, what: str, prompt_id: str, began_ms: int) -> None:
        attempts = self.tracker.by_prompt_id.get(prompt_id)
        if not attempts:
            return
        prompt_id = attempts[0].prompt_id or ""     # the text that is kept already
        if event.instance in [attempt.instance for attempt in attempts]:
            self._on_right((what, prompt_id), began_ms)
        elif not isinstance(event, Exchanged) or event.status in {200, 404}:
            kept = [] if what == "interrupt" else filter(self._is_in_history, attempts)
            holders = [*kept, *(attempt for attempt in attempts if attempt.is_open)]
            self._on_wrong(event, what, holders, (what, prompt_id), began_ms)

    def _is_in_history(self, attempt: Attempt) -> bool:
        return self.tracker.instances[attempt.instance].history.get(attempt.prompt_id or "") is attempt

    @on("GET /view")
    def _on_view(self, event: Exchanged) -> None:
        if route_of(event.path) != "/view":
            return
        file = file_of(event)
        instances = self.tracker.instances.items()
        if file in self.tracker.instances[event.instance].files:
            self._on_right(("view", *file), event.began_ms)
            return
        writers = {name: jobs.files[file].attempt for name, jobs in instances if file in jobs.files}
        if writers and event.status == 404 and not self.tracker.instances[event.instance].had_fault:
            # (If a fault fired on a job there, its file may be late or gone, and have the same name.)
            # Several instances may have a file of this name: the one that nobody has fetched yet is meant, if any.
            holders = sorted(writers.values(), key=lambda attempt: (attempt.file_fetches == 0, attempt.seq))
            self._on_wrong(event, f"file {file[2]}", holders, ("view", *file), event.began_ms)

    def _on_right(self, key: _Key, began_ms: int) -> None:
        self._result = None
        if len(self._last_right_ms) >= _MOST_RECENT:
            self._earlier_right_ms, self._last_right_ms = self._last_right_ms, {}
        self._last_right_ms[key] = began_ms
        if key in self._pending:
            self._settle(key, began_ms)
            self._pending.pop(key, None)

    def _on_wrong(
        self, event: Exchanged | InterruptAsked, what: str, holders: list[Attempt], key: _Key, began_ms: int
    ) -> None:
        """Note a request to an instance that lacks the job, if another could have answered it."""
        holders = [
            attempt
            for attempt in holders
            # A request that was under way when the job came there is not meant.
            if began_ms >= attempt.sent_ms
            and self.fleet.member(attempt.instance).is_available
            and not self._was_tried_at(event.instance, attempt, is_file=key[0] == "view")
        ]
        if not holders:
            return
        self._result = None
        attempt, right_ms = holders[-1], self._last_right_ms.get(key, self._earlier_right_ms.get(key))
        self._settle(key, began_ms)
        pending = self._pending.setdefault(key, [])
        is_search = right_ms is not None and began_ms - right_ms <= SEARCH_MS
        if not is_search and not attempt.is_load and len(pending) < _MOST_PENDING:
            was_over = attempt.ended_ms is not None and attempt.ended_ms <= began_ms
            is_decisive = was_over or what != "history entry"
            pending.append(RequestElsewhere(event.seq, began_ms, event.instance, attempt, what, is_decisive))

    def _was_tried_at(self, instance: str, attempt: Attempt, *, is_file: bool) -> bool:
        """Return whether the job was sent to an instance so that its client may ask there what became of that.

        Another attempt has another prompt id, unless it was not accepted; it may write a file of the same name.
        """
        others = (other for other in self.tracker.jobs[attempt.job].attempts if other.instance == instance)
        return any(is_file or other.prompt_id is None for other in others)
