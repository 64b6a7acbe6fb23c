"""The jobs of one instance: its queue, its history, and the requests that still lack an answer."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from comfyfarm.analysis.logical_jobs import Attempt, BrokenFetch, WrittenFile
from comfyfarm.events import Exchanged

FileKey = tuple[str, str, str]
"""Folder, subfolder and name of a file."""

_IS_OTHER_PICTURE = ("preview", "channel")     # parameters of a view that answers with another picture than the file


@dataclass(eq=False)
class InstanceJobs:
    """The jobs of one instance.

    :ivar open: by prompt id, the attempts that wait or run, in the order in which they were accepted.
    :ivar history: by prompt id, the latest attempt in the instance's history.
    :ivar unlisted: those of the history that no client has received in a full list yet.
    :ivar unanswered: by prompt id (empty for refusals), the attempts whose ``POST /prompt`` has no answer yet.
    :ivar files: by folder, subfolder and name: the file as it was written last.
    :ivar garbled: logical jobs whose next answer to ``POST /prompt`` is corrupted by a fault.
    :ivar last: the attempt that ended last.
    :ivar upload_seq: of the latest upload; 0 if there was none.
    :ivar equipped_seq: of the latest change of its models or node types; 0 if there was none.
    """

    open: dict[str, list[Attempt]] = field(default_factory=dict)
    history: dict[str, Attempt] = field(default_factory=dict)
    unlisted: list[Attempt] = field(default_factory=list)
    unanswered: dict[str, list[Attempt]] = field(default_factory=dict)
    files: dict[FileKey, WrittenFile] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)
    last: Attempt | None = None
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
        self.last = attempt

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
        self.unlisted.append(attempt)

    def on_get(self, event: Exchanged, route: str) -> None:
        """Count a successful GET of history or of jobs for the attempts concerned."""
        if event.damage:
            return
        if route in {"/history", "/jobs"}:
            for attempt in self.unlisted:
                attempt.result_reads += 1
            self.unlisted.clear()
        elif route.startswith(("/history/", "/jobs/")):
            entry = self.history.get(unquote(route.split("/")[2]))
            if entry is not None:
                entry.result_reads += 1

    def remove_from_history(self, prompt_ids: Iterable[str]) -> None:
        removed = {self.history.pop(prompt_id, None) for prompt_id in prompt_ids}
        self.unlisted = [attempt for attempt in self.unlisted if attempt not in removed]

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


def count_fetch(file: WrittenFile, event: Exchanged) -> None:
    """Count a ``GET /view`` of a file for the attempt that wrote it, if its client has all of the file now."""
    attempt = file.attempt
    if not file.is_cut and _is_whole(file, event):
        attempt.file_fetches, attempt.broken_fetch = attempt.file_fetches + 1, None
    else:
        attempt.broken_fetch = BrokenFetch(event.seq, event.at_ms, event.instance, file.name, _what_broke(file, event))


def _is_whole(file: WrittenFile, event: Exchanged) -> bool:
    if event.status == 200 and not event.damage:
        return True
    is_part = event.status in {200, 206} and event.damage != "changed"
    if not is_part or any(name in _IS_OTHER_PICTURE for name, _ in parse_qsl(event.query, keep_blank_values=True)):
        return False
    return file.receive(event.first_byte, event.size_bytes)


def _what_broke(file: WrittenFile, event: Exchanged) -> str:
    if event.status not in {200, 206}:
        return f"was {event.status}" if event.status else "never came"
    if event.damage == "changed":
        return "was not that file"
    return "was the file as a fault had cut it on the disk" if file.is_cut else "was only a part of it"


def file_of(event: Exchanged) -> FileKey:
    """Return folder, subfolder and name of the file that a ``GET /view`` requests."""
    return _file_in(event.query)


@lru_cache(maxsize=16)      # several parts of the analysis ask for the file of the same event
def _file_in(text: str) -> tuple[str, str, str]:
    query = dict(reversed(parse_qsl(text, keep_blank_values=True)))
    return query.get("type", "output"), query.get("subfolder", ""), query.get("filename", "")
