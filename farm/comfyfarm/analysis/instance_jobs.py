"""The jobs of one instance: its queue, its history, and the requests that still lack an answer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

import msgspec

from comfyfarm.analysis.job_files import JobFile
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Exchanged

FileKey = tuple[str, str, str]
"""Folder, subfolder and name of a file."""


class ResultFile(msgspec.Struct, frozen=True, gc=False):
    """A file with the attempt that wrote it."""

    attempt: Attempt
    file: JobFile


@dataclass(eq=False)
class InstanceJobs:
    """The jobs of one instance.

    :ivar open: by prompt id, the attempts that wait or run, in the order in which they were accepted.
    :ivar running: the one of them that runs.
    :ivar history: by prompt id, the latest attempt in the instance's history.
    :ivar unlisted: those of the history that no client has received in a full list yet.
    :ivar unanswered: by prompt id (empty for refusals), the attempts whose ``POST /prompt`` has no answer yet.
    :ivar files: by folder, subfolder and name: the file as it was written last.
    :ivar garbled: logical jobs whose next answer to ``POST /prompt`` is corrupted by a fault.
    :ivar had_fault: a fault fired on a job there that is not the farm's load.
    :ivar last: the attempt that ended last.
    :ivar asked_to_wait: a submission was answered with ``Retry-After``.
    :ivar upload_seq: of the latest upload; 0 if there was none.
    :ivar equipped_seq: of the latest change of its models or node types; 0 if there was none.
    """

    open: dict[str, list[Attempt]] = field(default_factory=dict)
    running: Attempt | None = None
    history: dict[str, Attempt] = field(default_factory=dict)
    unlisted: dict[Attempt, None] = field(default_factory=dict)
    unanswered: dict[str, list[Attempt]] = field(default_factory=dict)
    files: dict[FileKey, ResultFile] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)
    had_fault: bool = False
    last: Attempt | None = None
    asked_to_wait: bool = False
    upload_seq: int = 0
    equipped_seq: int = 0

    def add(self, attempt: Attempt) -> None:
        """Add an accepted attempt to the queue, and to those without an answer."""
        self.open.setdefault(attempt.prompt_id or "", []).append(attempt)
        self.unanswered.setdefault(attempt.prompt_id or "", []).append(attempt)

    def close(self, attempt: Attempt) -> None:
        """Remove an attempt that no longer waits or runs."""
        same_id = self.open[attempt.prompt_id or ""]
        same_id.remove(attempt)
        if not same_id:
            del self.open[attempt.prompt_id or ""]
        if attempt is self.running:
            self.running = None
        self.last = attempt

    def all_open(self) -> Iterator[Attempt]:
        """Return what waits or runs, grouped by prompt id."""
        return (attempt for same_id in self.open.values() for attempt in same_id)

    def has_other_jobs(self, attempt: Attempt) -> bool:
        """Return whether another logical job is open, or has ended since an attempt was accepted."""
        last = self.last
        ended_since = last is not None and last.job != attempt.job and (last.ended_ms or 0) >= attempt.sent_ms
        return ended_since or any(other.job != attempt.job for other in self.all_open())

    def open_attempt(self, prompt_id: str | None) -> Attempt | None:
        """Return the attempt that runs under a prompt id, else the first that waits under it."""
        if prompt_id is None:
            return None
        if self.running is not None and self.running.prompt_id == prompt_id:
            return self.running
        return next(iter(self.open.get(prompt_id, [])), None)

    def pop_answered(self, event: Exchanged) -> Attempt | None:
        """Remove and return the attempt that an answer to ``POST /prompt`` belongs to."""
        key = event.prompt_id or ""
        candidates = self.unanswered.get(key, [])
        for index, attempt in enumerate(candidates):
            # A refusal decided before the request arrived belongs to another request.
            if event.job in {"", attempt.job} and (key or event.began_ms <= attempt.sent_ms):
                del candidates[index]
                if not candidates:
                    del self.unanswered[key]
                return attempt
        return None

    def add_to_history(self, attempt: Attempt) -> None:
        self.history[attempt.prompt_id or ""] = attempt
        self.unlisted[attempt] = None

    def count_reads(self, route: str) -> None:
        """Count a GET of history or of jobs, which was answered as it should be, for the attempts concerned."""
        if route in {"/history", "/jobs"}:
            for attempt in self.unlisted:
                attempt.result_reads += 1
            self.unlisted.clear()
        elif route.startswith(("/history/", "/jobs/")):
            entry = self.history.get(unquote(route.split("/")[2]))
            if entry is not None:
                entry.result_reads += 1

    def remove_from_history(self, prompt_ids: Iterable[str]) -> None:
        for prompt_id in prompt_ids:
            if (attempt := self.history.pop(prompt_id, None)) is not None:
                self.unlisted.pop(attempt, None)

    def forget(self, attempt: Attempt) -> list[FileKey]:
        """Drop an attempt that has ended; return the files that it wrote."""
        prompt_id = attempt.prompt_id or ""
        if self.history.get(prompt_id) is attempt:
            self.remove_from_history([prompt_id])
        if attempt in self.unanswered.get(prompt_id, ()):
            del self.unanswered[prompt_id]
        files = []
        for file in attempt.files:
            key = file.folder, file.subfolder, file.name
            written = self.files.get(key)
            if written is not None and written.attempt is attempt:
                files.append(key)
                del self.files[key]
        return files

    def clear_history(self) -> None:
        self.history.clear()
        self.unlisted.clear()


def route_of(path: str) -> str:
    """Return a path without the ``/api`` that ComfyUI accepts in front of every route."""
    return path.removeprefix("/api") if path.startswith("/api/") else path


def is_submission(event: Exchanged) -> bool:
    return event.method == "POST" and event.path in {"/prompt", "/api/prompt"}


def is_turned_away(event: Exchanged) -> bool:
    """Return whether an exchange ended with 429, with 5xx or without an answer: its client may try again."""
    return event.status in {0, 429} or event.status >= 500


def file_of(event: Exchanged) -> FileKey:
    """Return folder, subfolder and name of the file that a ``GET /view`` requests."""
    return _file_in(event.query)


@lru_cache(maxsize=16)      # several parts of the analysis ask for the file of the same event
def _file_in(text: str) -> tuple[str, str, str]:
    if "%" in text or "+" in text:
        pairs = parse_qsl(text, keep_blank_values=True)
    else:
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in text.split("&"))]
    query = dict(reversed(pairs))
    return query.get("type", "output"), query.get("subfolder", ""), query.get("filename", "")
