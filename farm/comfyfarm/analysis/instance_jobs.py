"""What one instance has of jobs: what waits and runs there, and what clients may still ask about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Exchanged


@dataclass(eq=False)
class InstanceJobs:
    """One instance.

    :ivar open: by prompt id, what waits or runs, in the order in which it was taken on.
    :ivar shown: by prompt id, what its history has; the latest of each id.
    :ivar unlisted: of those, the ones that nobody has seen in a whole list yet.
    :ivar unanswered: by prompt id (empty for what was refused), whose ``POST /prompt`` has no answer yet.
    :ivar files: by folder, subfolder and name: who wrote it last.
    :ivar garbled: logical jobs to whose ``POST /prompt`` the answer that comes will make no sense.
    :ivar last: the attempt that ended last.
    """

    open: dict[str, list[Attempt]] = field(default_factory=dict)
    shown: dict[str, Attempt] = field(default_factory=dict)
    unlisted: list[Attempt] = field(default_factory=list)
    unanswered: dict[str, list[Attempt]] = field(default_factory=dict)
    files: dict[tuple[str, str, str], Attempt] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)
    last: Attempt | None = None

    def take_on(self, attempt: Attempt) -> None:
        """It waits, and so does its client for an answer."""
        self.open.setdefault(attempt.prompt_id or "", []).append(attempt)
        self.unanswered.setdefault(attempt.prompt_id or "", []).append(attempt)

    def close(self, attempt: Attempt) -> None:
        """It waits or runs no more."""
        waiting = self.open[attempt.prompt_id or ""]
        waiting.remove(attempt)
        if not waiting:
            del self.open[attempt.prompt_id or ""]
        self.last = attempt

    def answered(self, event: Exchanged) -> Attempt | None:
        """The attempt that an answer is about; a refusal that came before the request did is another's."""
        key = event.prompt_id or ""
        waiting = self.unanswered.get(key, [])
        for index, each in enumerate(waiting):
            if event.job in {"", each.job} and (key or event.began_ms <= each.sent_ms):
                del waiting[index]
                if not waiting:
                    del self.unanswered[key]
                return each
        return None

    def show(self, attempt: Attempt) -> None:
        """It is in history from now on."""
        self.shown[attempt.prompt_id or ""] = attempt
        self.unlisted.append(attempt)

    def asked(self, event: Exchanged, route: str) -> None:
        """A client was given a file, or history, or jobs."""
        if route == "/view":
            asked = dict(reversed(parse_qsl(event.query, keep_blank_values=True)))
            file = asked.get("type", "output"), asked.get("subfolder", ""), asked.get("filename", "")
            if (attempt := self.files.get(file)) is not None:
                attempt.fetched += 1
        elif route in {"/history", "/jobs"}:
            for attempt in self.unlisted:
                attempt.seen += 1
            self.unlisted.clear()
        elif route.startswith(("/history/", "/jobs/")):
            shown = self.shown.get(unquote(route.split("/")[2]))
            if shown is not None:
                shown.seen += 1

    def drop(self, prompt_ids: Iterable[str]) -> None:
        """These are in history no more."""
        gone = {each for prompt_id in prompt_ids if (each := self.shown.pop(prompt_id, None)) is not None}
        self.unlisted = [each for each in self.unlisted if each not in gone]

    def forget(self) -> None:
        """History is gone."""
        self.shown.clear()
        self.unlisted.clear()


def route_of(path: str) -> str:
    """A path without the ``/api`` that every route of ComfyUI's may have in front."""
    return path.removeprefix("/api") if path.startswith("/api/") else path
